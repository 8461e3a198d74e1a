"""A stage's compute: one shard of a model and the KV caches of its sessions."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import mlx.core as mx

from meshinfer.errors import StageFailed, UnsupportedModel
from meshinfer.messages import Opening, SessionId, Tensor

from .ahead import Pass, Socket, is_possible
from .base import Kept, ModelCard, ModelFiles, Progress, Step, StepResult
from .cache import SessionCaches, make_caches
from .kept import HandedOn, KeptSession
from .loader import LoadedModel, finished, load_in_pieces
from .refill import Refill, Refiller
from .sampling import check_health, sample
from .slicing import Anatomy, Cut, slice_model
from .tensor import DTYPES, lend, take_hidden

# What mlx and mlx-lm raise in the midst of a computation.
_MLX_ERRORS = (ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError, MemoryError)

# mlx keeps freed memory for reuse; as often as mlx-lm's own generation it is handed back.
_CLEAR_EVERY_TOKENS = 256


@dataclass(slots=True)
class _Session:
    """What a shard keeps of a session; `history` (all token ids) at the tail only.

    ahead: the graph of the next step, which reads its input from `socket`. Building it has moved the caches'
    offsets on, so the next step must be that one.
    handed_on: what left for the next stage, from the first token on; None at the tail, or if not kept.
    refill: while it is resumed, until all its caches are there.
    """

    opening: Opening
    caches: SessionCaches
    history: list[int] = field(default_factory=list)
    socket: Socket | None = None
    ahead: Pass | None = None
    handed_on: HandedOn | None = None
    refill: Refill | None = None


class Shard:
    """Some layers of a model, ready to compute. Implements `StageCompute`; used on one thread only."""

    def __init__(self, loaded: LoadedModel, card: ModelCard, layers: range) -> None:
        """Take over a loaded model and slice it; use `Shard.load`."""
        self._fingerprint = card.fingerprint
        self._layers = layers
        self._is_head = layers.start == 0
        self._is_tail = layers.stop == card.layer_count
        self._model: Any = loaded.model
        self._weights = loaded.weights
        self._weight_bytes = loaded.weight_bytes
        self._cut = slice_model(loaded.model, layers, loaded.family)
        self._local_caches: frozenset[int] | None = None
        self._hidden_dtypes: frozenset[str] = frozenset()
        incoming = None
        if loaded.anatomy is not None:
            self._local_caches = frozenset().union(*(loaded.anatomy.layer_caches[layer] for layer in layers))
            self._hidden_dtypes = self._find_hidden_dtypes(loaded.anatomy)
            incoming = mx.zeros((1, 1, loaded.anatomy.hidden_size))
        # Asked of the model itself: not every config.json says it.
        self._vocab_size = int(self._dry_run(incoming).shape[-1])
        self._cut.outgoing = None
        self._refiller = Refiller(
            loaded.model, loaded.family, loaded.anatomy, card.fingerprint, layers, self._hidden_dtypes
        )
        self._handed_on_bytes = 0
        self._sessions: dict[SessionId, _Session] = {}
        self._is_retired = False
        self._builds_ahead = is_possible()

    @classmethod
    def load(
        cls,
        files: ModelFiles,
        card: ModelCard,
        layers: range,
        *,
        reuse: Self | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Load layers `layers` of a model at once, as `loading` does."""
        return finished(cls.loading(files, card, layers, reuse=reuse, progress=progress))

    @classmethod
    def loading(
        cls,
        files: ModelFiles,
        card: ModelCard,
        layers: range,
        *,
        reuse: Self | None = None,
        progress: Progress | None = None,
    ) -> Generator[None, None, Self]:
        """Load layers `layers` of a model; files that hold other layers only may be absent.

        Yields after each piece; between two of them other shards may compute.
        reuse: an earlier shard of the same model, still open: weights that both hold are taken over
            without reading or doubling them. One that was retired is closed by this before anything is
            read; another one may go on computing.

        Raises:
            BrokenModel: a local tensor is missing, torn or of another shape.
            UnsupportedModel: the architecture is unknown, runs its own code, cannot be cut like this, or
                fails as soon as it is called.
        """
        steps = load_in_pieces(
            files, card, layers, kept=_weights_for(card, reuse) if reuse else None, progress=progress
        )
        if reuse is not None and reuse._is_retired:
            reuse.close()
        loaded = yield from steps
        try:
            return cls(loaded, card, layers)
        except (*_MLX_ERRORS, StageFailed) as error:
            raise UnsupportedModel(f"{files.path}: mlx-lm cannot run layers {layers}: {error!r}") from error

    @property
    def layers(self) -> range:
        """The layers this shard computes."""
        return self._layers

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that are loaded."""
        return self._weight_bytes

    def forward(self, step: Step) -> StepResult:
        """Run this shard's layers over a step and append to the session's KV cache.

        Raises:
            StageFailed: the step does not fit the session (position, opening, tensors), the logits are
                not finite, or mlx failed; the session's caches are dropped.
        """
        with self._dropped_if_failed(step):
            session = self._session_of(step)
            result = self._compute(session, step)
        self._tidy(session, len(step.tokens))
        return result

    @contextmanager
    def _dropped_if_failed(self, step: Step) -> Iterator[None]:
        """Drop a step's session if the step fails, and say so as StageFailed."""
        try:
            yield
        except StageFailed:
            self.release(step.session)
            raise
        except _MLX_ERRORS as error:
            self.release(step.session)
            raise StageFailed(
                f"session {step.session}: mlx failed at position {step.position}: {error}"
            ) from error

    def release(self, session: SessionId) -> None:
        """Drop a session's caches and give their memory back; unknown sessions are fine."""
        if self._sessions.pop(session, None) is not None:
            self._note_handed_on()
            mx.clear_cache()

    # --- what outlives a plan

    @property
    def handed_on_bytes(self) -> int:
        """Memory of the hidden states that are kept as they went to the next stage, in all sessions."""
        return self._handed_on_bytes

    def forget_handed_on(self) -> None:
        """Give that memory back; no more of these sessions is kept."""
        for session in self._sessions.values():
            session.handed_on = None
        self._note_handed_on()
        mx.clear_cache()

    def take(self, session: SessionId) -> KeptSession | None:
        """Take a session out, for a later shard; None if it is unknown, or cannot be kept."""
        held = self._sessions.pop(session, None)
        self._note_handed_on()
        if held is None or held.refill is not None or held.caches.length == 0:
            return None
        caches = held.caches
        indexes = range(len(caches.entries)) if self._local_caches is None else sorted(self._local_caches)
        entries = {i: caches.entries[i] for i in indexes if caches.entries[i] is not None}
        if held.ahead is not None:
            # The caches are a step ahead, of a token that never came.
            if not all(entry.is_trimmable() for entry in entries.values()):
                return None
            for entry in entries.values():
                entry.trim(1)
        # Otherwise their graph would keep this shard's weights in memory.
        mx.eval(caches.state)
        return KeptSession(self._fingerprint, self._layers, caches.length, entries, held.handed_on)

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
        if self._model is None or self._is_retired or session in self._sessions or not tokens:
            raise StageFailed(f"session {session} cannot be resumed: it is open, or the shard is closed")
        length, stop = len(tokens), self._layers.stop
        refill = self._refiller.begin(session, length, kept, missing)
        handed_on = None
        if not self._is_tail and any(run.stop == stop for run in missing):
            handed_on = HandedOn()
        elif not self._is_tail and kept is not None and kept.layers.stop == stop:
            handed_on = refill.source if kept.handed_on >= length else None
        if handed_on is not None:
            handed_on.trim(length)
        caches = make_caches(self._model, self._local_caches, refill.given, length)
        history = list(tokens) if self._is_tail else []
        self._sessions[session] = _Session(opening, caches, history, handed_on=handed_on, refill=refill)
        self._note_handed_on()

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
        step = Step(session, position, tokens, None, False, tensors)
        with self._dropped_if_failed(step):
            held = self._sessions.get(session)
            if held is None or held.refill is None:
                raise StageFailed(f"session {session}: it is not on its way back here")
            self._check_tokens(step)
            outgoing = self._refiller.fill(held.refill, layers, step)
            if not held.refill.missing:
                refill = held.refill
                held.caches = make_caches(self._model, self._local_caches, refill.given, refill.length)
            if layers.stop == len(self._model.layers):
                return ()
            if layers.stop == self._layers.stop and held.handed_on is not None:
                held.handed_on.add(outgoing)
                self._note_handed_on()
            return (lend("hidden", outgoing),)

    def handed_on(self, session: SessionId, begin: int, end: int) -> tuple[Tensor, ...]:
        """The hidden states of tokens begin, …, end - 1 of a resumed session, as they were kept.

        Raises:
            StageFailed: they are not there.
        """
        held = self._sessions.get(session)
        if held is None or held.refill is None:
            raise StageFailed(f"session {session}: it is not on its way back here")
        return held.refill.handed_on(begin, end)

    def _note_handed_on(self) -> None:
        # Read by other threads, which must not look into what this one changes.
        sessions = self._sessions.values()
        self._handed_on_bytes = sum(each.handed_on.size_bytes for each in sessions if each.handed_on)

    # --- ends

    def retire(self) -> None:
        """Drop all sessions and compute no more; the weights wait for a later load to take them over."""
        self._is_retired = True
        self._sessions.clear()
        self._note_handed_on()
        mx.clear_cache()

    def close(self) -> None:
        """Drop all sessions and weights. Calling it again does nothing."""
        self._sessions.clear()
        self._weights = {}
        self._weight_bytes = 0
        self._cut = Cut()
        # Its modules refer to each other: the weights would stay until the garbage collector comes by.
        for module in [*self._model.modules()] if self._model is not None else ():
            module.clear()
        self._model = None
        mx.clear_cache()

    def _session_of(self, step: Step) -> _Session:
        """The session of a step that fits it; opened now if it is the first.

        Raises:
            StageFailed: it does not fit.
        """
        if self._model is None or self._is_retired:
            raise StageFailed(f"session {step.session}: the shard is closed")
        session = self._sessions.get(step.session)
        if session is not None and session.refill is not None:
            if session.refill.missing:
                raise StageFailed(f"session {step.session}: it is not whole again yet")
            session.refill = None
        length = 0 if session is None else session.caches.length
        if step.position != length:
            raise StageFailed(
                f"session {step.session}: a step at position {step.position}, the KV cache ends at {length}"
            )
        if (step.opening is None) != (session is not None):
            found = "with" if step.opening is not None else "without"
            raise StageFailed(
                f"session {step.session}: a step {found} an opening at position {step.position}"
            )
        self._check_tokens(step)
        if self._is_head and step.tensors:
            raise StageFailed(f"session {step.session}: {len(step.tensors)} tensors came to the head")
        if session is None:
            assert step.opening is not None
            caches = make_caches(self._model, self._local_caches)
            session = _Session(step.opening, caches, handed_on=None if self._is_tail else HandedOn())
            self._sessions[step.session] = session
        return session

    def _check_tokens(self, step: Step) -> None:
        """Refuse ids that would read memory outside the embedding table."""
        if not step.tokens:
            raise StageFailed(f"session {step.session}: a step without tokens at position {step.position}")
        if min(step.tokens) < 0 or max(step.tokens) >= self._vocab_size:
            raise StageFailed(
                f"session {step.session}: token ids from {min(step.tokens)} to {max(step.tokens)}, "
                f"the vocabulary has {self._vocab_size}"
            )

    def _compute(self, session: _Session, step: Step) -> StepResult:
        """One pass and one evaluation: what goes on, together with the caches."""
        graph = self._graph_of(session, step)
        session.caches.length += len(step.tokens)
        results: tuple[Any, ...] = () if self._is_tail else (graph.outgoing,)
        if self._is_tail:
            session.history.extend(step.tokens)
        if self._is_tail and step.is_sampled:
            # Otherwise norm and head were built, and are never evaluated.
            results = self._sampled(session, graph.logits)
        mx.async_eval(results, session.caches.state)  # type: ignore[no-untyped-call]
        if step.is_sampled and self._builds_ahead:
            # From here on the caches hold the next step's lazy arrays: they are not to be evaluated.
            session.ahead = self._build_ahead(session, step)
        else:
            mx.eval(session.caches.state)
        mx.eval(results)
        if not self._is_tail:
            if session.handed_on is not None:
                session.handed_on.add(graph.outgoing)
                self._note_handed_on()
            return StepResult((lend("hidden", graph.outgoing),), None)
        if not results:
            return StepResult((), None)
        token, health = results
        check_health(health.item())
        return StepResult((), int(token.item()))

    def _graph_of(self, session: _Session, step: Step) -> Pass:
        ahead, session.ahead = session.ahead, None
        if ahead is not None:
            return self._plugged(session, ahead, step)
        hidden = None if self._is_head else take_hidden(step.tensors, self._hidden_dtypes)
        return self._build(session, mx.array(step.tokens, mx.int32)[None], hidden)

    def _plugged(self, session: _Session, ahead: Pass, step: Step) -> Pass:
        """The graph that was built ahead, with this step's input in its memory.

        Raises:
            StageFailed: the step is another one than was built.
        """
        socket = session.socket
        if socket is None or len(step.tokens) != 1 or not socket.fits(step.tensors):
            shapes = [(tensor.dtype, tensor.shape) for tensor in step.tensors]
            raise StageFailed(
                f"session {step.session}: a step of {len(step.tokens)} tokens with tensors {shapes} came at "
                f"position {step.position}: behind a sampled token only a single one can come"
            )
        socket.plug(step.tokens[0], step.tensors)
        return ahead

    def _build_ahead(self, session: _Session, step: Step) -> Pass:
        """Build the graph of the token after `step`, whose computation goes on meanwhile."""
        if session.socket is None:
            session.socket = Socket(step.tensors[0] if step.tensors else None)
        return self._build(session, *session.socket.inputs())

    def _build(self, session: _Session, tokens: Any, hidden: Any) -> Pass:
        """Build the graph for tokens (1, n) and the hidden state (1, n, size) that enters, if any."""
        cut = self._cut
        cut.outgoing = None
        cut.is_trimmed = tokens.shape[1] > 1
        cut.incoming = hidden
        try:
            logits = self._model(tokens, cache=session.caches.entries)
            return Pass(logits, cut.outgoing)
        finally:
            cut.incoming = cut.outgoing = None
            session.caches.advance(tokens.shape[1])

    def _sampled(self, session: _Session, logits: Any) -> tuple[Any, Any]:
        """Lazy: the token, and what `check_health` looks at."""
        opening, history = session.opening, session.history
        answer_start = opening.prompt_tokens - opening.answered_tokens
        return sample(logits[:, -1, :], opening.sampling, history, answer_start, len(history))

    def _tidy(self, session: _Session, tokens: int) -> None:
        if tokens > 1 or session.caches.length % _CLEAR_EVERY_TOKENS == 0:
            mx.clear_cache()

    def _find_hidden_dtypes(self, anatomy: Anatomy) -> frozenset[str]:
        """The types a hidden state may have here: those of local weights, and what comes of them.

        The residual stream of some models is wider than their weights from some layer on.
        """
        prefixes = tuple(f"{anatomy.layer_paths[layer]}." for layer in self._layers)
        floating = {
            weight.dtype
            for name, weight in self._weights.items()
            if name.startswith(prefixes) and mx.issubdtype(weight.dtype, mx.floating)
        }
        made = set()
        for dtype in floating:
            self._dry_run(mx.zeros((1, 1, anatomy.hidden_size), dtype))
            made.add(self._cut.outgoing.dtype)
        return frozenset(name for name, dtype in DTYPES.items() if dtype in floating | made)

    def _dry_run(self, incoming: Any) -> Any:
        """Build the graph of one token's step, evaluate nothing, and return the logits."""
        self._cut.incoming = None if self._is_head else incoming
        caches = make_caches(self._model, self._local_caches)
        logits = self._model(mx.zeros((1, 1), mx.int32), cache=caches.entries)
        self._cut.incoming = None
        return logits


def _weights_for(card: ModelCard, reuse: Shard) -> dict[str, Any] | None:
    return reuse._weights if reuse._fingerprint == card.fingerprint else None
