"""Which frames a stage computes: those of a plan that it holds, from the ring predecessor's current life."""

from dataclasses import dataclass

from .plan import Plan
from .record import Phase
from .ring import PeerId
from .target import Target


@dataclass(frozen=True, slots=True)
class Passage:
    """What a frame claims: its plan, who sent it in which run, and whether it begins a session."""

    target: Target
    sender: PeerId
    run: int
    is_opening: bool


def lets_through(plan: Plan, phase: Phase, me: PeerId, frame: Passage) -> bool:
    """Whether `me`, in `phase` of `plan`, may compute the frame (R7).

    READY does: whoever sends it knows that all stages are. DRAIN begins nothing.
    """
    if frame.target != plan.target or phase not in (Phase.READY, Phase.ACTIVE, Phase.DRAIN):
        return False
    if phase is Phase.DRAIN and frame.is_opening:
        return False
    # What the head computes comes from this very peer.
    sender = plan.ring.before(me) or plan.ring.head
    return (frame.sender, frame.run) == (sender.peer, sender.run)
