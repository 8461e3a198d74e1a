"""How models share the members' memory: who was asked for first takes what its plans need, and so on."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from .member import Member
from .record import PeerRecord


def taken_bytes(record: PeerRecord, fingerprints: Collection[str]) -> int:
    """What the plans of some models take of a peer's memory, by what it says of itself.

    Of two plans of one model the larger counts: while one takes over from the other, what both need lies in
    memory once, or one after the other.
    """
    needs: dict[str, int] = {}
    for follow in record.follows:
        if follow.fingerprint in fingerprints:
            needs[follow.fingerprint] = max(needs.get(follow.fingerprint, 0), follow.need_bytes)
    return sum(needs.values())


def left_by(members: Sequence[Member], fingerprints: Collection[str]) -> tuple[Member, ...]:
    """The members with the memory that the plans of some models leave of theirs."""
    return tuple(_left(member, fingerprints) for member in members) if fingerprints else tuple(members)


def _left(member: Member, fingerprints: Collection[str]) -> Member:
    record = member.record
    taken = taken_bytes(record, fingerprints)
    if not taken:
        return member
    return replace(member, record=replace(record, memory_bytes=max(0, record.memory_bytes - taken)))
