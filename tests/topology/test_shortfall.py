from dataclasses import replace

import pytest

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.planner import plan_ring
from meshinfer.topology.question import Candidate, Infeasible, Question
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.shortfall import HINT, size_text
from tests.topology.questions import even, peer, peer_id, peers

DOWN = (LinkMeasure(peer_id(1), 1, 1, is_up=False),)
CACHED = Footprint((20 * 10**6,) * 2, (0,) * 2, (20 * 10**6,) * 2, 0, 0, 0, kv_tokens=4000)
UNEVEN = Footprint((10**7, 10**7, 8 * 10**7), (0,) * 3, (0,) * 3, 0, 0, 0)


@pytest.mark.parametrize(
    ("candidates", "footprint", "spread", "words"),
    [
        ((), even(6), SPREAD_ALL, "no peer has the files of m"),
        (
            peers(10, 20),
            even(6),
            SPREAD_AUTO,
            "m needs 60 MB with its KV cache; 2 peers offer 30 MB (peer-1 20 MB, peer-0 10 MB), 30 MB too "
            "little: add a peer, give more with --memory, or take a smaller model; `meshinfer plan` tells "
            "what would fit",
        ),
        (
            peers(1),
            even(6),
            SPREAD_AUTO,
            "m needs 60 MB with its KV cache; 1 peer offers 1.0 MB (peer-0 1.0 MB)",
        ),
        (peers(*[5] * 20), even(6), SPREAD_ALL, "20 peers offer 100 MB (peer-0 5.0 MB"),
        (peers(*[1] * 20), even(6), SPREAD_ALL, ", 12 more), 40 MB too little: add a peer"),
        (
            peers(60),
            CACHED,
            SPREAD_AUTO,
            "20 MB too little: add a peer, give more with --memory, or take a smaller model; of the 4,000 "
            "tokens of context that are reserved, 2,000 would fit",
        ),
        (peers(99), even(6), 2, "m is to be spread over 2 peers, 1 can hold layers"),
        (peers(99, 5), even(6), 2, "m is to be spread over 2 peers, 1 can hold layers"),
        (peers(*[99] * 9), even(6), 8, "m has 6 layers, too few for 8 peers"),
        (peers(99, 99), even(1), 2, "m has 1 layer, too few for 2 peers"),
        (
            peers(*[99] * 3),
            replace(even(6), cuts=(1,)),
            3,
            "m can be cut into 2 parts at most, too few for 3",
        ),
        (peers(99, 99), replace(even(6), cuts=()), 2, "m cannot be cut: its layers run on one peer"),
        (
            peers(40, 50),
            replace(even(6), cuts=()),
            SPREAD_AUTO,
            "2 peers offer 90 MB (peer-1 50 MB, peer-0 40 MB), but no cut fits: stages are layers that must "
            "stay together, of up to 60 MB",
        ),
        (peers(50, 50), UNEVEN, SPREAD_AUTO, "but no cut fits: stages are whole layers, of up to 80 MB"),
        (peers(20, 20, 30), even(6), 2, "but no cut fits over 2 peers"),
        (
            (replace(peer(0, 40), links=DOWN), peer(1, 40)),
            even(6),
            SPREAD_AUTO,
            "2 peers offer 80 MB (peer-0 40 MB, peer-1 40 MB), but there is no way between peer-0 and peer-1",
        ),
    ],
)
def test_what_cannot_be_planned_says_what_is_missing(
    candidates: tuple[Candidate, ...], footprint: Footprint, spread: int, words: str
) -> None:
    answer = plan_ring(Question("m", footprint, spread, candidates))
    assert isinstance(answer, Infeasible)
    assert words in answer.reason


@pytest.mark.parametrize(("memory_mb", "is_told"), [(39, False), (40, False), (41, True), (79, True)])
def test_less_context_is_offered_only_where_some_would_fit(memory_mb: int, is_told: bool) -> None:
    answer = plan_ring(Question("m", CACHED, SPREAD_AUTO, peers(memory_mb)))
    assert isinstance(answer, Infeasible)
    assert ("tokens of context" in answer.reason) is is_told


def test_every_reason_about_memory_ends_with_where_to_look() -> None:
    for candidates in (peers(30), peers(50, 50)):
        answer = plan_ring(Question("m", UNEVEN, SPREAD_AUTO, candidates))
        assert isinstance(answer, Infeasible)
        assert answer.reason.endswith(HINT)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0.0 MB"),
        (149_999, "0.1 MB"),
        (9_960_000, "10.0 MB"),
        (12_345_678, "12 MB"),
        (999_999_999, "1000 MB"),
        (10**9, "1.0 GB"),
        (12_340_000_000, "12.3 GB"),
        (656_700_000_000, "657 GB"),
    ],
)
def test_sizes_are_short(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text
