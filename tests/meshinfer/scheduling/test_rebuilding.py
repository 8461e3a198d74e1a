from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.messages import Fill, Holding
from meshinfer.scheduling.rebuilding import Rebuilding, plan_rebuilding
from meshinfer.topology.ring import PeerId, Ring, Run, Stage

A, B, C, D = (PeerId(letter * 32) for letter in "abcd")
LAYERS = 30


def ring(*stages: tuple[PeerId, int, int]) -> Ring:
    return Ring(LAYERS, tuple(Stage(peer, Run(1), first, end) for peer, first, end in stages))


def held(peer: PeerId, first: int, end: int, length: int = 100, handed_on: int | None = None) -> Holding:
    """Everything that a stage could have kept."""
    is_tail = end == LAYERS
    handed = (0 if is_tail else length) if handed_on is None else handed_on
    return Holding(peer, first, end, length, True, handed)


THREE = (held(A, 0, 10), held(B, 10, 20), held(C, 20, 30))


@pytest.mark.parametrize(
    ("now", "kept", "fills"),
    [
        # Nothing but the plan's number changed.
        (ring((A, 0, 10), (B, 10, 20), (C, 20, 30)), THREE, ()),
        # The middle one is gone: both others take some of its layers.
        (ring((A, 0, 15), (C, 15, 30)), (THREE[0], THREE[2]), (Fill(10, 20, A),)),
        # The tail is gone: the head takes some of the middle one's layers, that one the tail's.
        (ring((A, 0, 15), (B, 15, 30)), THREE[:2], (Fill(10, 15, A), Fill(20, 30, B))),
        # The head is gone: from the tokens, and through layers that are held, to those behind.
        (ring((B, 0, 15), (C, 15, 30)), THREE[1:], (Fill(0, 20, B),)),
        # Another machine takes a stage over.
        (ring((A, 0, 10), (D, 10, 20), (C, 20, 30)), (THREE[0], THREE[2]), (Fill(10, 20, A),)),
        (ring((A, 0, 10), (B, 10, 20), (D, 20, 30)), THREE[:2], (Fill(20, 30, B),)),
        # One holds all now.
        (ring((A, 0, 30)), THREE[:1], (Fill(10, 30, A),)),
        # Nobody kept what went from the head to the middle one.
        (ring((A, 0, 15), (C, 15, 30)), (held(A, 0, 10, handed_on=60), THREE[2]), (Fill(0, 20, A),)),
    ],
)
def test_what_is_missing_is_filled_from_where_somebody_can(
    now: Ring, kept: tuple[Holding, ...], fills: tuple[Fill, ...]
) -> None:
    assert plan_rebuilding(now, kept, 101) == Rebuilding(100, fills)


def test_the_shortest_of_all_caches_counts_and_the_last_token_is_always_computed() -> None:
    same = ring((A, 0, 10), (B, 10, 20), (C, 20, 30))
    kept = (THREE[0], replace(THREE[1], length=98), replace(THREE[2], length=97))
    assert plan_rebuilding(same, kept, 101) == Rebuilding(97, ())
    assert plan_rebuilding(same, THREE, 80) == Rebuilding(79, ())


def test_a_cache_that_is_far_behind_is_filled_instead() -> None:
    same = ring((A, 0, 10), (B, 10, 20), (C, 20, 30))
    kept = (THREE[0], replace(THREE[1], length=5, handed_on=5), THREE[2])
    assert plan_rebuilding(same, kept, 101) == Rebuilding(100, (Fill(10, 20, A),))


def test_a_cache_that_cannot_be_cut_serves_for_its_own_length_only() -> None:
    same = ring((A, 0, 10), (B, 10, 20), (C, 20, 30))
    fixed = tuple(replace(holding, is_trimmable=False) for holding in THREE)
    assert plan_rebuilding(same, fixed, 101) == Rebuilding(100, ())
    assert plan_rebuilding(same, fixed, 90) is None


@pytest.mark.parametrize(
    ("kept", "tokens"),
    [((), 101), ((held(A, 0, 10, length=3),), 101), (THREE, 1)],
)
def test_where_little_is_kept_all_begins_anew(kept: tuple[Holding, ...], tokens: int) -> None:
    assert plan_rebuilding(ring((A, 0, 10), (B, 10, 20), (C, 20, 30)), kept, tokens) is None


def cuts(count: int) -> st.SearchStrategy[list[int]]:
    inner = st.lists(st.integers(1, LAYERS - 1), min_size=count - 1, max_size=count - 1, unique=True)
    return inner.map(lambda each: [0, *sorted(each), LAYERS])


@st.composite
def changes(draw: st.DrawFn) -> tuple[Ring, list[Holding], int]:
    """A ring, and what its peers and others kept of an earlier one."""
    peers = draw(st.permutations([A, B, C, D]))
    old = draw(cuts(draw(st.integers(1, 4))))
    new = draw(cuts(draw(st.integers(1, 4))))
    stages = [(peer, a, b) for peer, a, b in zip(peers, new, new[1:], strict=False)]
    holdings = []
    for peer, first, end in zip(draw(st.permutations(peers)), old, old[1:], strict=False):
        length = draw(st.integers(1, 40))
        handed = 0 if end == LAYERS else draw(st.integers(0, length))
        if draw(st.booleans()):
            holdings.append(Holding(peer, first, end, length, draw(st.booleans()), handed))
    return ring(*stages), holdings, draw(st.integers(1, 45))


@given(changes())
def test_afterwards_every_cache_is_there(change: tuple[Ring, list[Holding], int]) -> None:
    now, holdings, tokens = change
    made = plan_rebuilding(now, holdings, tokens)
    if made is None:
        return
    assert 0 < made.length < tokens
    filled = {layer for fill in made.fills for layer in range(fill.first_layer, fill.end_layer)}
    assert len(filled) == sum(fill.end_layer - fill.first_layer for fill in made.fills)
    for stage in now.stages:
        for layer in set(stage.layers) - filled:
            assert any(has(each, stage.peer, layer, made.length) for each in holdings)
    for fill in made.fills:
        check_source(now, holdings, made.length, fill)


def has(holding: Holding, peer: PeerId, layer: int, length: int) -> bool:
    is_long = holding.length == length or (holding.length > length and holding.is_trimmable)
    return holding.peer == peer and holding.first_layer <= layer < holding.end_layer and is_long


def check_source(now: Ring, holdings: Sequence[Holding], length: int, fill: Fill) -> None:
    """Who begins a fill computes its first layer, or hands on to whoever does."""
    stage = now.stage_of(fill.source)
    assert stage is not None
    assert stage.first_layer <= fill.first_layer <= stage.end_layer
    if fill.first_layer == 0:
        assert fill.source == now.head.peer
        return
    (holding,) = (each for each in holdings if each.peer == fill.source)
    assert holding.end_layer == fill.first_layer
    assert holding.handed_on >= length
