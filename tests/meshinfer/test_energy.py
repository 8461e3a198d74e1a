import pytest

from meshinfer.energy import energy_of
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.equipment import Equipment
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, PeerLoad, Phase
from meshinfer.topology.ring import Ring, Run, Stage
from meshinfer.topology.snapshot import MeshSnapshot, model_view, picture
from meshinfer.topology.target import Epoch
from tests.topology.voices import ME, B, record

F = "f" * 32
PLAN = Plan(Epoch(3), "tiny", F, Ring(4, (Stage(ME, Run(1), 0, 3), Stage(B, Run(1), 3, 4))))


def mesh(first_mw: int, second_mw: int, tokens_per_s: int, phase: Phase = Phase.ACTIVE) -> MeshSnapshot:
    """Two peers that compute, and a third that takes 99 W beside them and reads what they write."""
    follows = (Follow(F, PLAN.target, phase),)
    records = (
        record(0, follows=follows, equipment=Equipment(milliwatts=first_mw)),
        record(1, follows=follows, equipment=Equipment(milliwatts=second_mw)),
        record(2, load=PeerLoad(1, tokens_per_s), equipment=Equipment(milliwatts=99_000)),
    )
    members = [Member(each, Status.ALIVE) for each in records]
    view = model_view(DesiredModel(0, 1, ME, "tiny", "dir:/x", F, 0), PLAN, members, "")
    return picture("home", [view], members, "")


def test_a_token_costs_what_those_that_compute_take_for_it() -> None:
    energy = energy_of(mesh(30_000, 20_000, 25))
    assert energy.of == {ME: pytest.approx(1.2), B: pytest.approx(0.8)}
    assert energy.joules_per_token == pytest.approx(2.0)


def test_where_one_does_not_tell_there_is_no_sum() -> None:
    energy = energy_of(mesh(30_000, 0, 25))
    assert energy.of == {ME: pytest.approx(1.2)}
    assert energy.joules_per_token is None


def test_without_tokens_or_a_ring_nothing_is_made_of_the_watts() -> None:
    for still in (mesh(30_000, 20_000, 0), mesh(30_000, 20_000, 25, Phase.PREPARE)):
        assert energy_of(still).of == {}
        assert energy_of(still).joules_per_token is None
