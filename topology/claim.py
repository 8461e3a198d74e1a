"""What is claimed of a peer's state: values whose merge does not depend on order, loss or repetition."""

import re
from dataclasses import dataclass, replace

from .member import Status
from .record import HIGHEST_RUN
from .ring import PeerId, Run

MAX_INCARNATION = (1 << 24) - 1
"""Three bytes on the wire: an answer with one claim is then no longer than a bare PING."""

NOBODY = PeerId("0" * 32)
"""Who accuses where nobody does, or where nobody knows any more who did."""

_ID = re.compile("[0-9a-f]{32}")
_FINAL = {Status.ALIVE: 0, Status.SUSPECT: 0, Status.DEAD: 1, Status.LEFT: 2}


@dataclass(frozen=True, slots=True)
class Claim:
    """`peer`, in its life `run`, is in `status`; incarnation: how often it has refuted suspicions so far.

    Claims of one peer are totally ordered: by run, then LEFT > DEAD > (incarnation, SUSPECT > ALIVE).
    The greatest counts. So death and departure are final for a run, and a peer that was wronged begins a new
    one (memberlist lets a higher incarnation undo death, and loses restarted members for ever by it).

    Raises:
        ValueError: the peer's id is none, or a number is out of range; what is final has incarnation 0.
    """

    peer: PeerId
    run: Run
    incarnation: int
    status: Status

    def __post_init__(self) -> None:
        most = 0 if self.is_final else MAX_INCARNATION
        if not (0 <= self.run <= HIGHEST_RUN and 0 <= self.incarnation <= most and _ID.fullmatch(self.peer)):
            raise ValueError(
                f"nobody can be {self.status.value} as {self.peer!r} in run {self.run}, "
                f"incarnation {self.incarnation}"
            )

    @property
    def is_final(self) -> bool:
        """Whether this life is over."""
        return _FINAL[self.status] > 0

    @property
    def rank(self) -> tuple[int, int, int, bool]:
        """Sorts claims of one peer: the greater one counts."""
        return (self.run, _FINAL[self.status], self.incarnation, self.status is Status.SUSPECT)

    def beats(self, other: "Claim | None") -> bool:
        """Whether this one says more than `other`."""
        return other is None or self.rank > other.rank

    def turned(self, status: Status) -> "Claim":
        """The same life, in another status."""
        return replace(self, status=status, incarnation=0 if _FINAL[status] else self.incarnation)
