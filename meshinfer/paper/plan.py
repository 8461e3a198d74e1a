"""A plan on paper: the ring that a mesh of such peers would form, what it holds, and how fast it would be."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshinfer.model.base import Sketch
from meshinfer.model.footprint import model_footprint
from meshinfer.scheduling.pacing import Pacing
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.hops import Ways, measure_ways
from meshinfer.topology.planner import plan_ring
from meshinfer.topology.prices import DEFAULT_NS_PER_MIB
from meshinfer.topology.question import Answer, Candidate, Infeasible, Question
from meshinfer.topology.ring import Stage

from .peers import PaperPeer
from .speed import compute_s, flops, read_bytes

_SAMPLE_TOKENS = 128
"""Any number does: costs are in proportion here."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is planned for: so many readers at once, each with so long a prompt and answer together.

    spread: as the planner takes it. chunk_tokens, chunk_s: a prompt goes round in pieces of so many tokens at
    most, and of so long on any stage, as `RequestLimits` say.
    """

    context_tokens: int
    readers: int
    spread: int
    chunk_tokens: int
    chunk_s: float


@dataclass(frozen=True, slots=True)
class PaperStage:
    """What one peer of the ring holds and does.

    rest_bytes: what it offers beyond. read_bytes: weights and KV cache that one token reads, at the end of
    the context. step_s: how long it computes for one. prefill_tok_s: tokens of a prompt a second; None where
    nobody knows the peer's TFLOPs.
    """

    peer: PaperPeer
    first_layer: int
    end_layer: int
    weight_bytes: int
    kv_bytes: int
    transient_bytes: int
    rest_bytes: int
    read_bytes: int
    step_s: float
    prefill_tok_s: float | None


@dataclass(frozen=True, slots=True)
class Decode:
    """Tokens a second of so many readers together, in so many lanes."""

    readers: int
    lanes: int
    tok_s: float


@dataclass(frozen=True, slots=True)
class PaperPlan:
    """The ring, and what to expect of it.

    hops_s: what a token travels, once round. decodes: for one reader, and for all that were asked for.
    prefill_tok_s, first_token_s: for a prompt that fills the context; None where TFLOPs are unknown.
    chunk_tokens: the pieces it goes in. fitting_tokens: KV cache that there is room for, of all readers.
    """

    sketch: Sketch
    wanted: Wanted
    footprint: Footprint
    stages: tuple[PaperStage, ...]
    hops_s: float
    decodes: tuple[Decode, ...]
    chunk_tokens: int
    prefill_tok_s: float | None
    first_token_s: float | None
    fitting_tokens: int


def make_plan(sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted) -> PaperPlan | Infeasible:
    """Plan as a mesh of these peers would, with its own planner."""
    question = question_of(sketch, peers, wanted)
    answer = plan_ring(question)
    if isinstance(answer, Infeasible):
        return answer
    return _Drawing(sketch, peers, wanted, question, answer).plan()


def question_of(sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted) -> Question:
    """What the planner is asked."""
    most_tokens = sketch.card.context_tokens
    footprint = model_footprint(
        sketch.card,
        min(wanted.context_tokens, most_tokens) * wanted.readers,
        min(wanted.chunk_tokens, most_tokens),
    )
    candidates = tuple(peer.candidate(sketch) for peer in peers)
    return Question(sketch.card.name, footprint, wanted.spread, candidates)


class _Drawing:
    """Works out what an answered question comes to."""

    def __init__(
        self,
        sketch: Sketch,
        peers: Sequence[PaperPeer],
        wanted: Wanted,
        question: Question,
        answer: Answer,
    ) -> None:
        self._sketch = sketch
        self._wanted = wanted
        self._footprint = question.footprint
        self._ring = answer.ring.stages
        by_id = {peer.peer: peer for peer in peers}
        self._peers = [by_id[stage.peer] for stage in self._ring]
        candidates = {candidate.peer: candidate for candidate in question.candidates}
        self._members = [candidates[stage.peer] for stage in self._ring]
        self._speeds = _speeds(question.candidates, self._members)
        self._context_tokens = min(wanted.context_tokens, sketch.card.context_tokens)

    def plan(self) -> PaperPlan:
        chunk_tokens = self._chunk_tokens()
        prefill_s = self._prefill_s(chunk_tokens)
        counts = dict.fromkeys((1, self._wanted.readers))
        return PaperPlan(
            sketch=self._sketch,
            wanted=self._wanted,
            footprint=self._footprint,
            stages=tuple(self._stage(index) for index in range(len(self._ring))),
            hops_s=self._hops_s(1),
            decodes=tuple(self._decode(readers) for readers in counts),
            chunk_tokens=chunk_tokens,
            prefill_tok_s=self._context_tokens / prefill_s if prefill_s else None,
            first_token_s=prefill_s + self._turn_s(1) if prefill_s else None,
            fitting_tokens=self._fitting_tokens(),
        )

    # --- memory

    def _stage(self, index: int) -> PaperStage:
        stage, peer, footprint = self._ring[index], self._peers[index], self._footprint
        first, end = stage.first_layer, stage.end_layer
        rate = self._prefill_rate(index)
        return PaperStage(
            peer=peer,
            first_layer=first,
            end_layer=end,
            weight_bytes=footprint.load_bytes(first, end),
            kv_bytes=sum(footprint.kv_bytes[first:end]),
            transient_bytes=footprint.transient_bytes,
            rest_bytes=peer.memory_bytes - footprint.stage_bytes(first, end),
            read_bytes=self._read_bytes(stage, rows=1),
            step_s=self._step_s(index, rows=1),
            prefill_tok_s=rate,
        )

    def _fitting_tokens(self) -> int:
        """As the head admits: what the stage with the least room takes."""
        rooms = []
        for stage, peer in zip(self._ring, self._peers, strict=True):
            token_bytes = self._kv_bytes(stage, tokens=1)
            held = self._footprint.load_bytes(stage.first_layer, stage.end_layer)
            free_bytes = peer.memory_bytes - held - self._footprint.transient_bytes
            if token_bytes:
                rooms.append(max(0, free_bytes) // token_bytes)
        return min(rooms, default=self._sketch.card.context_tokens * self._wanted.readers)

    def _kv_bytes(self, stage: Stage, tokens: int) -> int:
        return tokens * sum(self._sketch.card.kv_bytes_per_token[layer] for layer in stage.layers)

    # --- decode steps

    def _read_bytes(self, stage: Stage, rows: int) -> int:
        cache_bytes = rows * self._kv_bytes(stage, self._context_tokens)
        return read_bytes(self._sketch, stage.layers, rows) + cache_bytes

    def _step_s(self, index: int, rows: int) -> float:
        stage, machine = self._ring[index], self._peers[index].machine
        reading_s = self._read_bytes(stage, rows) / (1 << 20) * self._speeds[index] / 1e9
        if machine is None:
            return reading_s
        # Many rows at once are bound by what the GPU computes.
        return max(reading_s, compute_s(flops(self._sketch, stage.layers, rows), machine.chip.tflops))

    def _turn_s(self, rows: int) -> float:
        return sum(self._step_s(index, rows) for index in range(len(self._ring))) + self._hops_s(rows)

    def _decode(self, readers: int) -> Decode:
        """Lanes follow one another, as many as keep the slowest stage busy; each waits for it."""
        steps_s = [self._step_s(index, 1) for index in range(len(self._ring))]
        pacing = self._pacing()
        pacing.lane_came_home(self._turn_s(1) * 1e6, sum(steps_s) * 1e6, max(steps_s) * 1e6)
        lanes = min(readers, pacing.lanes)
        rows = -(-readers // lanes)
        slowest_s = max(self._step_s(index, rows) for index in range(len(self._ring)))
        return Decode(readers, lanes, readers / max(self._turn_s(rows), lanes * slowest_s))

    def _hops_s(self, tokens: int) -> float:
        ways = self._ways(tokens)
        return ways.ring_ns(range(len(self._ring))) / 1e9

    def _ways(self, tokens: int) -> Ways:
        return measure_ways(self._members, self._footprint.hop_bytes * tokens)

    # --- prompts

    def _prefill_rate(self, index: int) -> float | None:
        """Tokens of a prompt a second on one stage."""
        machine = self._peers[index].machine
        if machine is None:
            return None
        token_flops = flops(self._sketch, self._ring[index].layers, tokens=1)
        return 1 / compute_s(token_flops, machine.chip.tflops)

    def _chunk_tokens(self) -> int:
        rates = [rate for i in range(len(self._ring)) if (rate := self._prefill_rate(i)) is not None]
        pacing = self._pacing()
        if rates:
            pacing.chunk_came_home(_SAMPLE_TOKENS, _SAMPLE_TOKENS / min(rates) * 1e6)
        return min(self._context_tokens, pacing.chunks(self._context_tokens, lanes=0).tokens)

    def _pacing(self) -> Pacing:
        wanted = self._wanted
        return Pacing(len(self._ring), wanted.chunk_tokens, wanted.chunk_s * 1e6)

    def _prefill_s(self, chunk_tokens: int) -> float | None:
        """A prompt's chunks follow one another: the first goes all the way, the others behind the slowest."""
        rates = [self._prefill_rate(index) for index in range(len(self._ring))]
        stages_s = [chunk_tokens / rate for rate in rates if rate is not None]
        if len(stages_s) < len(rates):
            return None
        hop_ns = self._ways(chunk_tokens).hop_ns
        hops_s = [hop_ns[index][index + 1] / 1e9 for index in range(len(rates) - 1)]
        chunks = self._context_tokens / chunk_tokens
        return sum(stages_s) + sum(hops_s) + max(0.0, chunks - 1) * max(*stages_s, *hops_s, 0.0)


def _speeds(candidates: Sequence[Candidate], members: Sequence[Candidate]) -> list[int]:
    """ns per MiB of the ring's members; the planner's own assumption where nobody measured any."""
    measured = sorted(candidate.ns_per_mib for candidate in candidates if candidate.ns_per_mib > 0)
    usual = measured[(len(measured) - 1) // 2] if measured else DEFAULT_NS_PER_MIB
    return [member.ns_per_mib or usual for member in members]
