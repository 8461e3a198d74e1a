from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.desire import (
    MAX_DESIRES,
    SPREAD_ALL,
    SPREAD_AUTO,
    DesiredModel,
    asked_again,
    merge_desires,
    spread_text,
    taken_back,
    wanted_models,
)
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


def test_models_are_wanted_in_the_order_in_which_they_were_asked_for() -> None:
    second = replace(FIRST, created_ms=2000, name="huge", fingerprint="e" * 32)
    gone = replace(FIRST, created_ms=500, name="gone", fingerprint="d" * 32, is_wanted=False)
    assert wanted_models((second, gone, FIRST)) == (FIRST, second)


def test_of_two_names_for_one_content_the_first_counts() -> None:
    alias = replace(FIRST, created_ms=2000, name="alias")
    assert wanted_models((alias, FIRST)) == (FIRST,)
    assert wanted_models((alias, taken_back(FIRST, FIRST.by, 3000))) == (alias,)


def test_what_is_taken_back_stays_so_until_somebody_asks_again() -> None:
    gone = taken_back(FIRST, PeerId("b" * 32), now_ms=10)
    assert (gone.is_wanted, gone.revision, gone.created_ms) == (False, 1, 1001)
    assert merge_desires((FIRST,), (gone,)) == merge_desires((gone,), (FIRST,)) == (gone,)
    newcomer = replace(FIRST, created_ms=5000)
    again = asked_again(gone, newcomer)
    assert again is not None
    assert merge_desires((gone,), (again,)) == (replace(newcomer, revision=2),)


def test_a_model_that_runs_is_asked_for_again_only_to_change_it_and_keeps_its_place() -> None:
    wider = replace(FIRST, created_ms=9000, spread=SPREAD_ALL)
    assert asked_again(None, FIRST) is FIRST
    assert asked_again(FIRST, wider) is None
    assert asked_again(FIRST, replace(FIRST, created_ms=9000), is_changed=True) is None
    assert asked_again(FIRST, wider, is_changed=True) == replace(FIRST, revision=1, spread=SPREAD_ALL)


def test_too_many_that_were_taken_back_leave_room_for_those_that_are_wanted() -> None:
    asked = [replace(FIRST, name=f"m{number}", created_ms=number) for number in range(3 * MAX_DESIRES)]
    gone = [taken_back(model, model.by, model.created_ms) for model in asked]
    kept = merge_desires(tuple(gone), (FIRST,))
    assert FIRST in kept
    assert len(kept) == MAX_DESIRES + 1
    assert gone[-1] in kept
