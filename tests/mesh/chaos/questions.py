"""What is asked under chaos, drawn from a seed, and what must come."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.mesh.chaos.reader import Heard, read_answer
from tests.mesh.processes import ProcessMesh, wait_for_ring
from tests.simulation.chance import Chance

POOL = 24
"""So many different questions are asked: few enough that their true answers are soon known."""

_STORY = """
the quick brown fox jumps over a lazy dog while rain falls on the old harbour and somebody counts boats
until one of them turns round because its captain forgot the map at home
"""


@dataclass(frozen=True, slots=True)
class Length:
    """How many tokens answers have, at least and at most: enough that a fault strikes in the middle."""

    least: int
    most: int


TINY_LENGTH = Length(150, 1200)
SHORT_LENGTH = Length(60, 300)
"""Under many readers: a peer that leaves finishes what it answers, but not for longer than half a minute."""

REAL_LENGTH = Length(24, 64)
"""A real model takes its time."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request. seed None: the answer is greedy."""

    number: int
    prompt: str
    max_tokens: int
    seed: int | None

    def body(self) -> dict[str, Any]:
        """The request as OpenAI's API takes it."""
        sampling = {"temperature": 0.0}
        if self.seed is not None:
            sampling = {"temperature": 0.8, "top_p": 0.95, "seed": self.seed}
        return {
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **sampling,
        }

    def __str__(self) -> str:
        return (
            f"question {self.number}, {self.max_tokens} tokens, {'greedy' if self.seed is None else 'drawn'}"
        )


@cache
def question(number: int, length: Length) -> Question:
    """One of the questions of the pool: the same for the same number."""
    chance = Chance(number).stream("question")
    words = chance.choices(_STORY.split(), k=chance.randint(3, 40))
    return Question(
        number=number,
        prompt=" ".join(words),
        max_tokens=chance.randint(length.least, length.most),
        seed=chance.getrandbits(31) if chance.random() < 0.5 else None,
    )


class Truths:
    """Answers of one undisturbed peer, which runs while this is open; for one thread at a time."""

    def __init__(self, model: Path | str, scratch: Path, memory_gb: float = 1.0) -> None:
        self._processes = ProcessMesh(scratch / "undisturbed", is_quiet=True)
        self._model = model
        self._memory_gb = memory_gb
        self._known: dict[Question, Heard] = {}

    def __enter__(self) -> Self:
        self._processes.__enter__()
        self._peer = self._processes.start("undisturbed", self._model, memory_gb=self._memory_gb)
        wait_for_ring([self._peer])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._processes.__exit__(kind, error, traceback)

    def of(self, asked: Question) -> Heard:
        """The answer that this question must have."""
        if asked not in self._known:
            heard = read_answer(self._peer.url, asked.body())
            assert heard.is_whole, f"the undisturbed peer gave no answer to {asked}: {heard.trouble}"
            self._known[asked] = heard
        return self._known[asked]
