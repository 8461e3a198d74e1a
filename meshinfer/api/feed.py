"""What somebody who follows a peer is told, and when: the mesh, this peer's work, and its requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meshinfer.ledger import Happening
from meshinfer.snapshot import mesh_json
from meshinfer.topology.snapshot import MeshSnapshot

from . import sse


@dataclass(frozen=True, slots=True)
class FeedTiming:
    """mesh_s: the mesh is told no more often than this; work_s: work is told so often.

    glance_s: what happens within it is told together.
    """

    mesh_s: float = 0.2
    work_s: float = 1.0
    glance_s: float = 0.02


class Feed:
    """One reader's feed. It is never behind: whatever is told is as things are when it is asked for."""

    def __init__(self, timing: FeedTiming) -> None:
        self._timing = timing
        self._mesh: MeshSnapshot | None = None
        self._mesh_event = b""
        self._mesh_s = self._work_s = float("-inf")
        self._is_mesh_new = True

    def events(
        self,
        mesh: MeshSnapshot,
        happenings: Sequence[Happening],
        work: Callable[[], dict[str, Any]],
        now_s: float,
    ) -> bytes:
        """What is to be told now, empty for nothing. happenings: those since the last time."""
        return b"".join((self._mesh_events(mesh, now_s), *map(_request, happenings), self._work(work, now_s)))

    def wait_s(self, now_s: float) -> float:
        """Until something is due, whatever happens."""
        due_s = self._work_s + self._timing.work_s
        if self._is_mesh_new:
            due_s = min(due_s, self._mesh_s + self._timing.mesh_s)
        return max(0.0, due_s - now_s)

    def _mesh_events(self, mesh: MeshSnapshot, now_s: float) -> bytes:
        self._is_mesh_new = mesh != self._mesh
        if not self._is_mesh_new or now_s - self._mesh_s < self._timing.mesh_s:
            return b""
        self._mesh, self._is_mesh_new, before = mesh, False, self._mesh_event
        self._mesh_event = named("mesh", mesh_json(mesh))
        if self._mesh_event == before:
            # What changed is not shown, such as a member that is gone.
            return b""
        self._mesh_s = now_s
        return self._mesh_event

    def _work(self, work: Callable[[], dict[str, Any]], now_s: float) -> bytes:
        if now_s - self._work_s < self._timing.work_s:
            return b""
        self._work_s = now_s
        return named("work", work())


def _request(happening: Happening) -> bytes:
    return named(
        "request",
        {
            "request": happening.request,
            "state": happening.state.value,
            "model": happening.model or None,
            "prompt_tokens": happening.prompt_tokens,
            "answer_tokens": happening.answer_tokens,
            "time_ms": happening.time_ms,
        },
    )


def named(name: str, value: dict[str, Any]) -> bytes:
    """An event of a kind, that carries JSON."""
    return b"event: " + name.encode("ascii") + b"\n" + sse.event(value)
