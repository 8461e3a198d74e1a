from dataclasses import replace

import pytest

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.member import MAX_TEXT, PeerRecord, Phase, Status, Version
from meshinfer.topology.membership import Gossip, Membership, MembershipTiming
from meshinfer.topology.ring import PeerId, Run

TIMING = MembershipTiming(heartbeat_s=0.5, suspect_s=2.0, dead_s=6.0, refused_s=0.5, forget_s=60.0)
A, B, C = (PeerId(letter * 32) for letter in "abc")


def record(peer: PeerId, run: int = 1, version: int = 0) -> PeerRecord:
    return PeerRecord(peer, Run(run), Version(version), f"peer-{peer[0]}", "0.1", ("tcp://h:1",), "", 100)


def gossip(*records: PeerRecord) -> Gossip:
    return Gossip(records, None)


@pytest.fixture
def mesh() -> Membership:
    """Seen from A, with B linked at time 0."""
    membership = Membership(record(A), TIMING)
    membership.linked(B, 0.0)
    membership.heard(B, gossip(record(B)), 0.0)
    return membership


def test_a_member_that_speaks_is_alive(mesh: Membership) -> None:
    mesh.heard(B, gossip(record(B)), 5.0)
    assert mesh.status(B, 6.9) is Status.ALIVE


def test_a_silent_member_is_suspect_and_then_dead(mesh: Membership) -> None:
    assert [mesh.status(B, now_s) for now_s in (1.9, 2.0, 5.9, 6.0)] == [
        Status.ALIVE,
        Status.SUSPECT,
        Status.SUSPECT,
        Status.DEAD,
    ]


def test_a_silent_member_that_speaks_again_is_alive(mesh: Membership) -> None:
    assert mesh.status(B, 10.0) is Status.DEAD
    mesh.heard(B, gossip(record(B)), 10.0)
    assert mesh.status(B, 10.0) is Status.ALIVE


def test_a_broken_link_makes_a_suspect_at_once(mesh: Membership) -> None:
    mesh.unlinked(B, 1.0)
    assert mesh.status(B, 1.0) is Status.SUSPECT
    assert mesh.status(B, 7.0) is Status.DEAD


def test_a_member_whose_address_refuses_is_dead_within_half_a_second(mesh: Membership) -> None:
    mesh.unlinked(B, 1.0)
    mesh.refused(B)
    assert mesh.status(B, 1.4) is Status.SUSPECT
    assert mesh.status(B, 1.5) is Status.DEAD


def test_a_refusal_while_another_link_is_up_says_nothing(mesh: Membership) -> None:
    mesh.refused(B)
    assert mesh.status(B, 1.0) is Status.ALIVE


def test_a_member_that_said_farewell_has_left_and_is_not_dialled(mesh: Membership) -> None:
    mesh.left(B)
    mesh.unlinked(B, 1.0)
    assert mesh.status(B, 1.0) is Status.LEFT
    assert mesh.absent(1.0) == ()


def test_a_member_that_comes_back_in_a_new_run_is_alive(mesh: Membership) -> None:
    mesh.left(B)
    mesh.unlinked(B, 1.0)
    mesh.linked(B, 2.0)
    mesh.heard(B, gossip(record(B, run=2)), 2.0)
    assert mesh.status(B, 2.0) is Status.ALIVE


def test_what_is_known_by_hearsay_is_dialled_and_suspect_until_linked(mesh: Membership) -> None:
    mesh.heard(B, gossip(record(B), record(C)), 0.0)
    assert mesh.status(C, 0.0) is Status.SUSPECT
    assert [r.peer for r in mesh.absent(0.0)] == [C]


def test_an_older_record_changes_nothing(mesh: Membership) -> None:
    newer = replace(record(B, version=2), memory_bytes=200)
    assert mesh.heard(B, gossip(newer), 1.0)
    assert not mesh.heard(B, gossip(record(B, version=1)), 1.0)
    assert mesh.members(1.0)[1].record == newer


def test_nobody_else_writes_this_peers_record(mesh: Membership) -> None:
    mesh.heard(B, gossip(replace(record(A, run=9), name="impostor")), 1.0)
    assert mesh.own == record(A)


def test_publishing_raises_the_version_and_only_for_news(mesh: Membership) -> None:
    assert mesh.publish(replace(mesh.own, phase=Phase.READY))
    assert mesh.own.version == 1
    assert not mesh.publish(mesh.own)
    assert mesh.own.version == 1


def test_each_peer_is_told_a_record_once_and_afresh_over_a_new_link(mesh: Membership) -> None:
    mesh.linked(C, 0.0)
    mesh.heard(C, gossip(record(C)), 0.0)
    own = mesh.own
    assert mesh.gossip_for(B).records == (own, record(B), record(C))
    assert mesh.gossip_for(B).records == (own,)
    mesh.unlinked(B, 1.0)
    mesh.linked(B, 2.0)
    assert mesh.gossip_for(B).records == (own, record(B), record(C))


def test_the_desire_of_the_mesh_is_merged_and_passed_on(mesh: Membership) -> None:
    first = DesiredModel(0, 1, B, "tiny", "dir:/x", "f" * 32, 0)
    assert mesh.heard(B, Gossip((record(B),), first), 1.0)
    assert not mesh.desire(replace(first, created_ms=2, by=A))
    assert mesh.gossip_for(B).desired == first


def test_members_are_in_the_same_order_everywhere() -> None:
    views = []
    for own, other in ((A, B), (B, A)):
        membership = Membership(record(own), TIMING)
        membership.heard(other, gossip(record(other)), 0.0)
        views.append([member.record for member in membership.members(0.0)])
    assert views[0] == views[1]


def test_the_dead_are_forgotten_in_the_end(mesh: Membership) -> None:
    mesh.unlinked(B, 1.0)
    assert not mesh.tick(60.0)
    assert mesh.tick(61.1)
    assert len(mesh.members(61.1)) == 1


@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"fault": "x" * (MAX_TEXT + 1)}, {"memory_bytes": -1}, {"addresses": ("a",) * 17}],
)
def test_a_record_past_its_limits_cannot_exist(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="record"):
        replace(record(A), **change)  # type: ignore[arg-type]
