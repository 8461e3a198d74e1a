"""What must hold once the troubles are over: one live plan for all, or a good reason why there is none."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from meshinfer.actors.placement import PlacementLimits, footprint_of
from meshinfer.topology.asking import able_peers, question_for
from meshinfer.topology.member import Member, Status
from meshinfer.topology.planner import PLANNERS
from meshinfer.topology.question import Infeasible
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sharing import left_by
from meshinfer.topology.target import Target
from tests.simulation.life import Life, Surroundings
from tests.simulation.machine import Machine

_LOOK_EVERY_S = 0.1
_REST_S = 2.0
"""Who keeps to one plan for so long has agreed on it."""

CALM_S = 12.0
"""A better plan may be pending for so long when all is settled."""


@dataclass(frozen=True, slots=True)
class Peace:
    """How one connected part of a mesh came to rest. peers: in it.

    agreed_s: from the end of the troubles until all followed one plan, or all knew that none is possible;
    loading_s: for how long of it somebody loaded. settled_s: until the last change of that; a better plan,
    for those who came back, may take over in between. live: fingerprints of the models that a plan serves;
    is_live: whether that are all. is_healed: all were there again at the end of the troubles, so nobody's
    death had to be found out first.
    """

    peers: int
    agreed_s: float
    loading_s: float
    settled_s: float
    is_live: bool
    is_healed: bool
    live: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Part:
    """A connected part. words: why it is not at rest. view: what new plans depend on, and since when.

    agreed_s, since_s: when it came to a rest of some seconds first, and to the present one.
    """

    machines: list[Machine]
    agreed_s: float | None = None
    since_s: float | None = None
    words: str = ""
    live: frozenset[str] = frozenset()
    view: object = None
    view_since_s: float = 0.0


class Peacemaker:
    """Looks at the parts of a mesh until all are at rest."""

    def __init__(self, parts: Sequence[list[Machine]], around: Surroundings, limits: PlacementLimits) -> None:
        self._parts = [_Part(machines) for machines in parts if machines]
        self._around = around
        self._limits = limits
        self._footprints = {
            model.card.fingerprint: footprint_of(model.card, limits) for model in around.models
        }
        self._began_s = around.loop.time()

    async def settle(self, within_s: float, *, is_healed: bool) -> tuple[Peace, ...]:
        """Wait until each part is at rest for good; report those that are not within the time."""
        while sum(self._look(part) for part in self._parts) < len(self._parts):
            if self._around.loop.time() - self._began_s > within_s + CALM_S:
                for part in self._parts:
                    if not self._is_at_rest(part):
                        names = [machine.name for machine in part.machines]
                        words = part.words or f"at rest since {part.since_s} s only"
                        self._around.ledger.report("I8", f"{names} after {within_s:.0f} s: {words}")
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        return tuple(self._peace(part, is_healed) for part in self._parts)

    async def watch(self, for_s: float) -> None:
        """Look on: with the same members, no other plan comes up (I9)."""
        end_s = self._around.loop.time() + for_s
        while self._around.loop.time() < end_s:
            for part in self._parts:
                self._look(part)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _look(self, part: _Part) -> bool:
        """Look at a part; return whether it is at rest for good."""
        part.words = self._why_restless(part)
        now_s = self._around.loop.time()
        if part.words:
            part.since_s = None
        elif part.since_s is None:
            part.since_s = now_s
        elif part.agreed_s is None and now_s - part.since_s >= _REST_S:
            part.agreed_s = part.since_s
        view = _plannable(part)
        if view != part.view:
            part.view, part.view_since_s = view, now_s
        changed_s = self._around.ledger.installed_at_s(machine.peer for machine in part.machines)
        is_calm = changed_s < max(part.view_since_s, self._began_s) + CALM_S
        self._around.ledger.require(
            is_calm, "I9", f"a plan is prepared at {changed_s:.2f} s without a reason"
        )
        return self._is_at_rest(part)

    def _is_at_rest(self, part: _Part) -> bool:
        return part.since_s is not None and self._around.loop.time() - part.since_s >= CALM_S

    def _why_restless(self, part: _Part) -> str:
        lives = [machine.life for machine in part.machines]
        peers = {machine.peer: machine.disk.run for machine in part.machines}
        views: set[tuple[tuple[str, bool, Target | None], ...]] = set()
        for machine, life in zip(part.machines, lives, strict=True):
            if life is None or life.parts is None:
                return f"{machine.name} does not live"
            if words := _why_unlike(life.probe.members, peers):
                return f"{machine.name} {words}"
            shown = life.board.value.mesh.models
            views.add(tuple((m.fingerprint, m.is_live, m.plan.target if m.plan else None) for m in shown))
        if len(views) > 1:
            return f"they see {sorted(map(str, views))}"
        models = next(iter(views))
        part.live = frozenset(fingerprint for fingerprint, is_live, _ in models if is_live)
        living = [life for life in lives if life is not None]
        if not models and any(life.brings_model or life.probe.desires for life in living):
            return "nobody knows what to run"
        reasons = (
            self._why_not_live(living, target) if is_live else self._why_possible(living[0], fingerprint)
            for fingerprint, is_live, target in models
        )
        return "; ".join(filter(None, reasons))

    def _why_not_live(self, lives: list[Life], target: Target | None) -> str:
        plan = self._around.ledger.plan(target) if target else None
        if plan is None:
            return f"nobody prepared {target}"
        active = {life.probe.peer for life in lives if target in life.probe.active}
        idle = [stage.peer[:4] for stage in plan.ring.stages if stage.peer not in active]
        return f"{idle} do not compute under {target}" if idle else ""

    def _why_possible(self, life: Life, fingerprint: str) -> str:
        """Why there should be a ring of a model; empty if none can be."""
        shown = life.board.value.mesh.models
        older = takewhile(lambda model: model.fingerprint != fingerprint, shown)
        members = left_by(life.probe.members, [model.fingerprint for model in older])
        desired = next((each for each in life.probe.desires if each.fingerprint == fingerprint), None)
        reason = next((model.reason for model in shown if model.fingerprint == fingerprint), "")
        if desired is None:
            return "a model is shown that nobody asked for"
        if able_peers(members, desired) < self._limits.min_peers:
            return ""
        question = question_for(members, desired, self._footprints[fingerprint], None)
        answer = self._around.thoughts.think(PLANNERS["ring"], question)
        if not isinstance(answer, Infeasible):
            return f"{answer.ring} of {desired.name} is possible, and no ring is live: {reason}"
        return "" if reason else "no ring is possible, and no reason is given"

    def _peace(self, part: _Part, is_healed: bool) -> Peace:
        now_s, began_s = self._around.loop.time(), self._began_s
        agreed_s = (part.agreed_s or now_s) - began_s
        spans = [span for m in part.machines if m.life for span in m.life.memory.spans]
        loading_s = covered_s(spans, began_s, began_s + agreed_s)
        settled_s = (part.since_s or now_s) - began_s
        is_live = len(part.live) == len(self._footprints)
        return Peace(len(part.machines), agreed_s, loading_s, settled_s, is_live, is_healed, part.live)


def _why_unlike(members: tuple[Member, ...], peers: dict[PeerId, int]) -> str:
    here = {m.record.peer: m.record.run for m in members if m.is_present}
    if here != peers:
        missing = [peer[:4] for peer in peers if here.get(peer) != peers[peer]]
        return f"misses {missing}, sees {[peer[:4] for peer in here if peer not in peers]} too many"
    suspects = [m.record.name for m in members if m.status is Status.SUSPECT]
    return f"suspects {suspects}" if suspects else ""


def _plannable(part: _Part) -> object:
    """What decides on plans, as all see it; what is measured is in coarse steps."""
    return [
        [(m.status, m.is_available, _plain(m.record)) for m in machine.life.probe.members]
        for machine in part.machines
        if machine.life is not None
    ]


def _plain(record: PeerRecord) -> PeerRecord:
    """A record without what plans bring about."""
    return replace(record, version=Version(0), follows=(), resident=(), fault="", flap_level=0, uses=())


def covered_s(spans: list[tuple[float, float]], from_s: float, to_s: float) -> float:
    """Seconds between two times that any span covers."""
    total_s, at_s = 0.0, from_s
    for began_s, ended_s in sorted(spans):
        begin_s, end_s = max(began_s, at_s), min(ended_s, to_s)
        if end_s > begin_s:
            total_s += end_s - begin_s
            at_s = end_s
    return total_s
