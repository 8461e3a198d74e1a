"""Answers without a peer."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from meshinfer.generation import Piece
from meshinfer.messages import Finish


@dataclass
class Source:
    """Pieces under a test's control: each is let go by `more`, or ends by an error that was put there."""

    queue: "asyncio.Queue[Piece | Exception]" = field(default_factory=asyncio.Queue)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def more(self, *texts: str, finish: Finish | None = None) -> "Source":
        for text in texts:
            self.queue.put_nowait(Piece(text, finish if text is texts[-1] else None, 3, 1))
        return self

    def fail(self, error: Exception) -> "Source":
        self.queue.put_nowait(error)
        return self

    async def pieces(self) -> AsyncGenerator[Piece]:
        try:
            while True:
                item = await self.queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                if item.finish is not None:
                    return
        finally:
            self.closed.set()
