from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO, DesiredModel, spread_text
from meshinfer.topology.ring import PeerId

FIRST = DesiredModel(0, 1000, PeerId("a" * 32), "tiny", "dir:/a", "f" * 32, SPREAD_AUTO)

DESIRES = st.builds(
    DesiredModel,
    revision=st.integers(0, 2),
    created_ms=st.integers(0, 3),
    by=st.sampled_from([PeerId("a" * 32), PeerId("b" * 32)]),
    name=st.just("tiny"),
    source=st.just("dir:/a"),
    fingerprint=st.sampled_from(["e" * 32, "f" * 32]),
    spread=st.sampled_from([SPREAD_AUTO, SPREAD_ALL, 2]),
)


def merged(left: DesiredModel, right: DesiredModel) -> DesiredModel:
    return left if left.beats(right) else right


def test_a_newcomer_follows_what_the_mesh_was_asked_for_first() -> None:
    newcomer = replace(FIRST, created_ms=2000, spread=SPREAD_ALL)
    assert merged(FIRST, newcomer) is FIRST
    assert merged(newcomer, FIRST) is FIRST


def test_a_change_on_purpose_wins_over_what_was_asked_for_first() -> None:
    changed = replace(FIRST, revision=1, created_ms=9000, name="huge")
    assert merged(FIRST, changed) is changed


def test_anything_beats_nothing() -> None:
    assert FIRST.beats(None)


@given(DESIRES, DESIRES, DESIRES)
def test_merging_does_not_depend_on_order(a: DesiredModel, b: DesiredModel, c: DesiredModel) -> None:
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, a) == a


def test_a_spread_is_spelled_as_the_option_is() -> None:
    assert [spread_text(spread) for spread in (SPREAD_AUTO, SPREAD_ALL, 3)] == ["auto", "all", "3"]
