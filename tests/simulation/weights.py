"""Shards of one machine in a simulation: what they compute is told, and what lies in memory is counted."""

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from meshinfer.errors import BrokenModel
from meshinfer.messages import Opening, SessionId, Tensor
from meshinfer.model.base import Kept, ModelCard, ModelFiles, Progress, StageCompute, Step, StepResult
from meshinfer.model.language import Tokenizer
from meshinfer.topology.plan import Plan
from meshinfer.topology.ring import PeerId, Stage
from tests.simulation.ledger import Ledger
from tests.simulation.probe import Probe
from tests.simulation.shard import FakeShard, load_fake_shard


class ProbedShard:
    """A fake shard whose steps are told. Implements `StageCompute`."""

    def __init__(self, inner: FakeShard, plan: Plan, stage: Stage, probe: Probe) -> None:
        self.inner = inner
        self._plan = plan
        self._stage = stage
        self._probe = probe

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that a real one would hold."""
        return self.inner.weight_bytes

    def forward(self, step: Step) -> StepResult:
        """Run the layers over a step."""
        self._probe.computes(self._plan, self._stage, step)
        return self.inner.forward(step)

    @property
    def is_trimmable(self) -> bool:
        """Whether a prefix may end anywhere."""
        return self.inner.is_trimmable

    def retain(self, session: SessionId) -> None:
        """Keep the caches of a session that is over."""
        self._probe.retains()
        self.inner.retain(session)

    def release(self, session: SessionId) -> None:
        """Drop a session's caches."""
        self.inner.release(session)

    @property
    def handed_on_bytes(self) -> int:
        """Memory of the hidden states that are kept."""
        return self.inner.handed_on_bytes

    def forget_handed_on(self) -> None:
        """Give that memory back."""
        self.inner.forget_handed_on()

    def take(self, session: SessionId) -> Kept | None:
        """Take a session out."""
        return self.inner.take(session)

    def resume(
        self,
        session: SessionId,
        opening: Opening,
        tokens: tuple[int, ...],
        kept: Kept | None,
        missing: tuple[range, ...],
    ) -> None:
        """Begin a session that `kept` was taken of."""
        self._probe.resumes(self._plan, session, len(tokens), kept is not None)
        self.inner.resume(session, opening, tokens, kept, missing)

    def fill(
        self,
        session: SessionId,
        layers: range,
        position: int,
        tokens: tuple[int, ...],
        tensors: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """Compute some missing layers of a resumed session."""
        self._probe.fills(self._plan, session, layers, len(tokens))
        return self.inner.fill(session, layers, position, tokens, tensors)

    def handed_on(self, session: SessionId, begin: int, end: int) -> tuple[Tensor, ...]:
        """The hidden states of some tokens of a resumed session."""
        return self.inner.handed_on(session, begin, end)

    def retire(self) -> None:
        """Drop all sessions and compute no more."""
        self.inner.retire()

    def close(self) -> None:
        """Drop all sessions and weights."""
        self.inner.close()


@dataclass(slots=True)
class Memory:
    """What lies in one machine's memory, and how it comes there. load: see `Ground`.

    is_failing: whether a piece is torn. spans: when something was loaded.
    """

    peer: PeerId
    size_bytes: int
    probe: Probe
    ledger: Ledger
    now_s: Callable[[], float]
    is_failing: Callable[[], bool]
    open: list[FakeShard] = field(default_factory=list)
    most_bytes: int = 0
    spans: list[tuple[float, float]] = field(default_factory=list)

    @property
    def sessions(self) -> list[SessionId]:
        """Those that have caches here."""
        return [session for shard in self.open if not shard.is_closed for session in shard.sessions]

    def load(
        self,
        files: ModelFiles,
        card: ModelCard,
        tokenizer: Tokenizer,
        layers: range,
        previous: StageCompute | None,
        progress: Progress,
    ) -> Generator[StageCompute | None, None, None]:
        """Load some layers, a layer a piece. Called in the stage's task, stepped on the compute thread."""
        task = asyncio.current_task()
        assert task is not None
        plan = self.probe.plan_of(task.get_name())
        inner = previous.inner if isinstance(previous, ProbedShard) else None
        return self._steps(plan, files, card, layers, inner, progress, self.now_s())

    def _steps(
        self,
        plan: Plan,
        files: ModelFiles,
        card: ModelCard,
        layers: range,
        previous: FakeShard | None,
        progress: Progress,
        began_s: float,
    ) -> Generator[StageCompute | None, None, None]:
        stage = plan.ring.stage_of(self.peer)
        assert stage is not None
        assert stage.layers == layers
        done = 0
        try:
            for piece in load_fake_shard(files, card, layers, previous, progress):
                if piece is None:
                    done += 1
                    self._weigh(card, range(layers.start, layers.start + done))
                    if self.is_failing():
                        raise BrokenModel(f"layer {layers.start + done - 1} of {files.name} is torn")
                    yield None
                    continue
                assert isinstance(piece, FakeShard)
                self.open.append(piece)
                yield ProbedShard(piece, plan, stage, self.probe)
        finally:
            self.spans.append((began_s, self.now_s()))

    def _weigh(self, card: ModelCard, arriving: range) -> None:
        """Layers that several hold lie in memory once, and so do embeddings and head."""
        self.open = [shard for shard in self.open if not shard.is_closed]
        held = {(shard.card, layer) for shard in self.open for layer in shard.layers}
        held |= {(card, layer) for layer in arriving}
        size_bytes = sum(
            _size_bytes(each, {layer for model, layer in held if model == each})
            for each in {model for model, _ in held}
        )
        self.most_bytes = max(self.most_bytes, size_bytes)
        layers = sorted((model.name, layer) for model, layer in held)
        words = f"{self.peer[:4]} holds layers {layers}: {size_bytes} bytes, it has {self.size_bytes}"
        self.ledger.require(size_bytes <= self.size_bytes or self.probe.is_over, "I6", words)


def _size_bytes(card: ModelCard, held: set[int]) -> int:
    last = card.layer_count - 1
    ends_bytes = (0 in held) * card.embedding_bytes + (last in held) * card.tail_bytes
    shared_bytes = card.shared_bytes if 0 in held and last in held else 0
    return sum(card.layer_bytes[layer] for layer in held) + ends_bytes - shared_bytes
