"""How a step is computed: one pass and one evaluation, and the next pass is built meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from meshinfer.errors import StageFailed
from meshinfer.messages import Row, Tensor

from .ahead import Ahead, Pass, Snapshot, Socket, is_possible
from .base import Step
from .groups import Group
from .kept import LaneHandedOn
from .prefixes import mark_of
from .sampling import check_health, sample_rows
from .session import Session
from .sliced import SlicedModel


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step. outgoing: evaluated, (rows, tokens, …) by name; empty at the tail.

    tokens: one a row at the tail, None where none was asked for or could be chosen. faults: why not, by row.
    """

    outgoing: dict[str, Any]
    tokens: tuple[int | None, ...] = ()
    faults: dict[int, str] = field(default_factory=dict)


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
        drawn = self._drawn(graph, sessions, rows)
        # Where nothing is drawn, norm and head were built, and are never evaluated.
        results = [drawn] if self._model.is_tail else [*graph.outgoing.values()]
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
            return _chosen(drawn)
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

    def _drawn(
        self, graph: Pass, sessions: Sequence[Session], rows: tuple[Row, ...]
    ) -> list[tuple[Any, Any] | None]:
        """Lazy, at the tail: each row's token and what `check_health` looks at; None if none is asked for."""
        if not self._model.is_tail or not any(row.is_sampled for row in rows):
            return [None] * len(rows)
        draws = [
            session.next_draw() if row.is_sampled else None
            for session, row in zip(sessions, rows, strict=True)
        ]
        return sample_rows(graph.logits[:, -1, :], draws)


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
    tokens = tuple(token for each in outcomes for token in each.tokens)
    names = outcomes[0].outgoing
    outgoing = {name: mx.concatenate([each.outgoing[name] for each in outcomes]) for name in names}
    mx.eval(outgoing)
    return Outcome(outgoing, tokens, faults)


def _row(tensor: Tensor, row: int, count: int) -> Tensor:
    row_bytes = tensor.data.nbytes // count
    part = tensor.data[row * row_bytes : (row + 1) * row_bytes]
    return Tensor(tensor.name, tensor.dtype, (1, *tensor.shape[1:]), part)


def _chosen(drawn: Sequence[tuple[Any, Any] | None]) -> Outcome:
    tokens: list[int | None] = []
    faults: dict[int, str] = {}
    for row, pair in enumerate(drawn):
        try:
            if pair is not None:
                check_health(pair[1].item())
            tokens.append(None if pair is None else int(pair[0].item()))
        except StageFailed as error:
            tokens.append(None)
            faults[row] = str(error)
    return Outcome({}, tuple(tokens), faults)


def _hand_on(group: Group, sessions: Sequence[Session], outgoing: dict[str, Any]) -> None:
    """Keep what leaves, for those sessions of which it is kept."""
    if len(sessions) == 1:
        if sessions[0].handed_on is not None:
            sessions[0].handed_on.add(outgoing)
        return
    if group.handed_on is None:
        group.handed_on = LaneHandedOn([session.handed_on for session in sessions])
    group.handed_on.add(outgoing)
