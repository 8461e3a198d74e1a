"""Who is in the mesh: a peer as another one sees it."""

from dataclasses import dataclass
from enum import Enum

from .record import PeerRecord


class Status(Enum):
    """How a member looks from here."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Member:
    """A peer as this one sees it."""

    record: PeerRecord
    status: Status

    @property
    def is_present(self) -> bool:
        """Whether it is there: a suspect may still refute, so it counts."""
        return self.status in (Status.ALIVE, Status.SUSPECT)

    @property
    def is_staying(self) -> bool:
        """Whether it is there and does not leave."""
        return self.is_present and not self.record.is_leaving

    @property
    def is_available(self) -> bool:
        """Whether new plans had better count on it: it is there, stays, is not drained, and does not flap."""
        return self.is_staying and self.record.is_eligible and not self.record.is_drained
