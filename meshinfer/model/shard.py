"""A stage's compute: one shard of a model and the KV caches of its sessions."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self

import mlx.core as mx

from meshinfer.errors import StageFailed, UnsupportedModel
from meshinfer.messages import Opening, SessionId, Tensor

from .base import Kept, ModelCard, ModelFiles, Progress, Step, StepResult
from .engine import Engine, Outcome, joined, split
from .kept import HandedOn, KeptSession
from .language import Tokenizer
from .loader import LoadedModel, finished, load_in_pieces
from .refill import Refiller
from .runtime import give_memory_back
from .session import Session
from .sessions import Sessions
from .sliced import MLX_ERRORS, SlicedModel
from .tensor import lend_all

# mlx keeps freed memory for reuse; as often as mlx-lm's own generation it is handed back.
_CLEAR_EVERY_STEPS = 256


class Shard:
    """Some layers of a model, ready to compute. Implements `StageCompute`; used on one thread only."""

    def __init__(
        self, loaded: LoadedModel, card: ModelCard, layers: range, tokenizer: Tokenizer | None = None
    ) -> None:
        """Take over a loaded model and slice it; use `Shard.load`."""
        self._fingerprint = card.fingerprint
        self._layers = layers
        self._layer_count = card.layer_count
        self._weights = loaded.weights
        self._weight_bytes = loaded.weight_bytes
        self._model = SlicedModel(loaded, layers, card.layer_count)
        self._engine = Engine(self._model)
        self._refiller = Refiller(
            loaded, card.fingerprint, layers, self._model.hidden_dtypes, self._model.quantised
        )
        self._sessions = Sessions(self._model, tokenizer)
        self._step_count = 0
        self._is_retired = False

    @classmethod
    def load(
        cls,
        files: ModelFiles,
        card: ModelCard,
        layers: range,
        *,
        reuse: Self | None = None,
        progress: Progress | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> Self:
        """Load layers `layers` of a model at once, as `loading` does."""
        loading = cls.loading(files, card, layers, reuse=reuse, progress=progress, tokenizer=tokenizer)
        return finished(loading)

    @classmethod
    def loading(
        cls,
        files: ModelFiles,
        card: ModelCard,
        layers: range,
        *,
        reuse: Self | None = None,
        progress: Progress | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> Generator[None, None, Self]:
        """Load layers `layers` of a model; files that hold other layers only may be absent.

        Yields after each piece; between two of them other shards may compute.
        reuse: an earlier shard of the same model, still open: weights that both hold are taken over
            without reading or doubling them. One that was retired is closed by this before anything is
            read; another one may go on computing.
        tokenizer: the model's; without one, a session whose answer is constrained fails at the tail.

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
            return cls(loaded, card, layers, tokenizer)
        except UnsupportedModel as error:
            raise UnsupportedModel(f"{files.name}: {error}") from error
        except (*MLX_ERRORS, StageFailed) as error:
            raise UnsupportedModel(f"{files.path}: mlx-lm cannot run layers {layers}: {error!r}") from error

    @property
    def layers(self) -> range:
        """The layers this shard computes."""
        return self._layers

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that are loaded."""
        return self._weight_bytes

    @property
    def is_trimmable(self) -> bool:
        """Whether a Prefix may end anywhere in a session's tokens: all caches of the model can be cut.

        Otherwise it ends where a step was marked, or where the whole session does.
        """
        return self._model.is_trimmable

    def forward(self, step: Step) -> StepResult:
        """Run this shard's layers over a step and append to the KV caches of its sessions.

        Raises:
            StageFailed: the step does not fit its sessions (position, opening, prefix, tensors) or mlx
                failed; the caches of all its sessions are dropped.
        """
        with self._dropped_if_failed({row.session: row.position for row in step.rows}):
            self._check_open()
            sessions = self._sessions.of(step)
            outcome = self._compute(sessions, step)
        faults = tuple((step.rows[place].session, reason) for place, reason in outcome.faults.items())
        for session, _ in faults:
            self._sessions.drop(session)
        self._sessions.note_handed_on()
        self._tidy(step)
        return StepResult(
            lend_all(outcome.outgoing),
            outcome.tokens,
            faults,
            tuple(outcome.logprobs.get(place) for place in range(len(step.rows))) if outcome.logprobs else (),
            tuple(step.rows[place].session for place in outcome.ended),
        )

    def _compute(self, sessions: list[Session], step: Step) -> Outcome:
        """Compute a step's rows as one batch, or one after the other where the model cannot take a batch.

        A session's first token goes alone: some models treat it otherwise, and a batch would hide that.
        """
        can_be_one = self._model.is_batchable and all(session.length for session in sessions)
        if len(step.rows) > 1 and not can_be_one:
            steps = split(step)
            return joined([self._compute([held], one) for held, one in zip(sessions, steps, strict=True)])
        group = self._sessions.groups.gather([row.session for row in step.rows])
        return self._engine.compute(group, sessions, step)

    def _tidy(self, step: Step) -> None:
        self._step_count += 1
        if len(step.rows[0].tokens) > 1 or self._step_count % _CLEAR_EVERY_STEPS == 0:
            mx.clear_cache()

    def _check_open(self) -> None:
        if self._model.is_closed or self._is_retired:
            raise StageFailed("the shard is closed")

    @contextmanager
    def _dropped_if_failed(self, positions: dict[SessionId, int]) -> Iterator[None]:
        """Drop some sessions if what is done for them fails, and say so as StageFailed."""
        try:
            yield
        except (*MLX_ERRORS, StageFailed) as error:
            for session in positions:
                self._sessions.drop(session)
            if isinstance(error, StageFailed):
                raise
            where = ", ".join(f"session {session} at position {positions[session]}" for session in positions)
            raise StageFailed(f"mlx failed in {where}: {error}") from error

    def retain(self, session: SessionId) -> None:
        """A session is over: keep its caches for a Prefix of later ones, until taken over or released.

        Does nothing where it is unknown; one that is not whole, or has no tokens, is dropped.
        """
        self._sessions.retain(session)

    def release(self, session: SessionId) -> None:
        """Drop a session's caches, of one that was retained as well; unknown sessions are fine."""
        self._sessions.drop(session)
        self._sessions.drop_retained(session)

    # --- what outlives a plan

    @property
    def handed_on_bytes(self) -> int:
        """Memory of the hidden states that are kept as they went to the next stage, in all sessions."""
        return self._sessions.handed_on_bytes

    def forget_handed_on(self) -> None:
        """Give that memory back; no more of these sessions is kept."""
        self._sessions.forget_handed_on()
        mx.clear_cache()

    def take(self, session: SessionId) -> KeptSession | None:
        """Take a session out, for a later shard; None if it is unknown, or cannot be kept."""
        left = self._sessions.take_out(session)
        if left is None:
            return None
        held, caches = left
        given = self._model.given_by(caches)
        return KeptSession(self._fingerprint, self._layers, held.length, given, held.handed_on)

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
        self._check_open()
        if session in self._sessions or not tokens:
            raise StageFailed(f"session {session} cannot be resumed: it is open, or has no tokens")
        length, stop = len(tokens), self._layers.stop
        refill = self._refiller.begin(session, length, kept, missing)
        handed_on = None
        if not self._model.is_tail and any(run.stop == stop for run in missing):
            handed_on = HandedOn()
        elif not self._model.is_tail and kept is not None and kept.layers.stop == stop:
            handed_on = refill.source if kept.handed_on >= length else None
        if handed_on is not None:
            handed_on.trim(length)
        history = list(tokens) if self._model.is_tail else []
        self._sessions.begin_anew(session, Session(opening, length, history, handed_on, refill))

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
        with self._dropped_if_failed({session: position}):
            held, refill = self._sessions.on_its_way(session)
            self._sessions.check_tokens(session, position, tokens)
            outgoing = self._refiller.fill(session, refill, layers, position, tokens, tensors)
            self._sessions.open_if_whole(session)
            if layers.stop == self._layer_count:
                return ()
            if layers.stop == self._layers.stop and held.handed_on is not None:
                held.handed_on.add(outgoing)
                self._sessions.note_handed_on()
            return lend_all(outgoing)

    def handed_on(self, session: SessionId, begin: int, end: int) -> tuple[Tensor, ...]:
        """The hidden states of tokens begin, …, end - 1 of a resumed session, as they were kept.

        Raises:
            StageFailed: they are not there.
        """
        _, refill = self._sessions.on_its_way(session)
        return refill.handed_on(begin, end)

    # --- ends

    def retire(self) -> None:
        """Drop all sessions and compute no more; the weights wait for a later load to take them over."""
        self._is_retired = True
        self._sessions.clear()
        mx.clear_cache()

    def close(self) -> None:
        """Drop all sessions and weights. Calling it again does nothing."""
        self._sessions.clear()
        self._weights = {}
        self._weight_bytes = 0
        self._model.close()
        give_memory_back()


def _weights_for(card: ModelCard, reuse: Shard) -> dict[str, Any] | None:
    return reuse._weights if reuse._fingerprint == card.fingerprint else None
