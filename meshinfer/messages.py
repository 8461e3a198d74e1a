"""What peers say to each other about computing. Frozen values; `wire.py` turns them into frames.

What peers say about membership and plans is in `meshinfer.topology`; the greeting and the farewell of
a link are here.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import NewType

from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

SessionId = NewType("SessionId", str)
"""`<origin>-<run>-<count>`: unique over the life of the mesh. On the wire `.<attempt>` follows."""


def request_of(session: SessionId) -> SessionId:
    """What all attempts at one answer have in common."""
    return SessionId(session.rpartition(".")[0])


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array on its way between stages.

    dtype: the mlx name, such as `float32`, `bfloat16`, `float16`.
    shape: row-major, contiguous.
    data: the array's own memory, lent; exactly as long as dtype and shape say.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Finish(Enum):
    """Why an answer ended. The values are those of OpenAI's API."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tail turns logits into a token: a pure function of these, the history and the position.

    temperature: 0 is greedy. top_p, min_p in [0, 1] (1 and 0 are off); top_k 0 is off.
    repetition_penalty: divides positive and multiplies negative logits of seen tokens; 1 is off.
    presence_penalty, frequency_penalty: subtracted once, or once an occurrence, from tokens of the
        answer so far; 0 is off.
    penalty_window: how many of the last tokens (prompt included) the repetition penalty looks at.
    logit_bias: (token id, added to its logit) pairs.
    seed: with the position it fixes the draw, on whichever peers the ring runs; 64 bits, signed or not.

    Raises:
        ValueError: a parameter is outside its range, or no number.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_window: int = 64
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "temperature": 0 <= self.temperature < math.inf,
            "top_p": 0 <= self.top_p <= 1,
            "top_k": self.top_k >= 0,
            "min_p": 0 <= self.min_p <= 1,
            "repetition_penalty": 0 < self.repetition_penalty < math.inf,
            "presence_penalty": math.isfinite(self.presence_penalty),
            "frequency_penalty": math.isfinite(self.frequency_penalty),
            "penalty_window": self.penalty_window >= 0,
            "logit_bias": all(abs(token) < 1 << 63 and math.isfinite(b) for token, b in self.logit_bias),
            "seed": -(1 << 63) <= self.seed < 1 << 64,
        }
        for name, is_within in ranges.items():
            if not is_within:
                raise ValueError(f"sampling with {name} {getattr(self, name)!r} is outside its range")


@dataclass(frozen=True, slots=True)
class Prefix:
    """Where a session's caches begin: with the first `length` tokens of a session that is over.

    source: the session that was retained. is_taken: its caches are taken over; else they are copied, and
    later sessions may begin with them as well.
    """

    source: SessionId
    length: int
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """What a stage must know when a session begins; rides in the session's first frame.

    prompt_tokens: length of what is prefilled; answered_tokens of them at its end are an answer
        begun in an earlier epoch. max_tokens: how many more the tail may sample.
    stop_tokens: ids that end the answer (they are not part of it).
    prefix: what need not be prefilled: the session's first frame comes at position `prefix.length` then.
    """

    sampling: Sampling
    prompt_tokens: int
    max_tokens: int
    stop_tokens: tuple[int, ...]
    answered_tokens: int = 0
    prefix: Prefix | None = None


MAX_HELLO_TEXT = 256
"""Characters of any one text in a greeting: it is read before anybody is trusted."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First message in both directions of a link: who speaks.

    mesh: name of the mesh; peers of another one are refused. address: where this peer listens, as the
    other end can dial it (its host may be 0.0.0.0: then the link's own address counts).
    """

    peer: PeerId
    run: int
    name: str
    mesh: str
    release: str
    address: str

    def __post_init__(self) -> None:
        texts = (self.peer, self.name, self.mesh, self.release, self.address)
        if not self.peer or max(len(text) for text in texts) > MAX_HELLO_TEXT or self.run < 0:
            raise ValueError(f"a greeting names its peer, in texts of at most {MAX_HELLO_TEXT} characters")


@dataclass(frozen=True, slots=True)
class Farewell:
    """Last message of a link that is ended on purpose; `leaving` tells that the whole peer goes."""

    reason: str
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Pulse:
    """Nothing to say, and still there: so that a cable that was pulled is told from a peer that is idle."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A message on its way over another peer, since its sender has no link to the one that it is for.

    sender: the greeting of who wrote it. hops: over so many more peers it may go. head, tensors: of the
    message's own frame, as it would have gone on a link; tensors are its payload, in pieces without type.
    """

    to: PeerId
    sender: Hello
    hops: int
    head: bytes
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Answer to a Relayed: this peer has no link to `peer` either."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Submit:
    """Origin to head: begin a session. `prompt` are token ids.

    is_resumed: an earlier attempt at it came somewhere, so stages may have kept some of what they computed.
    """

    session: SessionId
    target: Target
    origin: PeerId
    prompt: tuple[int, ...]
    opening: Opening
    is_resumed: bool = False


MAX_ROWS = 4096
"""Sessions in a lane."""


