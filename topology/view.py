"""What a peer sees when it looks at one model's plans."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .asking import counted, question_for
from .desire import DesiredModel
from .footprint import Footprint
from .member import Member, Status
from .plan import Plan
from .question import Answer, Infeasible, Question
from .record import Follow, PeerRecord
from .ring import PeerId


@dataclass(frozen=True)
class View:
    """All that a step of the agreement decides on.

    members: their records tell the memory that is left for this model: see `sharing`. room_bytes: what this
    peer itself may load at the moment, beside what lies in its memory of other models; None: all of that.
    plans: the bodies that are known here. answer: what the planner said to `question`, which may be a
    little older than `members`. min_peers: how many must be present, with the model's files, before a
    first plan; later ones may have fewer. is_quiet: whether this peer knows that nobody is being served.
    """

    members: tuple[Member, ...]
    desired: DesiredModel | None
    footprint: Footprint | None = None
    plans: tuple[Plan, ...] = ()
    question: Question | None = None
    answer: Answer | Infeasible | None = None
    min_peers: int = 1
    is_quiet: bool = True
    room_bytes: int | None = None

    @cached_property
    def present(self) -> dict[PeerId, PeerRecord]:
        """The records of those who are here; a suspect may still refute, so it counts."""
        return {m.record.peer: m.record for m in self.members if m.is_present}

    @cached_property
    def unavailable(self) -> dict[PeerId, PeerRecord]:
        """The records of those who are here, and on whom no new plan may count."""
        peers = counted(self.members, self.desired, self.footprint)
        return {
            m.record.peer: m.record
            for m in self.members
            if m.is_present and not m.is_available and m.record.peer not in peers
        }

    @cached_property
    def is_answered(self) -> bool:
        """Whether the planner's answer is about those who are here now, and about what they say now."""
        asked = self.question
        if asked is None or self.desired is None or self.footprint is None:
            return False
        return asked == question_for(self.members, self.desired, self.footprint, asked.present)

    @property
    def has_suspects(self) -> bool:
        """Whether somebody is suspect: things may soon look different."""
        return any(m.status is Status.SUSPECT for m in self.members)

    def follows(self, *, of_present: bool) -> Iterator[Follow]:
        """The plans of this model that records tell of: of those who are here, or of all."""
        if self.desired is None:
            return
        for member in self.members:
            if of_present and not member.is_present:
                continue
            for follow in member.record.follows:
                if follow.fingerprint == self.desired.fingerprint:
                    yield follow

    def name_of(self, peer: PeerId) -> str:
        """What people call a peer."""
        return next((m.record.name for m in self.members if m.record.peer == peer), peer[:8])
