from typing import Any

import pytest

from meshinfer.paper.links import LINKS
from meshinfer.paper.listing import read_machines
from meshinfer.paper.peers import PaperPeer, Taken, peers_of, peers_of_mesh
from meshinfer.paper.speed import ns_per_mib
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import PeerId
from tests.meshinfer.paper.sketches import toy

A, B = "a" * 32, "b" * 32


def test_machines_are_named_by_chip_and_number_in_their_order() -> None:
    peers = peers_of(read_machines(["2 x M4 Max 128GB + DGX Spark + M4 Max 36GB"]), LINKS["tb5"])
    assert [peer.name for peer in peers] == ["M4 Max #1", "M4 Max #2", "DGX Spark", "M4 Max #3"]
    many = peers_of(read_machines(["12 x M1 8GB"]), LINKS["tb5"])
    assert [peer.name for peer in many] == sorted(peer.name for peer in many)
    assert len({peer.peer for peer in many}) == 12


def test_every_machine_is_joined_with_every_other_by_the_same_link() -> None:
    peers = peers_of(read_machines(["3 x M1 8GB"]), LINKS["wifi"])
    for peer in peers:
        others = [other.peer for other in peers if other is not peer]
        assert peer.links == tuple(LinkMeasure(other, 6000, 60) for other in others)


def test_a_machine_is_a_candidate_with_its_estimated_speed() -> None:
    (peer,) = peers_of(read_machines(["M3 Ultra 512GB"]), LINKS["tb5"])
    assert peer.machine is not None
    candidate = peer.candidate(toy())
    assert candidate.ns_per_mib == ns_per_mib(toy(), peer.machine)
    assert candidate.memory_bytes == peer.machine.budget_bytes


def test_members_of_a_mesh_come_with_what_they_measured() -> None:
    link = {"peer": B, "rtt_us": 300, "mb_s": 0, "is_up": False}
    mesh = {
        "members": [
            {"peer": A, "name": "desk", "memory_bytes": 10, "ns_per_mib": 1234, "links": [link]},
            {"peer": B, "name": "shelf", "memory_bytes": 20, "ns_per_mib": None},
        ]
    }
    desk, shelf = peers_of_mesh(mesh)
    assert (desk.name, desk.memory_bytes, desk.measured_ns, desk.machine) == ("desk", 10, 1234, None)
    assert desk.links == (LinkMeasure(PeerId(B), 300, 0, is_up=False),)
    assert (shelf.measured_ns, shelf.links) == (0, ())
    assert desk.candidate(toy()).ns_per_mib == 1234


def stage(peer: str, need_bytes: int) -> dict[str, Any]:
    return {"peer": peer, "name": "", "layers": [0, 1], "phase": "active", "need_bytes": need_bytes}


def test_what_other_models_take_is_no_longer_offered_and_the_same_model_takes_nothing() -> None:
    mesh = {
        "members": [
            {"peer": A, "name": "desk", "memory_bytes": 10},
            {"peer": B, "name": "shelf", "memory_bytes": 20},
        ],
        "models": [
            {"model": "org/small", "ring": [stage(A, 3), stage(B, 0)]},
            {"model": "org/large", "ring": [stage(A, 4), stage(B, 5)]},
            {"model": "org/older", "ring": [{"peer": A, "name": "desk", "layers": [0, 1]}]},
        ],
    }

    def seen(*names: str) -> list[PaperPeer]:
        return list(peers_of_mesh(mesh, names))

    assert [peer.memory_bytes for peer in seen()] == [3, 15]
    desk, shelf = seen("large", "org/large")
    assert (desk.memory_bytes, desk.taken) == (7, (Taken("org/small", 3),))
    assert (shelf.memory_bytes, shelf.taken) == (20, ())
    assert [peer.alone() for peer in seen()] == seen("org/small", "org/large")


@pytest.mark.parametrize(
    "mesh",
    [
        {},
        {"members": [], "models": None},
        {"members": [], "models": [{"model": "org/small"}]},
        {"members": None},
        {"members": [1]},
        {"members": [{"peer": A, "name": "desk"}]},
        {"members": [{"peer": A, "name": "desk", "memory_bytes": 1, "links": [{"peer": B}]}]},
    ],
)
def test_what_is_no_mesh_is_refused(mesh: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"members|without"):
        peers_of_mesh(mesh)
