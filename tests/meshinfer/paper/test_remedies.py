from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.model.base import Sketch
from meshinfer.paper.peers import Taken
from meshinfer.paper.plan import PaperPlan, make_plan
from meshinfer.paper.remedies import Remedies, find_remedies
from tests.meshinfer.paper.sketches import ALONE, GB, MB, member, toy

SMALL_PIECES = replace(ALONE, chunk_tokens=1)


def remedies(model: Sketch, *memory_gb: float, coarser: tuple[Sketch, ...] = ()) -> Remedies:
    peers = [member(number, int(gb * GB)) for number, gb in enumerate(memory_gb)]
    assert not isinstance(make_plan(model, peers, SMALL_PIECES), PaperPlan)
    return find_remedies(model, peers, SMALL_PIECES, coarser)


def test_missing_memory_is_told_in_bytes() -> None:
    found = remedies(toy(), 4, 5)
    assert GB <= found.missing_bytes < GB + 10 * MB


def test_where_only_no_cut_fits_nothing_is_missing() -> None:
    assert remedies(toy(layers=2, layer_bytes=5 * GB), 7, 4).missing_bytes == 0


def test_the_finest_precision_that_fits_is_offered_and_no_coarser_one_is_made() -> None:
    made: list[int] = []

    def coarser() -> Iterator[Sketch]:
        for size_mb in (950, 800, 600, 300):
            made.append(size_mb)
            yield toy(layer_bytes=size_mb * MB)

    found = find_remedies(toy(), [member(0, 9 * GB)], SMALL_PIECES, coarser())
    assert found.coarser == toy(layer_bytes=800 * MB)
    assert made == [950, 800]


@pytest.mark.parametrize(
    ("memory_gb", "context_tokens"),
    [(19, 768), (13.0, 256), (12.5, None), (9.9, None)],
)
def test_as_much_context_is_offered_as_fits(memory_gb: float, context_tokens: int | None) -> None:
    # 10 GB of weights, and 10 for the whole context of 1,000 tokens.
    assert remedies(toy(kv_bytes=MB), memory_gb).context_tokens == context_tokens


def test_more_peers_like_the_roomiest_are_counted() -> None:
    found = remedies(toy(layers=20), 6.5, 3.5)
    assert found.like == member(0, int(6.5 * GB))
    assert found.more_peers == 2


def test_a_layer_that_fits_nobody_needs_other_machines() -> None:
    found = remedies(toy(layer_bytes=8 * GB), 5)
    assert found.more_peers is None


def test_models_that_are_in_the_way_are_named_where_unloading_them_would_do() -> None:
    crowded = replace(member(0, 9 * GB), taken=(Taken("small", GB), Taken("large", 2 * GB)))
    found = find_remedies(toy(), [crowded], SMALL_PIECES, ())
    assert found.without == ("small", "large")
    assert found.like == member(0, 12 * GB)
    assert find_remedies(toy(layers=13), [crowded], SMALL_PIECES, ()).without == ()
    assert remedies(toy(), 9).without == ()


def test_where_nobody_is_nobody_is_offered() -> None:
    found = find_remedies(toy(), [], SMALL_PIECES, ())
    assert (found.like, found.more_peers, found.context_tokens, found.coarser) == (None, None, None, None)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(0, 3))
def test_what_is_offered_fits_and_a_little_less_does_not(memory_gb: list[int], kv_mb: int) -> None:
    model = toy(layers=12, kv_bytes=kv_mb * MB)
    peers = [member(number, gb * GB) for number, gb in enumerate(memory_gb)]
    if isinstance(make_plan(model, peers, SMALL_PIECES), PaperPlan):
        return
    found = find_remedies(model, peers, SMALL_PIECES, ())
    if found.context_tokens is not None:
        shorter = replace(SMALL_PIECES, context_tokens=found.context_tokens)
        assert isinstance(make_plan(model, peers, shorter), PaperPlan)
    if found.more_peers is not None and found.like is not None:
        copies = [replace(found.like, peer=member(100 + n, 0).peer) for n in range(found.more_peers)]
        assert isinstance(make_plan(model, [*peers, *copies], SMALL_PIECES), PaperPlan)
        assert not isinstance(make_plan(model, [*peers, *copies[1:]], SMALL_PIECES), PaperPlan)
