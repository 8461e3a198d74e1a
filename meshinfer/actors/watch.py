"""Values that one actor writes and many read: the latest counts, nothing is queued."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Bell:
    """Wakes all who wait whenever one of the values that share it changes."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """Set at the next change; take it before reading the values, so that none is missed."""
        return self._next

    def ring(self) -> None:
        """Wake all who wait."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()


class Watch(Generic[T]):
    """Holds a frozen value; changing it rings its bell."""

    def __init__(self, value: T, bell: Bell) -> None:
        self._value = value
        self._bell = bell

    @property
    def value(self) -> T:
        """The latest value."""
        return self._value

    def set(self, value: T) -> None:
        """Replace the value; who waits is woken if it differs."""
        if value != self._value:
            self._value = value
            self._bell.ring()
