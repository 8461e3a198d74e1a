"""A model that is a pure function of the tokens, cut in shards as a real one is, and quick.

Hidden states are digests, and so is what a layer keeps of a session (its KV cache). Each depends on all
that the layer saw before: a frame that is lost, repeated, out of order or of another session changes
every token behind it. How a prompt is cut in chunks, and the layers in shards, changes none.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Row, Sampling, SessionId, Tensor
from meshinfer.model.base import Kept, ModelCard, ModelFiles, Progress, StageCompute, Step, StepResult

VOCAB_SIZE = 1000
HIDDEN_BYTES = 32
HYBRID = "fake hybrid"
"""The type of a model whose caches cannot be cut."""

Observer = Callable[[SessionId, int, int], None]
"""Told of each token that a layer computed: (session, position, layer), in the order it was done."""


@dataclass(slots=True)
class _Session:
    """caches: by layer, and token by token, a digest of all that came in up to it.

    handed_on: what left, token by token; None if that is not kept. missing: caches on their way, by layers.
    source: what had left of an earlier attempt. refilled: tokens that all caches will hold at last. marks:
    lengths at which a prefix may end where caches cannot be cut.
    """

    opening: Opening
    caches: dict[int, list[bytes]]
    handed_on: list[bytes] | None
    missing: tuple[range, ...] = ()
    source: list[bytes] = field(default_factory=list)
    refilled: int = 0
    marks: set[int] = field(default_factory=set)

    @property
    def length(self) -> int:
        """Tokens that are computed."""
        return self.refilled if self.missing else min(map(len, self.caches.values()))


@dataclass(slots=True)
class FakeKept:
    """A session without its shard. Implements `Kept`."""

    layers: range
    length: int
    caches: dict[int, list[bytes]]
    states: list[bytes]
    token_bytes: int
    is_trimmable: bool = True

    @property
    def handed_on(self) -> int:
        """Tokens whose hidden states are here."""
        return len(self.states)

    @property
    def size_bytes(self) -> int:
        """What a real one would take."""
        return self.length * self.token_bytes + len(self.states) * HIDDEN_BYTES

    def drop(self) -> None:
        """Give the memory back."""
        self.caches.clear()
        self.states = []


@dataclass(slots=True)
class FakeShard:
    """Some layers of a fake model. Implements `StageCompute`, and refuses what the real one refuses."""

    card: ModelCard
    layers: range
    observe: Observer | None = None
    is_retired: bool = False
    is_closed: bool = False
    _sessions: dict[SessionId, _Session] = field(default_factory=dict)
    _retained: dict[SessionId, _Session] = field(default_factory=dict)

    @property
    def is_trimmable(self) -> bool:
        """Whether a prefix may end anywhere."""
        return self.card.model_type != HYBRID

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that a real one would hold."""
        return 0 if self.is_closed else _weight_bytes(self.card, self.layers)

    @property
    def sessions(self) -> tuple[SessionId, ...]:
        """The sessions with a cache here, oldest first."""
        return tuple(self._sessions)

    def forward(self, step: Step) -> StepResult:
        """Run the layers over a step and append to the caches of its sessions.

        Raises:
            StageFailed: the step does not fit its sessions; their caches are dropped.
        """
        try:
            sessions = [self._session_of(row) for row in step.rows]
            entering = self._entering(step)
        except StageFailed:
            for row in step.rows:
                self.release(row.session)
            raise
        leaving = []
        for row, session, states in zip(step.rows, sessions, entering, strict=True):
            left = [self._pass(row.session, self.layers, session, state) for state in states]
            if session.handed_on is not None:
                session.handed_on += left
            if row.is_marked:
                session.marks.add(session.length)
            leaving.append(left)
        if self.layers.stop < self.card.layer_count:
            return StepResult((_hidden(leaving),))
        return StepResult(
            (),
            tuple(
                _sample(left[-1], session.opening.sampling) if row.is_sampled else None
                for row, session, left in zip(step.rows, sessions, leaving, strict=True)
            ),
        )

    def retain(self, session: SessionId) -> None:
        """A session is over: keep its caches for later ones."""
        held = self._sessions.pop(session, None)
        if held is not None and not held.missing:
            held.handed_on = None
            self._retained[session] = held

    def release(self, session: SessionId) -> None:
        """Drop a session's caches; unknown sessions are fine."""
        self._sessions.pop(session, None)
        self._retained.pop(session, None)

    @property
    def handed_on_bytes(self) -> int:
        """Memory of the hidden states that are kept."""
        return sum(len(each.handed_on or ()) for each in self._sessions.values()) * HIDDEN_BYTES

    def forget_handed_on(self) -> None:
        """Give that memory back."""
        for session in self._sessions.values():
            session.handed_on = None

    def take(self, session: SessionId) -> Kept | None:
        """Take a session out, for a later shard."""
        held = self._sessions.pop(session, None)
        if held is None or held.missing or held.length == 0:
            return None
        token_bytes = sum(self.card.kv_bytes_per_token[layer] for layer in self.layers)
        states = held.handed_on or []
        return FakeKept(self.layers, held.length, held.caches, states, token_bytes, self.is_trimmable)

    def resume(
        self,
        session: SessionId,
        opening: Opening,
        tokens: tuple[int, ...],
        kept: Kept | None,
        missing: tuple[range, ...],
    ) -> None:
        """Begin a session that `kept` was taken of."""
        if self.is_closed or self.is_retired or session in self._sessions or not tokens:
            raise StageFailed(f"session {session} cannot be resumed here")
        length, caches = len(tokens), {layer: list[bytes]() for layer in self.layers}
        held = [layer for layer in self.layers if not any(layer in run for run in missing)]
        source: list[bytes] = []
        if isinstance(kept, FakeKept):
            source = kept.states[:length]
        if held:
            if not isinstance(kept, FakeKept) or not set(held) <= set(kept.caches) or kept.length < length:
                raise StageFailed(f"session {session}: layers {held} were not kept for {length} tokens")
            caches.update((layer, kept.caches[layer][:length]) for layer in held)
        handed_on: list[bytes] | None = None
        if self.layers.stop < self.card.layer_count:
            if any(run.stop == self.layers.stop for run in missing):
                handed_on = []
            elif kept is not None and kept.layers.stop == self.layers.stop and len(source) == length:
                handed_on = list(source)
        self._sessions[session] = _Session(opening, caches, handed_on, missing, source, length)

    def fill(
        self,
        session: SessionId,
        layers: range,
        position: int,
        tokens: tuple[int, ...],
        tensors: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """Compute some missing layers of a resumed session."""
        held = self._sessions.get(session)
        if held is None or layers not in held.missing:
            raise StageFailed(f"session {session}: layers {layers} are not missing")
        if position != len(held.caches[layers[0]]) or position + len(tokens) > held.refilled:
            raise StageFailed(f"session {session}: tokens from {position} on are not what is missing")
        if layers.start == 0:
            entering = [_embed(token) for token in tokens]
        else:
            (entering,) = self._brought(1, len(tokens), tensors)
        leaving = [self._pass(session, layers, held, state) for state in entering]
        if layers.stop == self.layers.stop and held.handed_on is not None:
            held.handed_on += leaving
        if position + len(tokens) == held.refilled:
            held.missing = tuple(run for run in held.missing if run != layers)
        return (_hidden([leaving]),) if layers.stop < self.card.layer_count else ()

    def handed_on(self, session: SessionId, begin: int, end: int) -> tuple[Tensor, ...]:
        """The hidden states of some tokens of a resumed session, as they were kept."""
        held = self._sessions.get(session)
        if held is None or not 0 <= begin < end <= len(held.source):
            raise StageFailed(f"session {session}: what left at {begin} to {end - 1} was not kept")
        return (_hidden([held.source[begin:end]]),)

    def retire(self) -> None:
        """Drop all sessions and compute no more; a later load may take the weights over."""
        self._sessions.clear()
        self._retained.clear()
        self.is_retired = True

    def close(self) -> None:
        """Drop all sessions and weights."""
        self._sessions.clear()
        self._retained.clear()
        self.is_closed = True

    def _pass(self, name: SessionId, layers: range, session: _Session, state: bytes) -> bytes:
        """Take one token's hidden state through some layers."""
        for layer in layers:
            cache = session.caches[layer]
            state, after = _layer(layer, state, cache[-1] if cache else b"")
            if self.observe is not None:
                self.observe(name, len(cache), layer)
            cache.append(after)
        return state

    def _session_of(self, row: Row) -> _Session:
        name = f"session {row.session}"
        if self.is_closed or self.is_retired:
            raise StageFailed(f"{name}: the shard is closed")
        session = self._sessions.get(row.session)
        if session is not None and session.missing:
            raise StageFailed(f"{name}: it is not whole again yet")
        if (row.opening is None) != (session is not None):
            found = "with" if row.opening is not None else "without"
            raise StageFailed(f"{name}: a step {found} an opening at position {row.position}")
        if session is None:
            assert row.opening is not None
            session = self._opened(row.opening)
        if row.position != session.length:
            raise StageFailed(
                f"{name}: a step at position {row.position}, the KV cache ends at {session.length}"
            )
        if not row.tokens:
            raise StageFailed(f"{name}: a step without tokens at position {row.position}")
        if min(row.tokens) < 0 or max(row.tokens) >= self.card.vocab_size:
            raise StageFailed(
                f"{name}: token ids from {min(row.tokens)} to {max(row.tokens)}, "
                f"the vocabulary has {self.card.vocab_size}"
            )
        self._sessions[row.session] = session
        return session

    def _opened(self, opening: Opening) -> _Session:
        is_tail = self.layers.stop == self.card.layer_count
        prefix = opening.prefix
        if prefix is None:
            caches = {layer: list[bytes]() for layer in self.layers}
            return _Session(opening, caches, None if is_tail else [])
        source = self._retained.get(prefix.source)
        if source is None or prefix.length > source.length:
            raise StageFailed(f"no {prefix.length} tokens of session {prefix.source} were retained")
        if not self.is_trimmable and prefix.length not in {*source.marks, source.length}:
            raise StageFailed(f"session {prefix.source} has no mark at {prefix.length}")
        if prefix.is_taken:
            del self._retained[prefix.source]
        return _Session(
            opening, {layer: cache[: prefix.length] for layer, cache in source.caches.items()}, None
        )

    def _entering(self, step: Step) -> list[list[bytes]]:
        """The hidden state of each row's tokens as they enter the first layer here."""
        if self.layers.start == 0:
            if step.tensors:
                raise StageFailed(f"{len(step.tensors)} tensors came to the head")
            return [[_embed(token) for token in row.tokens] for row in step.rows]
        return self._brought(len(step.rows), len(step.rows[0].tokens), step.tensors)

    def _brought(self, rows: int, count: int, tensors: tuple[Tensor, ...]) -> list[list[bytes]]:
        """The hidden states that a frame brings."""
        found = [(tensor.name, tensor.dtype, tensor.shape, tensor.data.nbytes) for tensor in tensors]
        row_bytes = count * HIDDEN_BYTES
        expected = [("hidden", "uint8", (rows, count, HIDDEN_BYTES), rows * row_bytes)]
        if found != expected:
            raise StageFailed(f"the step brings {found}, expected are {expected}")
        data = bytes(tensors[0].data)
        states = [data[at : at + HIDDEN_BYTES] for at in range(0, len(data), HIDDEN_BYTES)]
        return [states[at : at + count] for at in range(0, len(states), count)]


def load_fake_shard(
    files: ModelFiles,
    card: ModelCard,
    layers: range,
    previous: StageCompute | None,
    progress: Progress,
    observe: Observer | None = None,
) -> Generator[StageCompute | None, None, None]:
    """Stand in for `load_shard`, a layer a piece; `partial(load_fake_shard, observe=…)` observes shards.

    As there, a retired shard is closed before anything is read.
    """
    shard = FakeShard(card, layers, observe)
    if isinstance(previous, FakeShard) and previous.is_retired:
        previous.close()
    del previous
    for done in range(1, len(layers) + 1):
        progress(files.name, shard.weight_bytes * done // len(layers), shard.weight_bytes)
        yield None
    yield shard


def whole_answer(
    prompt: Sequence[int],
    max_tokens: int,
    layers: int,
    stop: Sequence[int] = (),
    sampling: Sampling | None = None,
) -> tuple[int, ...]:
    """What the uncut model answers: the tokens as they are sampled, one of `stop` that ends it included."""
    sampling = sampling or Sampling()
    caches = [b""] * layers
    answer: list[int] = []
    entering = list(prompt)
    while len(answer) < max_tokens and not (answer and answer[-1] in stop):
        state = b""
        for token in entering:
            state = _embed(token)
            for layer in range(layers):
                state, caches[layer] = _layer(layer, state, caches[layer])
        entering = [_sample(state, sampling)]
        answer += entering
    return tuple(answer)


def _embed(token: int) -> bytes:
    return blake2b(b"embed %d" % token, digest_size=HIDDEN_BYTES).digest()


def _layer(layer: int, state: bytes, cache: bytes) -> tuple[bytes, bytes]:
    """What leaves a layer, and its cache from then on."""
    cache = blake2b(cache + state, digest_size=HIDDEN_BYTES, person=b"cache %d" % layer).digest()
    return blake2b(state + cache, digest_size=HIDDEN_BYTES, person=b"state %d" % layer).digest(), cache


def _sample(state: bytes, sampling: Sampling) -> int:
    """Draw a token: of all that a request may set, the seed is what the draw depends on."""
    drawn = blake2b(b"%b %d" % (state, sampling.seed), digest_size=8).digest()
    return int.from_bytes(drawn) % VOCAB_SIZE


def _hidden(rows: Sequence[Sequence[bytes]]) -> Tensor:
    data = b"".join(state for states in rows for state in states)
    return Tensor("hidden", "uint8", (len(rows), len(rows[0]), HIDDEN_BYTES), memoryview(data))


def _weight_bytes(card: ModelCard, layers: range) -> int:
    is_head, is_tail = layers.start == 0, layers.stop == card.layer_count
    ends_bytes = is_head * card.embedding_bytes + is_tail * card.tail_bytes
    return (
        sum(card.layer_bytes[layers.start : layers.stop])
        + ends_bytes
        - (is_head and is_tail) * card.shared_bytes
    )
