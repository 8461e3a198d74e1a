"""What a peer remembers of the requests that began at it: how they go, how the last ones went, and sums.

Pure: whoever tells it something tells the time with it. It holds nothing of prompts and answers but their
lengths.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from typing import Protocol

from meshinfer.topology.record import PeerLoad
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

from .counting import FIRST_TOKEN_BOUNDS_S, QUEUE_BOUNDS_S, TOKEN_BOUNDS_S, Histogram, Rate
from .labels import Label
from .messages import SessionId

MAX_RECENT = 256
"""Requests that are over and still known, and happenings that a slow reader may lag behind."""

_MAX_PAUSES = 32


class State(Enum):
    """What became of a request: it waits for a place, has one, has a token, or is over, well or not.

    PAUSED: its ring broke, or lost it; from there it is admitted again. FAILED: with an error. CANCELLED: its
    reader went away.
    """

    BEGUN = "begun"
    ADMITTED = "admitted"
    FIRST_TOKEN = "first_token"
    PAUSED = "paused"
    ENDED = "ended"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Happening:
    """A request came into a state. time_ms: since 1970, on this machine's clock."""

    request: str
    state: State
    model: str
    prompt_tokens: int
    answer_tokens: int
    time_ms: int


@dataclass(slots=True)
class Entry:
    """One request. Times are seconds on one clock of this peer, None until they come.

    request: what it is asked for by; unique among those that are known. label: what its client calls it.
    model: by its name, empty while nobody knows it. state_s: since when it is in its state. understood_s: its
    prompt was text no longer. sent_s: first handed to a ring's head. pauses: since when until when no ring
    had it; the last may not be over. peers: of the ring that had it last. outcome: why it is over, a word.
    """

    request: str
    label: Label | None
    session: SessionId
    model: str
    began_s: float
    state: State = State.BEGUN
    state_s: float = 0.0
    understood_s: float | None = None
    sent_s: float | None = None
    admitted_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    over_s: float | None = None
    pauses: list[tuple[float, float | None]] = field(default_factory=list)
    peers: tuple[PeerId, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    outcome: str = ""

    def is_called(self, name: str) -> bool:
        """Whether somebody may ask for it by `name`."""
        return name in (self.request, self.session) or (self.label is not None and self.label.is_called(name))


@dataclass(slots=True)
class Sums:
    """All requests for one model that began here. outcomes: how many are over, by why."""

    outcomes: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    pauses: int = 0
    first_token_s: Histogram = field(default_factory=lambda: Histogram(FIRST_TOKEN_BOUNDS_S))
    token_s: Histogram = field(default_factory=lambda: Histogram(TOKEN_BOUNDS_S))
    queue_s: Histogram = field(default_factory=lambda: Histogram(QUEUE_BOUNDS_S))


class RingWatcher(Protocol):
    """Who is told how sessions fare in their rings."""

    def sent(self, session: SessionId, peers: tuple[PeerId, ...], now_s: float) -> None:
        """A ring of these peers was asked to compute it."""
        ...

    def admitted(self, session: SessionId, cached_tokens: int, now_s: float) -> None:
        """It has left the queue. cached_tokens: of its prompt, that need not be computed."""
        ...

    def token(self, session: SessionId, now_s: float) -> None:
        """A token of its answer came."""
        ...

    def paused(self, session: SessionId, now_s: float) -> None:
        """No ring computes it."""
        ...

    def served(self, fingerprint: str, target: Target | None) -> None:
        """A model is served under this plan from now on; None: under none."""
        ...


class Ledger:
    """Told by whoever writes answers, and by those who bring tokens; what it is told of others it forgets.

    epoch_s: what to add to its clock for seconds since 1970. tell: called after each happening.
    """

    def __init__(self, epoch_s: float = 0.0, tell: Callable[[], None] = lambda: None) -> None:
        self._epoch_s = epoch_s
        self._tell = tell
        self._open: dict[SessionId, Entry] = {}
        self._recent: deque[Entry] = deque(maxlen=MAX_RECENT)
        self._happenings: deque[Happening] = deque(maxlen=MAX_RECENT)
        self._plans: dict[str, Target] = {}
        self._prompt_rate, self._answer_rate = Rate(), Rate()
        self.number = 0
        """How many happenings there were."""
        self.models: dict[str, Sums] = {}
        """By the model's name, empty for requests that named none that is known."""
        self.plan_changes: Counter[str] = Counter()
        """How often a model was served under a plan and not under the same before; by fingerprint."""

    # --- told by whoever writes an answer

    def begin(self, session: SessionId, label: Label | None, model: str, now_s: float) -> None:
        """A request came. model: empty if nobody knows it."""
        name = label.name if label is not None else session
        entry = Entry(self._free_name(name), label, session, model, now_s)
        self._open[session] = entry
        self._happened(entry, State.BEGUN, now_s)

    def understood(self, session: SessionId, model: str, prompt_tokens: int, now_s: float) -> None:
        """Its prompt has been made tokens."""
        if (entry := self._open.get(session)) is not None:
            entry.model, entry.prompt_tokens, entry.understood_s = model, prompt_tokens, now_s

    def end(self, session: SessionId, state: State, outcome: str, now_s: float) -> None:
        """It is over. outcome: one word, such as `stop`, or the name of an error."""
        entry = self._open.pop(session, None)
        if entry is None:
            return
        self._resume(entry, now_s)
        entry.over_s, entry.outcome = now_s, outcome
        self._sums(entry).outcomes[outcome] += 1
        self._recent.append(entry)
        self._happened(entry, state, now_s)

    # --- told by those who bring tokens

    def sent(self, session: SessionId, peers: tuple[PeerId, ...], now_s: float) -> None:
        """A ring of these peers was asked to compute it."""
        if (entry := self._open.get(session)) is not None:
            entry.peers = peers
            entry.sent_s = now_s if entry.sent_s is None else entry.sent_s

    def admitted(self, session: SessionId, cached_tokens: int, now_s: float) -> None:
        """It has left the queue. cached_tokens: of its prompt, that need not be computed."""
        if (entry := self._open.get(session)) is None:
            return
        if entry.admitted_s is None:
            entry.admitted_s, entry.cached_tokens = now_s, cached_tokens
            self._sums(entry).queue_s.observe(now_s - (entry.sent_s or entry.began_s))
        self._resume(entry, now_s)
        self._happened(entry, State.ADMITTED, now_s)

    def token(self, session: SessionId, now_s: float) -> None:
        """A token of its answer came."""
        if (entry := self._open.get(session)) is None:
            return
        sums = self._sums(entry)
        entry.answer_tokens += 1
        sums.answer_tokens += 1
        self._answer_rate.add(1, now_s)
        if entry.last_token_s is not None:
            sums.token_s.observe(now_s - entry.last_token_s)
        entry.last_token_s = now_s
        if entry.first_token_s is None:
            entry.first_token_s = now_s
            sums.first_token_s.observe(now_s - entry.began_s)
            sums.prompt_tokens += entry.prompt_tokens
            sums.cached_tokens += entry.cached_tokens
            self._prompt_rate.add(entry.prompt_tokens - entry.cached_tokens, now_s)
            self._happened(entry, State.FIRST_TOKEN, now_s)

    def paused(self, session: SessionId, now_s: float) -> None:
        """No ring computes it."""
        if (entry := self._open.get(session)) is None or _is_paused(entry):
            return
        entry.pauses = [*entry.pauses, (now_s, None)][-_MAX_PAUSES:]
        self._sums(entry).pauses += 1
        self._happened(entry, State.PAUSED, now_s)

    def served(self, fingerprint: str, target: Target | None) -> None:
        """A model is served under this plan from now on; None: under none."""
        if target is not None and self._plans.get(fingerprint) != target:
            self._plans[fingerprint] = target
            self.plan_changes[fingerprint] += 1

    # --- what it knows

    @property
    def open(self) -> tuple[Happening, ...]:
        """How those stand that are not over."""
        return tuple(self._as_happening(entry) for entry in self._open.values())

    def since(self, number: int) -> tuple[Happening, ...]:
        """What happened after `number`; a reader that lags far behind is told of the last ones only."""
        count = min(self.number - number, len(self._happenings))
        return tuple(islice(self._happenings, len(self._happenings) - count, None))

    def find(self, name: str) -> Entry | None:
        """The latest request of a name, as it is now; `last` is the latest that tells anything."""
        for entry in self._newest_first():
            if entry.is_called(name) or (name == "last" and entry.sent_s is not None):
                return replace(entry, pauses=list(entry.pauses))
        return None

    def prompt_tokens_per_s(self, now_s: float) -> float:
        """How fast prompts are read, over the last seconds; what was cached is not counted."""
        return self._prompt_rate.per_s(now_s)

    def answer_tokens_per_s(self, now_s: float) -> float:
        """How fast answers are written, over the last seconds."""
        return self._answer_rate.per_s(now_s)

    def load(self, now_s: float) -> PeerLoad:
        """How many answers are being written, and how fast."""
        return PeerLoad(len(self._open), round(self._answer_rate.per_s(now_s)))

    def _newest_first(self) -> Iterator[Entry]:
        yield from reversed(self._open.values())
        yield from reversed(self._recent)

    def _free_name(self, name: str) -> str:
        """A name that no other has: a client may call several the same, or ask for several answers."""
        taken = {entry.request for entry in self._newest_first()}
        count, free = 1, name
        while free in taken:
            count += 1
            free = f"{name}.{count}"
        return free

    def _sums(self, entry: Entry) -> Sums:
        return self.models.setdefault(entry.model, Sums())

    @staticmethod
    def _resume(entry: Entry, now_s: float) -> None:
        if _is_paused(entry):
            entry.pauses[-1] = (entry.pauses[-1][0], now_s)

    def _happened(self, entry: Entry, state: State, now_s: float) -> None:
        entry.state, entry.state_s = state, now_s
        self.number += 1
        self._happenings.append(self._as_happening(entry))
        self._tell()

    def _as_happening(self, entry: Entry) -> Happening:
        time_ms = round(1000 * (self._epoch_s + entry.state_s))
        return Happening(
            entry.request, entry.state, entry.model, entry.prompt_tokens, entry.answer_tokens, time_ms
        )


def _is_paused(entry: Entry) -> bool:
    return bool(entry.pauses) and entry.pauses[-1][1] is None