@dataclass(frozen=True, slots=True)
class Row:
    """One session's part of a step.

    position: index in the sequence of the first token; every KV cache must end there.
    tokens: the ids at position, position + 1, …: they travel along, some families need them.
    opening: set in a session's first step only.
    is_sampled: whether the tail samples after the last of `tokens` (false while a prompt goes on).
    is_marked: caches that cannot be cut keep a copy of what they are after this step, so that a later
        session may begin with the tokens up to here (see Prefix).
    """

    session: SessionId
    origin: PeerId
    position: int
    tokens: tuple[int, ...]
    opening: Opening | None
    is_sampled: bool
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Activation:
    """Hidden states on their way from one stage to the next: those of one session, or of a lane.

    rows: what is computed together, as one batch, in this order; with several, each has one token. Which
        sessions a lane has is told by this alone, so all stages see them join and leave at the same step.
    first_layer: the next layer to compute; the receiver's range must begin there.
    tensors: what crosses the cut, a row of each for every one of `rows`; empty on the way into the head.
    until_layer: above 0 it fills caches of a session that is rebuilt, of layers up to this one; see Rebuild.
    spent_us, slowest_us: how long the stages so far computed, together and at most.

    Raises:
        ValueError: rows that cannot be computed together.
    """

    target: Target
    rows: tuple[Row, ...]
    first_layer: int
    tensors: tuple[Tensor, ...] = ()
    until_layer: int = 0
    spent_us: int = 0
    slowest_us: int = 0

    def __post_init__(self) -> None:
        rows = self.rows
        if not 0 < len(rows) <= MAX_ROWS:
            raise ValueError(f"a step has 1 to {MAX_ROWS} rows, not {len(rows)}")
        if len(rows) > 1:
            if self.until_layer or any(row.opening or len(row.tokens) != 1 for row in rows):
                raise ValueError("a step of several sessions has one token of each, and opens or fills none")
            if len({row.session for row in rows}) < len(rows):
                raise ValueError("a step has a session twice")


@dataclass(frozen=True, slots=True)
class Holding:
    """What a peer kept of a session whose plan came to its end: the caches of some layers.

    length: tokens in the caches. is_trimmable: whether they can be cut to fewer. handed_on: so many tokens'
    hidden states behind the last of the layers are there as well, as they went to the next stage.
    """

    peer: PeerId
    first_layer: int
    end_layer: int
    length: int
    is_trimmable: bool
    handed_on: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Along the ring, from the head: what is left of an earlier attempt? Each stage adds what it kept."""

    session: SessionId
    target: Target
    origin: PeerId
    holdings: tuple[Holding, ...] = ()


@dataclass(frozen=True, slots=True)
class Recalled:
    """Tail to head: a Recall went round."""

    session: SessionId
    target: Target
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """Layers whose caches must be computed anew, first_layer, …, end_layer - 1, on however many stages.

    source: who begins, with token ids where first_layer is 0, else with the hidden states that it kept.
    """

    first_layer: int
    end_layer: int
    source: PeerId


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Along the ring, from the head: begin a session with what was kept of it, and fill what is missing.

    tokens: the ids that all caches shall hold then; the session goes on behind them.
    """

    session: SessionId
    target: Target
    origin: PeerId
    tokens: tuple[int, ...]
    opening: Opening
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """To the head: one of a Rebuild's fills is done."""

    session: SessionId
    target: Target


@dataclass(frozen=True, slots=True)
class Stepped:
    """One session's part of a StepDone. position: where its next token stands.

    token: what was sampled, None for a chunk of prompt. finish: set when the answer ends here.
    """

    session: SessionId
    position: int
    token: int | None
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class StepDone:
    """Tail to head: a frame went round; the next may come. spent_us, slowest_us: as in Activation."""

    target: Target
    steps: tuple[Stepped, ...]
    spent_us: int
    slowest_us: int


@dataclass(frozen=True, slots=True)
class Token:
    """Tail to origin: one sampled token for the reader; `position` is its index in the sequence."""

    session: SessionId
    target: Target
    position: int
    token: int
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class Queued:
    """Head to origin, now and then: the session waits for its turn behind `ahead` others."""

    session: SessionId
    target: Target
    ahead: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """Head to origin: another piece of the session's prompt went round."""

    session: SessionId
    target: Target


@dataclass(frozen=True, slots=True)
class Admitted:
    """Head to origin: the session left the queue and is computed from now on."""

    session: SessionId
    target: Target


@dataclass(frozen=True, slots=True)
class Refused:
    """Head to origin: the session was not admitted. `is_full` tells a full queue from a misfit."""

    session: SessionId
    target: Target
    reason: str
    is_full: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """Origin to head: let go of the session everywhere.

    is_over: its reader went away; else it is going to be resumed, so what was computed may be kept.
    """

    session: SessionId
    target: Target
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """Along the ring, behind the session's last frame: drop its caches; unless it is over, they are kept.

    retained_tokens: above 0 it is over, and its caches, of so many tokens, wait for later sessions that
    begin with the same ones, until they are taken over, or released once more.
    """

    session: SessionId
    target: Target
    is_over: bool = True
    retained_tokens: int = 0


@dataclass(frozen=True, slots=True)
class WrongEpoch:
    """A stage's answer to a frame of another plan than its own: nothing was computed."""

    session: SessionId
    target: Target
    active: Target | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A stage's answer to a frame that it could not compute: to origin and head, with the cause.

    is_retryable: the ring broke, so the same request may succeed in the next epoch; otherwise it would fail
    again in the same way. is_kept_useless: out of what stages kept it cannot go on, from its tokens it can.
    """

    session: SessionId
    target: Target
    peer: PeerId
    reason: str
    is_retryable: bool
    is_kept_useless: bool = False
