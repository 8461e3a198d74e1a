"""How a step is computed: one pass and one evaluation, and the next pass is built meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from meshinfer.errors import StageFailed
from meshinfer.messages import Row, Tensor, TokenLogprobs

from .ahead import Ahead, Pass, Snapshot, Socket, is_possible
from .base import Step
from .groups import Group
from .kept import LaneHandedOn
from .prefixes import mark_of
from .sampling import Draw, check_health, logprobs_of, read_logprobs, sample_rows
from .session import Session
from .sliced import SlicedModel


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step. outgoing: evaluated, (rows, tokens, …) by name; empty at the tail.

    tokens: one a row at the tail, None where none was asked for or could be chosen. faults: why not, by row.
    logprobs: of the tokens, by row, where they were asked for. ended: rows whose constraint allows no more.
    """

    outgoing: dict[str, Any]
    tokens: tuple[int | None, ...] = ()
    faults: dict[int, str] = field(default_factory=dict)
    logprobs: dict[int, TokenLogprobs] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Drawing:
    """What is drawn at the tail, lazily: by row, a token with its health, and log-probabilities."""

    tokens: list[tuple[Any, Any] | None]
    logprobs: dict[int, tuple[Any, Any, Any]] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def arrays(self) -> list[Any]:
        """What must be evaluated."""
        return [self.tokens, self.logprobs]


class Engine:
    """Computes steps on a sliced model."""

    def __init__(self, model: SlicedModel) -> None:
        self._model = model
        self._builds_ahead = model.is_lazy and is_possible()

    def compute(self, group: Group, sessions: Sequence[Session], step: Step) -> Outcome:
        """Compute a step of a group's sessions, which are those of its rows.

        Raises:
            StageFailed: the tensors are not those of such a step.
            One of MLX_ERRORS: the caches hold nothing that can be used any more.
        """
        rows = step.rows
        graph = self._graph_of(group, rows, step.tensors)
        for session, row in zip(sessions, rows, strict=True):
            session.length += len(row.tokens)
            if self._model.is_tail:
                session.history.extend(row.tokens)
        drawing = self._drawing(graph, sessions, rows)
        # Where nothing is drawn, norm and head were built, and are never evaluated.
        results = drawing.arrays if self._model.is_tail else [*graph.outgoing.values()]
        mx.async_eval(results, group.caches.state)  # type: ignore[no-untyped-call]
        for place, (session, row) in enumerate(zip(sessions, rows, strict=True)):
            if row.is_marked:
                session.marks[session.length] = mark_of(group.caches, place)
        if self._builds_ahead and all(row.is_sampled for row in rows):
            # From here on the caches hold the next step's lazy arrays: they are not to be evaluated.
            group.ahead = self._build_ahead(group, step.tensors)
        else:
            mx.eval(group.caches.state)
        mx.eval(results)
        if self._model.is_tail:
            return _chosen(drawing, sessions)
        _hand_on(group, sessions, graph.outgoing)
        return Outcome(graph.outgoing)

    def _graph_of(self, group: Group, rows: tuple[Row, ...], tensors: tuple[Tensor, ...]) -> Pass:
        """The graph of a step, with its input: built ahead if it is the step that was expected."""
        ahead, socket = group.ahead, group.socket
        is_expected = all(len(row.tokens) == 1 for row in rows)
        if ahead is not None and socket is not None and is_expected and socket.fits(tensors):
            group.ahead = None
            socket.plug([row.tokens[0] for row in rows], tensors)
            return ahead.graph
        group.settle()
        tokens = mx.array([row.tokens for row in rows], mx.int32)
        return self._model.build(tokens, self._model.entering(tensors), group.caches)

    def _build_ahead(self, group: Group, tensors: tuple[Tensor, ...]) -> Ahead:
        """Build the graph of one more token a row, while the present step's computation goes on."""
        if group.socket is None:
            group.socket = Socket(len(group.rows), tensors)
        before = Snapshot(group.caches.own)
        return Ahead(self._model.build(*group.socket.inputs(), group.caches), before)

    def _drawing(self, graph: Pass, sessions: Sequence[Session], rows: tuple[Row, ...]) -> _Drawing:
        """What the tail draws for each row that asks for it."""
        if not self._model.is_tail or not any(row.is_sampled for row in rows):
            return _Drawing([None] * len(rows))
        logits = graph.logits[:, -1, :]
        if any(session.matcher is not None for session in sessions):
            # Masks take this thread some time: the model computes meanwhile.
            mx.async_eval(logits)  # type: ignore[no-untyped-call]
        faults: dict[int, str] = {}
        draws: list[Draw | None] = [None] * len(rows)
        for place, (session, row) in enumerate(zip(sessions, rows, strict=True)):
            try:
                draws[place] = session.next_draw() if row.is_sampled else None
            except StageFailed as error:
                faults[place] = str(error)
        tokens = sample_rows(logits, draws)
        logprobs = {
            place: logprobs_of(logits[place : place + 1], pair[0], draw.top_logprobs)
            for place, (draw, pair) in enumerate(zip(draws, tokens, strict=True))
            if draw is not None and pair is not None and draw.top_logprobs is not None
        }
        return _Drawing(tokens, logprobs, faults)


