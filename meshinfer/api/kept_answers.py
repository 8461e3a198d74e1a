"""Answers under an `Idempotency-Key`: each is computed once, and read by whoever comes with the key."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from meshinfer.config import ReplayLimits
from meshinfer.errors import DeadlineExceeded, RingBroken
from meshinfer.generation import Deadline

from .delta import CallArguments, CallBegun, Delta, Ended, Reasoning, Text
from .errors import ApiError
from .idempotency import HEADER, Claim

_PART_BYTES = 256
"""What a part takes besides its text: an object, its numbers, a string's head, a place in a list.

A token with its log-probability takes about as much.
"""


class _Answer:
    """An answer that is being written, or was. Its parts stay for readers to come."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.deltas: list[Delta] = []
        self.size_bytes = 0
        self.error: Exception | None = None
        self.is_over = False
        self.readers = 0
        self.news = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None

    def add(self, delta: Delta) -> int:
        """Take in the next part; return how many bytes it takes."""
        size_bytes = _size_bytes(delta)
        self.deltas.append(delta)
        self.size_bytes += size_bytes
        self._tell()
        return size_bytes

    def end(self) -> None:
        self.is_over = True
        self._tell()

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _tell(self) -> None:
        told, self.news = self.news, asyncio.Event()
        told.set()


class KeptAnswers:
    """The answers of one API that have a key, bounded in number, bytes and time.

    One whose last reader went away goes on for a while, so that a reader whose connection broke finds it. One
    that failed is forgotten at once: who asks again wants another try.
    """

    def __init__(self, limits: ReplayLimits) -> None:
        self._limits = limits
        # By key, in the order in which they began.
        self._answers: dict[str, _Answer] = {}
        self._size_bytes = 0
        self._writers: dict[_Answer, asyncio.Task[None]] = {}

    async def read(
        self, claim: Claim, begin: Callable[[], AsyncGenerator[Delta]], deadline: Deadline
    ) -> AsyncGenerator[Delta]:
        """The parts of the answer under `claim`, from its first; `begin` starts it if there is none yet.

        Raises:
            ApiError: the key stands for another question; status 422. DeadlineExceeded: this reader's time is
            over. Whatever the answer itself raises.
        """
        answer = self._find(claim) or self._begin(claim, begin)
        answer.readers += 1
        if not answer.is_over:
            answer.stop_timer()
        grace_s, place = self._limits.grace_s, 0
        try:
            while True:
                while place < len(answer.deltas):
                    place += 1
                    yield answer.deltas[place - 1]
                if answer.is_over:
                    break
                await deadline.bound(answer.news.wait)
            if answer.error is not None:
                raise answer.error
        except DeadlineExceeded:
            # This reader wants it no more.
            grace_s = 0.0
            raise
        finally:
            answer.readers -= 1
            if not answer.readers and not answer.is_over:
                grace_s = grace_s if self._is_kept(answer) else 0.0
                loop = asyncio.get_running_loop()
                answer.timer = loop.call_later(grace_s, self._give_up, answer)

    async def close(self) -> None:
        """Cancel what is still being written, and wait for that."""
        writers = list(self._writers.values())
        for answer in list(self._writers):
            self._give_up(answer)
        for answer in list(self._answers.values()):
            self._forget(answer)
        if writers:
            await asyncio.wait(writers)

    def _find(self, claim: Claim) -> _Answer | None:
        answer = self._answers.get(claim.key)
        if answer is not None and answer.claim != claim:
            raise ApiError(
                422,
                f"this {HEADER} was used a while ago for another question: take a new key for each",
                param=HEADER,
                code="idempotency_key_reused",
            )
        return answer

    def _begin(self, claim: Claim, begin: Callable[[], AsyncGenerator[Delta]]) -> _Answer:
        answer = self._answers[claim.key] = _Answer(claim)
        # Awaited in `close`; it ends by itself at the latest with the peer.
        self._writers[answer] = asyncio.create_task(self._write(answer, begin()))
        self._make_room()
        return answer

    async def _write(self, answer: _Answer, deltas: AsyncGenerator[Delta]) -> None:
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    size_bytes = answer.add(delta)
                    if self._is_kept(answer):
                        self._size_bytes += size_bytes
                        self._make_room()
        except asyncio.CancelledError:
            answer.error = RingBroken("the answer was given up, since this peer stops or nobody read it")
            raise
        except Exception as error:
            # Its readers raise it.
            answer.error = error
        finally:
            answer.end()
            del self._writers[answer]
            if answer.error is not None:
                self._forget(answer)
            elif self._is_kept(answer):
                answer.stop_timer()
                loop = asyncio.get_running_loop()
                answer.timer = loop.call_later(self._limits.kept_s, self._forget, answer)

    def _make_room(self) -> None:
        """Forget the oldest, first among those that have ended, until the rest is within limits."""
        answers, limits = self._answers, self._limits
        while len(answers) > limits.max_answers or self._size_bytes > limits.max_bytes:
            ended = (answer for answer in answers.values() if answer.is_over)
            # Those who read one that still runs read on; nobody else finds it.
            self._forget(next(ended, next(iter(answers.values()))))

    def _is_kept(self, answer: _Answer) -> bool:
        return self._answers.get(answer.claim.key) is answer

    def _forget(self, answer: _Answer) -> None:
        if self._is_kept(answer):
            del self._answers[answer.claim.key]
            self._size_bytes -= answer.size_bytes
            if answer.is_over:
                answer.stop_timer()

    def _give_up(self, answer: _Answer) -> None:
        self._forget(answer)
        if (writer := self._writers.get(answer)) is not None:
            writer.cancel()


def _size_bytes(delta: Delta) -> int:
    """About what a part takes in memory."""
    match delta:
        case Text(_, text, tokens):
            told = sum(1 + len(token.top) for token in tokens)
            return _PART_BYTES * (1 + told) + len(text.encode())
        case Reasoning(_, text) | CallArguments(_, _, text):
            return _PART_BYTES + len(text.encode())
        case CallBegun(name=name):
            return _PART_BYTES + len(name)
        case Ended():
            return _PART_BYTES
