"""Which plan serves: what can be read off the members' records, the same for every peer."""

from collections.abc import Iterable, Sequence

from .member import Member
from .plan import Plan
from .record import Phase
from .ring import PeerId


def is_ready(plan: Plan, members: Sequence[Member], except_for: PeerId | None = None) -> bool:
    """Whether the records of all stages say that they are loaded for exactly this plan."""
    return _all_in(plan, members, (Phase.READY, Phase.ACTIVE), except_for)


def is_live(plan: Plan, members: Sequence[Member]) -> bool:
    """Whether all stages are loaded, and the head takes sessions."""
    head = plan.ring.head.peer
    phases = (_phase(member, plan) for member in members if member.record.peer == head)
    return Phase.ACTIVE in phases and is_ready(plan, members)


def serving_plan(plans: Iterable[Plan], members: Sequence[Member]) -> Plan | None:
    """The plan that new sessions go to: the greatest one that is live."""
    live = (plan for plan in _followed(plans, members) if is_live(plan, members))
    return max(live, key=lambda plan: plan.target, default=None)


def kept_plans(plans: Iterable[Plan], members: Sequence[Member]) -> list[Plan]:
    """The plans under which answers that run may go on: no stage has let go of them."""
    phases = (Phase.READY, Phase.ACTIVE, Phase.DRAIN)
    kept = (plan for plan in _followed(plans, members) if _all_in(plan, members, phases))
    return sorted(kept, key=lambda plan: plan.target)


def _followed(plans: Iterable[Plan], members: Sequence[Member]) -> list[Plan]:
    targets = {follow.target for member in members for follow in member.record.follows}
    return [plan for plan in plans if plan.target in targets]


def _all_in(
    plan: Plan, members: Sequence[Member], phases: tuple[Phase, ...], except_for: PeerId | None = None
) -> bool:
    lives = {(m.record.peer, m.record.run): _phase(m, plan) for m in members if m.is_present}
    return all(
        stage.peer == except_for or lives.get((stage.peer, stage.run)) in phases for stage in plan.ring.stages
    )


def _phase(member: Member, plan: Plan) -> Phase:
    follow = member.record.follow(plan.target)
    return follow.phase if follow else Phase.IDLE
