"""What must never happen is taken down when it happens, and nothing else is."""

from collections.abc import Callable

import pytest

from meshinfer.messages import Hello, SessionId
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, Phase
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Epoch
from tests.simulation.ledger import Ledger

A, B = (PeerId(letter * 32) for letter in "ab")
SESSION = SessionId("s.1")


def plan(epoch: int, run: int = 1) -> Plan:
    return Plan(Epoch(epoch), "fake", "f" * 32, Ring(4, (Stage(A, Run(run), 0, 2), Stage(B, Run(1), 2, 4))))


def ready(ledger: Ledger, of: Plan) -> None:
    for peer in (A, B):
        ledger.installs(peer, of, None)
        ledger.is_ready(peer, of.target)
    for peer in (A, B):
        ledger.activates(peer, of.target)


def compute(ledger: Ledger, of: Plan, peer: PeerId, position: int) -> None:
    stage = of.ring.stage_of(peer)
    assert stage is not None
    ledger.computes(peer, stage, of.target, SESSION, range(position, position + 1))


def go_back(ledger: Ledger) -> None:
    ledger.installs(A, plan(1), plan(2).target)


def be_active_twice(ledger: Ledger) -> None:
    ledger.publishes(A, tuple(Follow("f" * 32, plan(epoch).target, Phase.ACTIVE) for epoch in (1, 2)))


def activate_alone(ledger: Ledger) -> None:
    ledger.installs(A, plan(1), None)
    ledger.is_ready(A, plan(1).target)
    ledger.activates(A, plan(1).target)


def mix_plans(ledger: Ledger) -> None:
    ready(ledger, plan(1))
    ready(ledger, plan(2))
    compute(ledger, plan(1), A, 0)
    compute(ledger, plan(2), B, 0)


def leave_out_a_stage(ledger: Ledger) -> None:
    ready(ledger, plan(1))
    compute(ledger, plan(1), B, 0)


def compute_twice(ledger: Ledger) -> None:
    ready(ledger, plan(1))
    compute(ledger, plan(1), A, 0)
    compute(ledger, plan(1), A, 0)


def hear_the_dead(ledger: Ledger) -> None:
    ledger.require_sender(plan(1), B, Hello(A, 2, "a", "sim", "0.1", "memory://a:7"), [1])


def go_on_as_another(ledger: Ledger) -> None:
    ledger.require_sender(plan(1), B, Hello(A, 1, "a", "sim", "0.1", "memory://a:7"), [2])


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("I5", go_back),
        ("I5", be_active_twice),
        ("I4", activate_alone),
        ("I2", mix_plans),
        ("I3", leave_out_a_stage),
        ("I3", compute_twice),
        ("I7", hear_the_dead),
        ("I7", go_on_as_another),
    ],
)
def test_what_must_not_be_is_reported(name: str, act: Callable[[Ledger], None]) -> None:
    told: list[int] = []
    ledger = Ledger(lambda: 7.0, lambda: told.append(1))
    act(ledger)
    assert [violation.name for violation in ledger.violations] == [name]
    assert told == [1]
    assert str(ledger.violations[0]).startswith(f"{name} at 7.0000 s: ")


def test_a_ring_that_goes_round_is_fine_and_is_counted() -> None:
    ledger = Ledger(lambda: 3.0, lambda: None)
    ready(ledger, plan(1))
    for position in range(3):
        for peer in (A, B):
            compute(ledger, plan(1), peer, position)
    ledger.require_sender(plan(1), B, Hello(A, 1, "a", "sim", "0.1", "memory://a:7"), [1])
    assert not ledger.violations
    assert (ledger.counts["frames"], ledger.counts["activations"]) == (6, 2)
    assert (ledger.installed_at_s([A]), ledger.installed_at_s([])) == (3.0, 0.0)
