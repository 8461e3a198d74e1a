"""What is measured, and what follows from it: rounds of answers, and the medians over them.

A round is one or several readers who ask at the same moment, each with a prompt of its own. All times are
seconds from that moment; tokens a second of several readers are those of all of them together.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from meshinfer.cli.mesh_view import Seat
from meshinfer.machine.hardware import Hardware


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """One answer. first_s, last_s: when its first and its last token came; tokens: how many it has."""

    first_s: float
    last_s: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules that this machine took: until the first token of any reader, and from there to the end."""

    prefill_joules: float
    decode_joules: float


@dataclass(frozen=True, slots=True)
class Round:
    """Readers who asked together, each with a prompt of prompt_tokens.

    memory: bytes that each peer's process took afterwards, by its name, where that is known.
    energy: None where it cannot be read.
    """

    prompt_tokens: int
    answers: tuple[AnswerTimes, ...]
    memory: Mapping[str, int] = field(default_factory=dict)
    energy: Energy | None = None

    @property
    def first_token_s(self) -> float:
        """Time to first token, of the reader in the middle."""
        return median(answer.first_s for answer in self.answers)

    @property
    def prefill_tokens_per_s(self) -> float | None:
        """All prompts over the time until the last reader has a first token."""
        return _rate(self.prompt_tokens * len(self.answers), max(answer.first_s for answer in self.answers))

    @property
    def decode_tokens_per_s(self) -> float | None:
        """All tokens but each reader's first, from the earliest first token to the latest last one."""
        return _rate(self._decoded, self._end_s - min(answer.first_s for answer in self.answers))

    @property
    def watts(self) -> float | None:
        """Mean power over the whole round."""
        if self.energy is None:
            return None
        return _rate(self.energy.prefill_joules + self.energy.decode_joules, self._end_s)

    @property
    def joules_per_token(self) -> float | None:
        """Energy of a token behind the first."""
        return _rate(self.energy.decode_joules, self._decoded) if self.energy else None

    @property
    def _decoded(self) -> int:
        return sum(answer.tokens - 1 for answer in self.answers)

    @property
    def _end_s(self) -> float:
        return max(answer.last_s for answer in self.answers)


def _rate(amount: float, over: float) -> float | None:
    return amount / over if over > 0 else None


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians of some rounds; None where no round has the figure.

    memory: the most that each peer's process took, in bytes.
    """

    first_token_s: float | None
    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None
    watts: float | None
    joules_per_token: float | None
    memory: Mapping[str, int]

    @property
    def most_memory_bytes(self) -> int | None:
        """Of the peer that takes most."""
        return max(self.memory.values(), default=None)


@dataclass(frozen=True, slots=True)
class Case:
    """All rounds of one prompt size and number of readers, at one ring; there is at least one round.

    epoch: of the plan that all of them were computed under.
    """

    prompt_tokens: int
    readers: int
    epoch: int
    rounds: tuple[Round, ...]

    @property
    def figures(self) -> Figures:
        """What the rounds come to."""
        return Figures(
            first_token_s=self._median(lambda done: done.first_token_s),
            prefill_tokens_per_s=self._median(lambda done: done.prefill_tokens_per_s),
            decode_tokens_per_s=self._median(lambda done: done.decode_tokens_per_s),
            watts=self._median(lambda done: done.watts),
            joules_per_token=self._median(lambda done: done.joules_per_token),
            memory=_most(done.memory for done in self.rounds),
        )

    def _median(self, figure: Callable[[Round], float | None]) -> float | None:
        found = [value for done in self.rounds if (value := figure(done)) is not None]
        return median(found) if found else None


def _most(memories: Iterable[Mapping[str, int]]) -> dict[str, int]:
    most: dict[str, int] = {}
    for memory in memories:
        for name, size_bytes in memory.items():
            most[name] = max(most.get(name, 0), size_bytes)
    return most


@dataclass(frozen=True, slots=True)
class RingRun:
    """What was measured with one number of peers. seats: the ring as it was in the end, under `epoch`."""

    epoch: int
    seats: tuple[Seat, ...]
    cases: tuple[Case, ...]

    @property
    def peers(self) -> int:
        """How many share the model."""
        return len(self.seats)

    @property
    def memory(self) -> dict[str, int]:
        """The most that each peer's process took in any case, in bytes, where that is known."""
        return _most(done.memory for case in self.cases for done in case.rounds)

    def case(self, prompt_tokens: int, readers: int) -> Case | None:
        """The case of a prompt size and number of readers, if it was measured."""
        for case in self.cases:
            if (case.prompt_tokens, case.readers) == (prompt_tokens, readers):
                return case
        return None


@dataclass(frozen=True, slots=True)
class Setting:
    """What was to be measured. peers: sizes of this machine's own rings; None for the mesh at `url`."""

    prompts: tuple[int, ...]
    tokens: int
    readers: tuple[int, ...]
    rounds: int
    peers: tuple[int, ...] | None = None
    url: str | None = None

    @property
    def rounds_at_a_ring(self) -> int:
        """How many rounds that makes, warming up left out."""
        return len(self.prompts) * len(self.readers) * self.rounds


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to tell. started: when, in ISO 8601.

    power: which parts of this machine the watts are of; without it, no_power says why there are none.
    is_complete: whether everything that was asked for is in it.
    """

    release: str
    started: str
    model: str
    hardware: Hardware
    setting: Setting
    power: str
    no_power: str
    rings: tuple[RingRun, ...]
    is_complete: bool
