"""How an API words an answer: what each dialect (OpenAI's, Anthropic's, Ollama's) brings of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .delta import Delta
from .errors import ApiError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What all parts of an answer have in common.

    token: unguessable, makes the id. created: in seconds since 1970. fingerprint: of the plan.
    """

    token: str
    created: int
    model: str
    fingerprint: str


class Wording(Protocol):
    """One answer in the words of one dialect. A stream is opening, parts and pauses, then closing or failure.

    It may remember what it said so far: each serves one answer.
    """

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers of a stream."""
        ...

    def opening(self) -> bytes:
        """What comes before the first part."""
        ...

    def part(self, delta: Delta) -> bytes:
        """What one part adds to the stream; empty where the dialect has no words for it."""
        ...

    def pause(self, why: str) -> bytes:
        """What keeps a silent connection alive, and says why; empty where the dialect has no such thing."""
        ...

    def closing(self) -> bytes:
        """What comes after the last part of the last choice."""
        ...

    def failure(self, error: ApiError) -> bytes:
        """What comes instead, where the answer fails in the middle; clients must not take it for its end."""
        ...

    def whole(self, deltas: Sequence[Delta]) -> Json:
        """The answer in one."""
        ...


MakeWording = Callable[[AnswerHead], Wording]
