"""Answers without a peer."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from meshinfer.api.delta import Delta, End, Ended, Text, Usage


@dataclass
class Source:
    """Parts under a test's control: each is let go by `more`, or ends by an error that was put there."""

    queue: "asyncio.Queue[Delta | Exception]" = field(default_factory=asyncio.Queue)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def more(self, *texts: str, end: End | None = None) -> "Source":
        for text in texts:
            self.queue.put_nowait(Text(0, text))
        if end is not None:
            self.queue.put_nowait(Ended(0, end, Usage(3, len(texts))))
        return self

    def fail(self, error: Exception) -> "Source":
        self.queue.put_nowait(error)
        return self

    async def deltas(self) -> AsyncGenerator[Delta]:
        try:
            while True:
                item = await self.queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                if isinstance(item, Ended):
                    return
        finally:
            self.closed.set()
