import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.cli.bars import FULL, OTHER, REST, ascii_of, layer_bar, memory_bar


@pytest.mark.parametrize(
    ("layers", "bar"), [((0, 15), "━━━━━┄┄┄┄┄"), ((15, 30), "┄┄┄┄┄━━━━━"), ((29, 30), "┄┄┄┄┄┄┄┄┄━")]
)
def test_a_range_lies_where_its_layers_are(layers: tuple[int, int], bar: str) -> None:
    assert layer_bar(layers, 30, 10, "").plain == bar


@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 40))
def test_however_short_a_range_it_shows_and_fills_no_more_than_the_bar(
    first: int, more: int, width: int
) -> None:
    bar = layer_bar((first, first + more), first + more, width, "").plain
    assert len(bar) == width
    assert FULL in bar


@pytest.mark.parametrize(
    ("own", "taken", "memory", "bar"),
    [
        (2, 4, 16, f"{FULL}{OTHER}{REST * 6}"),
        (0, 0, 16, REST * 8),
        (1, 1, 1000, f"{FULL}{REST * 7}"),
        (20, 20, 16, FULL * 8),
        (0, 0, 0, REST * 8),
    ],
)
def test_memory_is_ours_others_or_free(own: int, taken: int, memory: int, bar: str) -> None:
    assert memory_bar(own, taken, memory, 8).plain == bar


def test_drawings_have_an_ascii_form_of_the_same_length() -> None:
    drawn = "╭▸ │ ╰─ ━╍┄ 0–9 a → b … 1.1×"
    assert ascii_of(drawn) == "/> | \\- =-. 0-9 a > b ~ 1.1x"
    assert len(ascii_of(drawn)) == len(drawn)
