"""How an API comes to its end: no more questions, a while for answers that are being written, then none."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import ApiError

logger = logging.getLogger(__name__)

_RETRY_S = 5.0
"""By then a peer that is started again may be here; another one is better asked at once."""


def stopping_error() -> ApiError:
    """What those are told whom this peer does not answer any more."""
    return ApiError(503, "this peer is stopping: ask another one", code="stopping", retry_after_s=_RETRY_S)


class Closing:
    """Counts answers, and lets them end in good order. ending: set when those that still run must end now."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self._is_begun = False
        self._answers = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def state(self) -> str:
        """What a peer that leaves is waiting for, in plain words; empty while it stays."""
        if not self._is_begun:
            return ""
        if self.ending.is_set():
            return "this peer leaves: it lets others take over its layers"
        plural = "s" if self._answers != 1 else ""
        return f"this peer leaves: it finishes {self._answers} answer{plural}"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answer one question.

        Raises:
            ApiError: the end has begun; status 503.
        """
        if self._is_begun:
            raise stopping_error()
        self._answers += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._answers -= 1
            if not self._answers:
                self._idle.set()

    async def close(self, patience_s: float) -> None:
        """Refuse questions from now on, wait for the answers, and end those that take longer."""
        self._is_begun = True
        try:
            async with asyncio.timeout(patience_s):
                await self._idle.wait()
        except TimeoutError:
            logger.info("%d answers were not whole after %g s, and are ended", self._answers, patience_s)
        finally:
            self.ending.set()
