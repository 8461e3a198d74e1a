"""What peers say to each other about computing. Frozen values; `wire.py` turns them into frames.

What peers say about membership and plans is in `meshinfer.topology`; the greeting and the farewell of
a link are here.
"""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

MAX_TOKEN = (1 << 31) - 1
"""No vocabulary has a greater token id: what peers keep of them is packed."""

SessionId = NewType("SessionId", str)
"""`<origin>-<run>-<count>`: unique over the life of the mesh. On the wire `.<attempt>` follows."""


def _check_tokens(tokens: tuple[int, ...]) -> None:
    if tokens and not 0 <= min(tokens) <= max(tokens) <= MAX_TOKEN:
        raise ValueError(f"token ids from {min(tokens)} to {max(tokens)}: they lie from 0 to {MAX_TOKEN}")


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


MAX_CONSTRAINT_BYTES = 256 << 10
"""UTF-8 of a grammar: each stage of a ring reads it."""

MAX_TOP_LOGPROBS = 20
"""Alternatives that are told beside a token, as in OpenAI's API."""


class ConstraintKind(Enum):
    """In which language a constraint is written.

    JSON: any JSON object, without a text. SCHEMA: JSON Schema. REGEX: a regular expression that the whole
    answer matches, as the Rust crate regex has them. LARK: llguidance's dialect of Lark grammars.
    """

    JSON = "json"
    SCHEMA = "schema"
    REGEX = "regex"
    LARK = "lark"


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer must look like: the tail samples only tokens that can still lead there.

    text: in the kind's language, 256 KiB of UTF-8 at most; empty for JSON.

    Raises:
        ValueError: it is too long, or there is none, or one too many.
    """

    kind: ConstraintKind
    text: str = ""

    def __post_init__(self) -> None:
        size_bytes = len(self.text.encode())
        if size_bytes > MAX_CONSTRAINT_BYTES:
            raise ValueError(f"a grammar of {size_bytes:,} bytes, limit {MAX_CONSTRAINT_BYTES:,}")
        if bool(self.text) == (self.kind is ConstraintKind.JSON):
            wanted = "no text" if self.text else "a text"
            raise ValueError(f"a constraint of the kind {self.kind.value} has {wanted}")


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
    constraint: what the whole answer, from its first token on, must look like; None is anything.
    top_logprobs: with how many alternatives the tail tells each token's log-probability, 0 to 20; None is
        not at all.

    Raises:
        ValueError: more alternatives are asked for than there may be, or fewer than no tokens.
    """

    sampling: Sampling
    prompt_tokens: int
    max_tokens: int
    stop_tokens: tuple[int, ...]
    answered_tokens: int = 0
    prefix: Prefix | None = None
    constraint: Constraint | None = None
    top_logprobs: int | None = None

    def __post_init__(self) -> None:
        if min(self.prompt_tokens, self.max_tokens, self.answered_tokens) < 0:
            raise ValueError("a session begins with no fewer than 0 tokens, and takes no fewer")
        if self.top_logprobs is not None and not 0 <= self.top_logprobs <= MAX_TOP_LOGPROBS:
            raise ValueError(f"top_logprobs is {self.top_logprobs}: 0 to {MAX_TOP_LOGPROBS} can be told")


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
class Pairing:
    """Behind the greetings of a link: which line of the two peers it belongs to.

    own: the sender's number of its line with the other, each greater than those before. other: the other
    side's number of that line; 0 where there is no line yet, and in an answer where that line is unknown.
    attempt: which dial of the one who dialled this is.
    """

    own: int
    other: int = 0
    attempt: int = 0

    def __post_init__(self) -> None:
        if min(self.own, self.other, self.attempt) < 0 or max(self.own, self.other, self.attempt) >= 1 << 63:
            raise ValueError("numbers of lines and dials lie from 0 to 2^63 - 1")


MAX_HOPS = 3
"""So many peers may lie between two that have no link: in a small mesh more than one is rare."""


@dataclass(frozen=True, slots=True)
class FabricOffer:
    """In place of a pairing: this link is to lead a fabric. backend: of `mx.distributed`.

    devices: (cable, own RDMA device at it), for backends that take one.
    """

    backend: str
    devices: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.devices) > 16 or not all(_is_device(device) for _, device in self.devices):
            raise ValueError("a fabric is offered with 16 devices at most, named like rdma_en5")


