from dataclasses import replace

import pytest

from meshinfer.topology.hops import NEVER, measure_ways
from meshinfer.topology.question import Candidate
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import PeerId
from tests.topology.questions import peer_id, peers

HOP_BYTES = 14_000


def linked(*links: tuple[int, int, int, int, bool]) -> tuple[Candidate, ...]:
    """Four peers; each link is (from, to, round trip in µs, MB/s, is up)."""
    return tuple(
        replace(
            candidate,
            links=tuple(
                LinkMeasure(peer_id(b), rtt, mb_s, up) for a, b, rtt, mb_s, up in links if a == index
            ),
        )
        for index, candidate in enumerate(peers(1, 1, 1, 1))
    )


def test_a_hop_takes_half_a_round_trip_and_the_time_of_its_bytes() -> None:
    ways = measure_ways(linked((0, 1, 300, 500, True)), HOP_BYTES)
    assert ways.hop_ns[0][1] == 150_000 + 28_000
    assert ways.reply_ns[0][1] == 150_000


@pytest.mark.parametrize(
    ("here", "there", "hop_ns"),
    [
        ((300, 500), (100, 100), 150_000 + 140_000),
        ((100, 100), (300, 500), 150_000 + 140_000),
        ((100, 0), (100, 2000), 50_000 + 7000),
        ((100, 0), (100, 0), 50_000 + 14_000),
    ],
)
def test_of_what_both_ends_measured_the_worse_counts(
    here: tuple[int, int], there: tuple[int, int], hop_ns: int
) -> None:
    ways = measure_ways(linked((0, 1, *here, True), (1, 0, *there, True)), HOP_BYTES)
    assert ways.hop_ns[0][1] == ways.hop_ns[1][0] == hop_ns


def test_a_way_that_nobody_measured_is_a_usual_one() -> None:
    assert measure_ways(linked(), HOP_BYTES).hop_ns[2][3] == 100_000 + 14_000


def test_a_peer_has_no_hop_to_itself_and_none_to_strangers() -> None:
    stranger = LinkMeasure(PeerId("f" * 32), 1)
    candidates = tuple(replace(c, links=(LinkMeasure(c.peer, 900), stranger)) for c in peers(1, 1))
    ways = measure_ways(candidates, HOP_BYTES)
    assert (ways.hop_ns[0][0], ways.hop_ns[0][1]) == (0, 114_000)


def test_what_is_down_at_either_end_is_relayed_the_cheapest_way() -> None:
    links = [(3, 0, 1, 0, False), (0, 1, 200, 1000, True), (1, 3, 400, 1000, True), (0, 2, 5000, 1000, True)]
    ways = measure_ways(linked(*links), HOP_BYTES)
    assert ways.hop_ns[0][3] == ways.hop_ns[3][0] == 100_000 + 200_000 + 2 * 14_000
    assert ways.reply_ns[0][3] == 300_000


def test_a_chain_relays_over_all_of_it() -> None:
    down = [(a, b, 1, 0, False) for a, b in ((0, 2), (0, 3), (1, 3))]
    assert measure_ways(linked(*down), HOP_BYTES).hop_ns[0][3] == 3 * 114_000


def test_a_slow_direct_way_is_not_relayed() -> None:
    links = [(0, 3, 90_000, 1000, True), (1, 2, 1, 0, False)]
    assert measure_ways(linked(*links), HOP_BYTES).hop_ns[0][3] == 45_000_000 + 14_000


def test_peers_without_a_way_between_them_are_apart() -> None:
    down = [(a, b, 1, 0, False) for a, b in ((0, 1), (0, 3), (2, 1), (2, 3))]
    ways = measure_ways(linked(*down), HOP_BYTES)
    assert ways.hop_ns[0][1] == NEVER
    assert ways.components() == ((0, 2), (1, 3))
    assert ways.ring_ns((0, 1)) == NEVER


def test_a_ring_is_its_hops_and_a_tokens_way_back() -> None:
    ways = measure_ways(linked((0, 1, 400, 1000, True), (2, 0, 600, 1000, True)), HOP_BYTES)
    assert ways.ring_ns((0, 1, 2)) == 214_000 + 114_000 + 300_000
    assert ways.ring_ns((1,)) == 0
