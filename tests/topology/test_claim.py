from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.claim import MAX_INCARNATION, Claim
from meshinfer.topology.member import Status
from meshinfer.topology.record import HIGHEST_RUN
from meshinfer.topology.ring import PeerId, Run
from tests.topology.voices import B, claim

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT
FINAL = (DEAD, LEFT)

CLAIMS = st.builds(
    lambda run, incarnation, status: Claim(B, Run(run), 0 if status in FINAL else incarnation, status),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(Status),
)


def merged(one: Claim, other: Claim) -> Claim:
    return other if other.beats(one) else one


@pytest.mark.parametrize(
    ("lesser", "greater"),
    [
        (claim(1, ALIVE), claim(1, SUSPECT)),
        (claim(1, SUSPECT), claim(1, ALIVE, incarnation=1)),
        (claim(1, ALIVE, incarnation=1), claim(1, SUSPECT, incarnation=1)),
        (claim(1, ALIVE, incarnation=9), claim(1, DEAD)),
        (claim(1, SUSPECT, incarnation=9), claim(1, DEAD)),
        (claim(1, DEAD), claim(1, LEFT)),
        (claim(1, LEFT), claim(1, ALIVE, run=2)),
        (claim(1, DEAD), claim(1, ALIVE, run=2)),
        (claim(1, SUSPECT, incarnation=9), claim(1, ALIVE, run=2)),
    ],
)
def test_claims_of_a_peer_have_an_order(lesser: Claim, greater: Claim) -> None:
    assert greater.beats(lesser)
    assert not lesser.beats(greater)


def test_anything_beats_nothing_and_nothing_beats_itself() -> None:
    assert claim(1, ALIVE).beats(None)
    assert not claim(1, ALIVE).beats(claim(1, ALIVE))


def test_what_is_final_is_one_claim_however_often_was_refuted_before() -> None:
    assert claim(1, ALIVE, incarnation=3).turned(DEAD) == claim(1, SUSPECT, incarnation=5).turned(DEAD)
    assert claim(1, ALIVE, incarnation=3).turned(SUSPECT) == claim(1, SUSPECT, incarnation=3)


@given(CLAIMS, CLAIMS, CLAIMS)
def test_merging_claims_is_commutative_associative_and_idempotent(a: Claim, b: Claim, c: Claim) -> None:
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, a) == a


@given(st.lists(CLAIMS, min_size=1, max_size=5))
def test_the_order_in_which_claims_come_does_not_matter(claims: list[Claim]) -> None:
    results = set()
    for order in permutations(claims):
        held = order[0]
        for told in order[1:]:
            held = merged(held, told)
        results.add(held)
    assert len(results) == 1


@pytest.mark.parametrize(
    ("peer", "run", "incarnation", "status"),
    [
        ("b" * 31, 1, 0, ALIVE),
        ("B" * 32, 1, 0, ALIVE),
        ("b" * 32 + "\n", 1, 0, ALIVE),
        ("b" * 32, -1, 0, ALIVE),
        ("b" * 32, HIGHEST_RUN + 1, 0, ALIVE),
        ("b" * 32, 1, -1, ALIVE),
        ("b" * 32, 1, MAX_INCARNATION + 1, SUSPECT),
        ("b" * 32, 1, 1, DEAD),
        ("b" * 32, 1, 1, LEFT),
    ],
)
def test_a_claim_that_no_packet_could_carry_cannot_exist(
    peer: str, run: int, incarnation: int, status: Status
) -> None:
    with pytest.raises(ValueError, match="nobody can be"):
        Claim(PeerId(peer), Run(run), incarnation, status)
