"""What two peers exchange to know the same: digests first, then only what differs (anti-entropy)."""

from dataclasses import dataclass

from .claim import Claim
from .desire import DesiredModel
from .member import Status
from .plan import Plan
from .record import PeerRecord
from .ring import PeerId, Run
from .target import Target

MAX_ITEMS = 40_000
"""Peers that a digest or a delta may tell of."""

_CODES = {Status.ALIVE: 0, Status.SUSPECT: 1, Status.DEAD: 2, Status.LEFT: 3}
_STATUSES = {code: status for status, code in _CODES.items()}

Line = tuple[str, int, int, int, int, int]
"""(peer, run, incarnation, status, run and version of its record): plain, since there may be thousands."""


def line_of(claim: Claim, record: PeerRecord | None) -> Line:
    """A digest's line on one peer."""
    run, version = record.order if record else (0, 0)
    return (claim.peer, claim.run, claim.incarnation, _CODES[claim.status], run, version)


def claim_of(line: Line) -> Claim:
    """The claim in a digest's line.

    Raises:
        ValueError: its status is none.
    """
    peer, run, incarnation, code, _, _ = line
    if code not in _STATUSES or min(run, incarnation) < 0:
        raise ValueError(f"a digest says {line!r}, which no peer would")
    return Claim(PeerId(peer), Run(run), incarnation, _STATUSES[code])


@dataclass(frozen=True, slots=True)
class SyncDigest:
    """All that the sender knows, in short. The answer is a `SyncDelta`."""

    lines: tuple[Line, ...]
    desired: tuple[DesiredModel, ...]

    def __post_init__(self) -> None:
        if len(self.lines) > MAX_ITEMS:
            raise ValueError(f"a digest of {len(self.lines)} peers, limit {MAX_ITEMS}")
        for line in self.lines:
            claim_of(line)


@dataclass(frozen=True, slots=True)
class SyncDelta:
    """What the other side does not know, and what the sender would like to have: records, bodies of plans."""

    lines: tuple[Line, ...] = ()
    records: tuple[PeerRecord, ...] = ()
    desired: tuple[DesiredModel, ...] = ()
    plans: tuple[Plan, ...] = ()
    wanted: tuple[PeerId, ...] = ()
    wanted_plans: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        counted = (self.lines, self.records, self.plans, self.wanted, self.wanted_plans)
        if max(len(items) for items in counted) > MAX_ITEMS:
            raise ValueError(f"a delta of more than {MAX_ITEMS} items")
        for line in self.lines:
            claim_of(line)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A gossip packet that travels on a link, where datagrams do not come through."""

    packet: bytes

    def __post_init__(self) -> None:
        if len(self.packet) > 2048:
            raise ValueError(f"a parcel of {len(self.packet)} bytes")
