"""A queue for one reader that can end."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class EndingQueue(Generic[T]):
    """Things that wait for one reader; after the last of them the reader gets the error that ended it.

    Holds no limit of its own: whoever puts asks `len` first.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._ending: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ending is not None

    def put(self, item: T) -> None:
        """Add `item` at the end."""
        self._items.append(item)
        self._wake_reader()

    def end(self, error: Exception) -> None:
        """Let `get` raise `error` once the queue is empty. The first ending counts."""
        if self._ending is None:
            self._ending = error
            self._wake_reader()

    async def get(self) -> T:
        """Wait for the first thing. Cancelled, nothing is lost."""
        while not self._items:
            if self._ending is not None:
                raise self._ending.with_traceback(None)
            if self._reader is not None:
                raise RuntimeError("somebody else reads here already")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.popleft()

    def take_all(self) -> list[T]:
        """Empty the queue without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
