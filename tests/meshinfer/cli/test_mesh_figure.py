from dataclasses import replace

import pytest

from meshinfer.cli.client import ClientError
from meshinfer.cli.mesh_view import read_mesh
from meshinfer.snapshot import mesh_json
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.draw.figure import Figure, Seat, Spare, Way
from meshinfer.topology.equipment import Cable, Carrier, Equipment
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, LinkMeasure, PeerLoad, Phase
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.snapshot import MeshSnapshot, model_view, picture
from meshinfer.topology.target import Epoch
from tests.topology.voices import ME, B, C, record

F, X, Y = "f" * 32, "a" * 32, "b" * 32


def equipment(other: PeerId, near: str, far: str) -> Equipment:
    """A machine with a cable to `other`, to which all goes by another way."""
    return Equipment(
        "off", 38_000, (Carrier((other,), "en0", "Ethernet"),), (Cable(near, far, is_used=False),)
    )


def snapshot() -> MeshSnapshot:
    plan = Plan(Epoch(3), "tiny", F, Ring(4, (Stage(ME, Run(1), 0, 3), Stage(B, Run(1), 3, 4))))
    follow = Follow(F, plan.target, Phase.ACTIVE, need_bytes=70)
    members = [
        Member(
            record(
                0,
                follows=(follow,),
                load=PeerLoad(2, 24),
                links=(LinkMeasure(B, 400, 40),),
                equipment=equipment(B, X, Y),
            ),
            Status.ALIVE,
        ),
        Member(
            record(1, follows=(follow,), links=(LinkMeasure(ME, 500, 40),), equipment=equipment(ME, Y, X)),
            Status.SUSPECT,
        ),
        Member(record(2, fault="its disk is full"), Status.ALIVE),
    ]
    desired = DesiredModel(0, 1, ME, "tiny", "dir:/x", F, 0)
    return picture("home", [model_view(desired, plan, members, "")], members, "")


def test_what_comes_over_http_is_drawn_as_the_snapshot_is() -> None:
    mesh = snapshot()
    view, members, plan = read_mesh(mesh_json(mesh)), mesh.members, mesh.models[0].plan
    assert plan is not None
    assert view.figures == (
        Figure(
            mesh="home",
            model="tiny",
            is_live=True,
            reason="",
            epoch=3,
            digest=plan.digest,
            layer_count=4,
            token_us=0,
            seats=(
                Seat(ME, "p0", (0, 3), "serving", 70, 70, members[0].memory_bytes),
                Seat(B, "p1", (3, 4), "suspect", 70, 70, members[1].memory_bytes),
            ),
            ways=(Way(500, 40, True, "Ethernet en0"), Way(500, 40, True, "Ethernet en0")),
            spares=(Spare(C, "p2", "idle", members[2].memory_bytes, "its disk is full"),),
        ),
    )
    assert view.idle_cables == (("p0", "p1"),)
    first, _, third = view.members
    assert (first.rdma, first.watts, first.joules_per_token) == ("off", 38.0, 38 / 24)
    assert view.joules_per_token == 2 * 38 / 24
    assert (third.rdma, third.watts, third.joules_per_token) == ("", None, None)
    assert [(member.answers, member.tokens_per_s) for member in view.members] == [(2, 24), (0, 0), (0, 0)]


def test_a_measured_bandwidth_is_taken_in_bytes_a_second() -> None:
    body = mesh_json(snapshot())
    for member in body["members"][:2]:
        member["links"][0]["bytes_per_s"] = 1_200_000_000
    assert read_mesh(body).figures[0].ways[1] == Way(500, 1200, True, "Ethernet en0")


def test_a_model_is_chosen_by_its_name() -> None:
    view = read_mesh(mesh_json(snapshot()))
    assert view.figure(None) == view.figure("tiny") == view.figures[0]
    with pytest.raises(ClientError, match="runs tiny, not big"):
        view.figure("big")
    nothing = replace(view, figures=(), reason="nobody told it what to run")
    assert nothing.figure(None).headline == "no ring yet: nobody told it what to run"


def test_a_stage_whose_peer_has_gone_is_still_drawn() -> None:
    body = mesh_json(snapshot())
    body["members"] = body["members"][:1]
    assert [seat.state for seat in read_mesh(body).figures[0].seats] == ["serving", "dead"]
