import math
from dataclasses import replace

import pytest

from meshinfer.topology.claim import NOBODY
from meshinfer.topology.knobs import MembershipKnobs, lan
from meshinfer.topology.suspicion import Health, Suspicion, remaining_s, shortest_s
from tests.topology.voices import peer

# memberlist's TestMemberList_ProbeNode_Suspect_Dogpile: 0.5 s at least, twice that at most.
DOGPILE = replace(
    lan(), probe_interval_s=0.1, probe_timeout_s=0.05, suspicion_mult=5, suspicion_max_mult=2, confirmations=3
)


def suspicion(believers: int, since_s: float = 0.0) -> Suspicion:
    return Suspicion(since_s, {peer(index) for index in range(believers)})


def ends_s(
    believers: int, members: int, knobs: MembershipKnobs, health: int = 0, deaf: bool = False
) -> float:
    return suspicion(believers).ends_s(knobs, members, health, is_deaf=deaf)


@pytest.mark.parametrize(
    ("members", "expected_s"), [(5, 1.0), (10, 1.0), (50, 1.698), (100, 2.0), (500, 2.698), (1000, 3.0)]
)
def test_the_shortest_suspicion_grows_with_the_logarithm_of_the_mesh(members: int, expected_s: float) -> None:
    knobs = replace(lan(), suspicion_mult=1, probe_interval_s=1.0)
    assert shortest_s(knobs, members) == pytest.approx(expected_s, abs=1e-3)


@pytest.mark.parametrize(
    ("confirmed", "elapsed_s", "left_s"), [(0, 0.0, 30.0), (1, 2.0, 14.0), (2, 3.0, 4.81), (3, 4.0, -2.0)]
)
def test_confirmations_shorten_a_suspicion_as_memberlist_has_it(
    confirmed: int, elapsed_s: float, left_s: float
) -> None:
    left = remaining_s(confirmed=confirmed, needed=3, elapsed_s=elapsed_s, least_s=2.0, most_s=30.0)
    assert left == pytest.approx(left_s, abs=0.01)


@pytest.mark.parametrize(
    ("members", "confirmations", "expected_s"),
    [
        (2, 0, 0.5),
        (3, 0, 0.5),
        (4, 0, 0.5),
        (5, 0, 1.0),
        (6, 0, 1.0),
        (6, 1, 0.75),
        (6, 2, 0.604),
        (6, 3, 0.5),
        (6, 4, 0.5),
    ],
)
def test_a_dogpile_of_suspicions_ends_as_in_memberlist(
    members: int, confirmations: int, expected_s: float
) -> None:
    assert ends_s(1 + confirmations, members, DOGPILE) == pytest.approx(expected_s, abs=1e-3)


def test_without_any_confirmation_asked_for_it_is_the_shortest() -> None:
    assert ends_s(1, 16, replace(lan(), confirmations=0)) == shortest_s(lan(), 15)


@pytest.mark.parametrize(("health", "stretch"), [(0, 1), (1, 2), (5, 6), (7, 6)])
def test_among_too_few_to_confirm_the_own_health_stretches_the_shortest(health: int, stretch: int) -> None:
    assert ends_s(1, 2, lan(), health) == stretch * 2.0
    assert ends_s(1, 3, lan(), health) == stretch * 2.0


@pytest.mark.parametrize(("health", "stretch"), [(0, 1), (1, 2), (2, 3), (7, 3)])
def test_a_peer_that_seems_slow_itself_lets_others_be_the_judges(health: int, stretch: int) -> None:
    assert ends_s(1, 8, lan(), health) == pytest.approx(stretch * 12.0)
    assert ends_s(3, 8, lan(), health) == pytest.approx(2.0)


def test_who_hears_nobody_does_not_count_what_others_confirmed() -> None:
    assert ends_s(3, 8, lan(), deaf=True) == ends_s(1, 8, lan())


def test_only_as_many_confirmations_as_count_are_news() -> None:
    doubt = Suspicion(0.0)
    assert [doubt.confirm(peer(index), lan()) for index in (1, 1, 2, 3, 4)] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_nobody_confirms_nothing() -> None:
    assert not Suspicion(0.0).confirm(NOBODY, lan())


def test_a_suspicion_that_is_put_off_ends_that_much_later() -> None:
    doubt = suspicion(1, since_s=10.0)
    before_s = doubt.ends_s(lan(), 8, 0, is_deaf=False)
    doubt.put_off(5.0)
    assert doubt.ends_s(lan(), 8, 0, is_deaf=False) == before_s + 5.0
    assert doubt.wakes_s == math.inf


def test_health_stays_within_its_bounds() -> None:
    health = Health(most=7)
    scores = []
    for change in (-1, 3, 9, -2, -9):
        health.change(change)
        scores.append(health.score)
    assert scores == [0, 3, 7, 5, 0]