def split(step: Step) -> list[Step]:
    """The rows of a step as steps of their own, which read the same memory.

    Raises:
        StageFailed: a tensor has not as many rows.
    """
    count = len(step.rows)
    for tensor in step.tensors:
        if not tensor.shape or tensor.shape[0] != count or tensor.data.nbytes % count:
            raise StageFailed(
                f"tensor {tensor.name} of shape {tensor.shape} came for {count} rows, expected is one of each"
            )
    return [Step((row,), tuple(_row(t, i, count) for t in step.tensors)) for i, row in enumerate(step.rows)]


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """What came of the rows of a step that was split."""
    faults = {row: fault for row, each in enumerate(outcomes) for fault in each.faults.values()}
    logprobs = {row: told for row, each in enumerate(outcomes) for told in each.logprobs.values()}
    ended = frozenset(row for row, each in enumerate(outcomes) if each.ended)
    tokens = tuple(token for each in outcomes for token in each.tokens)
    names = outcomes[0].outgoing
    outgoing = {name: mx.concatenate([each.outgoing[name] for each in outcomes]) for name in names}
    mx.eval(outgoing)
    return Outcome(outgoing, tokens, faults, logprobs, ended)


def _row(tensor: Tensor, row: int, count: int) -> Tensor:
    row_bytes = tensor.data.nbytes // count
    part = tensor.data[row * row_bytes : (row + 1) * row_bytes]
    return Tensor(tensor.name, tensor.dtype, (1, *tensor.shape[1:]), part)


def _chosen(drawing: _Drawing, sessions: Sequence[Session]) -> Outcome:
    tokens: list[int | None] = [None] * len(sessions)
    faults, ended = dict(drawing.faults), set()
    for place, (pair, session) in enumerate(zip(drawing.tokens, sessions, strict=True)):
        if pair is None:
            continue
        try:
            check_health(pair[1].item())
            token = int(pair[0].item())
            if session.is_whole_with(token):
                ended.add(place)
            tokens[place] = token
        except StageFailed as error:
            faults[place] = str(error)
    logprobs = {
        place: read_logprobs(*told) for place, told in drawing.logprobs.items() if tokens[place] is not None
    }
    return Outcome({}, tuple(tokens), faults, logprobs, frozenset(ended))


def _hand_on(group: Group, sessions: Sequence[Session], outgoing: dict[str, Any]) -> None:
    """Keep what leaves, for those sessions of which it is kept."""
    if len(sessions) == 1:
        if sessions[0].handed_on is not None:
            sessions[0].handed_on.add(outgoing)
        return
    if group.handed_on is None:
        group.handed_on = LaneHandedOn([session.handed_on for session in sessions])
    group.handed_on.add(outgoing)