@dataclass(frozen=True, slots=True)
class FabricAnswer:
    """The fabric that was offered begins. devices: of who offered and of who answers; none where none are."""

    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.devices) not in (0, 2) or not all(_is_device(device) for device in self.devices):
            raise ValueError("a fabric has two devices or none, named like rdma_en5")


@dataclass(frozen=True, slots=True)
class ClearOffer:
    """In place of a pairing: this link is to leave long payloads in clear, and its pairing comes after that.

    secret: drawn for this link alone; its keys follow from it and the answer's.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_secret(self.secret)


@dataclass(frozen=True, slots=True)
class ClearAnswer:
    """The other side wants that too. secret: as in the offer."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_secret(self.secret)


def _check_secret(secret: bytes) -> None:
    if len(secret) != 32:
        raise ValueError(f"the secret of a link has 32 bytes, not {len(secret)}")


def _is_device(name: str) -> bool:
    # It becomes a word of a command line.
    return name.isascii() and name.replace("_", "").isalnum() and len(name) < 64


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

    def __post_init__(self) -> None:
        if not 0 <= self.hops <= MAX_HOPS:
            raise ValueError(f"a message goes over 0 to {MAX_HOPS} more peers, not {self.hops}")


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

    def __post_init__(self) -> None:
        _check_tokens(self.prompt)


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

    def __post_init__(self) -> None:
        _check_tokens(self.tokens)


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

    def __post_init__(self) -> None:
        if self.token is not None:
            _check_tokens((self.token,))


@dataclass(frozen=True, slots=True)
class StepDone:
    """Tail to head: a frame went round; the next may come. spent_us, slowest_us: as in Activation."""

    target: Target
    steps: tuple[Stepped, ...]
    spent_us: int
    slowest_us: int


LEAST_LOGPROB = -9999.0
"""Stands for everything below it, as in OpenAI's API: JSON has no infinity."""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """How likely the model itself held a sampled token, and others in its place; natural logarithms.

    They are the log-softmax of the model's logits: before bias, penalties, temperature, filters and any
    constraint. From LEAST_LOGPROB to 0.

    chosen: the sampled token's. top: (token, log-probability) of the likeliest, these first; the sampled one
    need not be among them.

    Raises:
        ValueError: these are no log-probabilities, or too many.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        if len(self.top) > MAX_TOP_LOGPROBS:
            raise ValueError(f"{len(self.top)} alternatives to a token, limit {MAX_TOP_LOGPROBS}")
        if not all(LEAST_LOGPROB <= each <= 0 for each in (self.chosen, *(value for _, value in self.top))):
            raise ValueError(f"log-probabilities lie between {LEAST_LOGPROB} and 0")


@dataclass(frozen=True, slots=True)
class Token:
    """Tail to origin: one sampled token for the reader; `position` is its index in the sequence.

    finish: set where the answer ends with it. Ended by a stop token, that is not part of the answer; ended
    because its constraint allows nothing more (STOP as well), it is. logprobs: set where they were asked for.
    """

    session: SessionId
    target: Target
    position: int
    token: int
    finish: Finish | None
    logprobs: TokenLogprobs | None = None

    def __post_init__(self) -> None:
        _check_tokens((self.token,))


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
    """Head to origin: the session left the queue and is computed from now on.

    cached_tokens: of its prompt, from the first on, that are not computed: an earlier session's are used.
    """

    session: SessionId
    target: Target
    cached_tokens: int = 0

    def __post_init__(self) -> None:
        if self.cached_tokens < 0:
            raise ValueError(f"{self.cached_tokens} tokens cannot be cached")


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


@dataclass(frozen=True, slots=True)
class AskTimes:
    """Origin to the peers of a ring: how long did you compute on this request? Of all attempts at it."""

    request: SessionId


@dataclass(frozen=True, slots=True)
class LegTimes:
    """A request's prefill, or its decode, at one peer; sums over all its frames, medians of the last ones.

    frames, tokens: computed as a stage. compute_us, wait_us: how long that took, and how long frames waited
    before. step_us, step_wait_us: their medians. turns, turn_us: as the head, frames that went round, and how
    long they were under way.
    """

    frames: int
    tokens: int
    compute_us: int
    wait_us: int
    turns: int
    turn_us: int
    step_us: int
    step_wait_us: int


@dataclass(frozen=True, slots=True)
class Times:
    """Answer to AskTimes; all zeros where nothing is known of it."""

    request: SessionId
    prefill: LegTimes
    decode: LegTimes
