"""What the planner is asked: who could hold layers of a model, as their records tell."""

from collections.abc import Sequence
from dataclasses import replace

from .desire import DesiredModel
from .footprint import Footprint
from .member import Member
from .plan import PLANNER_VERSION
from .question import Candidate, Question
from .record import MAX_MODELS
from .ring import PeerId, Ring


def question_for(
    members: Sequence[Member], desired: DesiredModel, footprint: Footprint, present: Ring | None
) -> Question:
    """Ask for a ring on all who can be counted on; present: the ring that may go on."""
    peers = counted(members, desired, footprint)
    candidates = tuple(_candidate(m, desired.fingerprint) for m in members if m.record.peer in peers)
    if present is None:
        candidates = _ready(candidates, desired.spread, footprint)
    return Question(desired.name, footprint, desired.spread, candidates, present)


def _ready(candidates: tuple[Candidate, ...], spread: int, footprint: Footprint) -> tuple[Candidate, ...]:
    """Those that have some of the model on their disks, where they are enough for a ring.

    Readers wait for it; the others get their layers beside it, and join then.
    """
    ready = tuple(c for c in candidates if c.stored is None or c.stored)
    is_whole = all(
        any(c.stored is None or any(a <= layer < b for a, b in c.stored) for c in ready)
        for layer in range(footprint.layer_count)
    )
    has_room = sum(c.memory_bytes for c in ready) >= footprint.total_bytes
    return ready if is_whole and has_room and len(ready) >= spread else candidates


def counted(
    members: Sequence[Member], desired: DesiredModel | None, footprint: Footprint | None
) -> frozenset[PeerId]:
    """On whom new plans for a model count.

    Where it cannot do without them, those who were lost too often lately as well; and where it cannot do even
    so, those who are drained.
    """
    if desired is None or footprint is None:
        return frozenset()
    staying = [m.record for m in members if _could(m, desired)]
    undrained = [record for record in staying if not record.is_drained]
    for records in ([record for record in undrained if record.is_eligible], undrained):
        if sum(r.memory_bytes for r in records) >= footprint.total_bytes and desired.spread <= len(records):
            return frozenset(record.peer for record in records)
    return frozenset(record.peer for record in staying)


def expecting(members: Sequence[Member], desired: DesiredModel, me: PeerId) -> tuple[Member, ...]:
    """The members as they will be once they have read the files of a model: those that can get them."""
    return tuple(
        _holding(member, desired.fingerprint) if _can_get(member, desired, me) else member
        for member in members
    )


def _holding(member: Member, fingerprint: str) -> Member:
    record = member.record
    models = tuple(dict.fromkeys((fingerprint, *record.models)))[:MAX_MODELS]
    return replace(member, record=replace(record, models=models))


def _can_get(member: Member, desired: DesiredModel, me: PeerId) -> bool:
    """Whether a member has the files, or may fetch them; of `dir:` sources that shows only there."""
    has_it = any(desired.source == on_disk.source for on_disk in member.record.on_disk)
    return has_it or member.record.peer == me or desired.is_download_allowed


def is_able(member: Member, desired: DesiredModel) -> bool:
    """Whether new plans may give `member` layers of what the mesh should run."""
    return member.is_available and _could(member, desired)


def _could(member: Member, desired: DesiredModel) -> bool:
    """Whether `member` stays, and could hold layers."""
    record = member.record
    is_like_minded = record.planner == PLANNER_VERSION
    return member.is_staying and is_like_minded and desired.fingerprint in record.models


def able_peers(members: Sequence[Member], desired: DesiredModel | None) -> int:
    """How many members may get layers of what the mesh should run."""
    return sum(is_able(member, desired) for member in members) if desired is not None else 0


def may_widen(members: Sequence[Member], desired: DesiredModel | None) -> bool:
    """Whether the model is to be spread over more peers than are able, and somebody here may soon be able."""
    if desired is None or 0 <= desired.spread <= able_peers(members, desired):
        return False
    others = (m for m in members if m.is_available and not is_able(m, desired))
    return any(m.record.planner == PLANNER_VERSION and not m.record.fault for m in others)


def _candidate(member: Member, fingerprint: str) -> Candidate:
    record = member.record
    resident = ((r.first_layer, r.end_layer) for r in record.resident if r.fingerprint == fingerprint)
    return Candidate(
        record.peer,
        record.run,
        record.name,
        record.memory_bytes,
        record.ns_per_mib,
        record.disk_mb_s,
        tuple(resident),
        record.links,
        tuple((r.first_layer, r.end_layer) for r in record.stored if r.fingerprint == fingerprint),
    )
