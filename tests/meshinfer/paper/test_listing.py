from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.paper.listing import MOST_MACHINES, WrongListing, read_machines
from meshinfer.paper.machines import CHIPS, Machine, UnknownMachine

MACHINES = [Machine(chip, gib) for chip in CHIPS for gib in chip.memory_gib]
UNIQUE = [machine for machine in MACHINES if machine == next(m for m in MACHINES if m.name == machine.name)]


def names(*texts: str) -> list[str]:
    return [machine.name for machine in read_machines(texts)]


@pytest.mark.parametrize(
    "text",
    [
        "2 x M3 Ultra 512GB", "2x M3 Ultra 512GB", "2× m3 ultra 512gb", "2 M3 Ultra 512GB",
        "2 * M3 Ultra 512GB", "  2  X  M3 Ultra  512 GB ", "2xM3Ultra512GB",
        "M3 Ultra 512GB x 2", "M3 Ultra 512GB x2", "M3 Ultra 512GB + M3 Ultra 512GB",
        "M3 Ultra 512GB, M3 Ultra 512GB", "M3 Ultra 512GB and M3 Ultra 512GB",
        "512  GB M3 Ultra + 512GB M3 Ultra",
    ],
)  # fmt: skip
def test_counts_are_read_as_people_write_them(text: str) -> None:
    assert names(text) == ["M3 Ultra 512GB"] * 2


def test_several_kinds_come_in_their_order() -> None:
    assert names("2 x M4 Max 128GB + 1 x DGX Spark", "RTX 4090") == [
        "M4 Max 128GB", "M4 Max 128GB", "DGX Spark 128GB", "RTX 4090 24GB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((), "no machine is listed"),
        (("",), "no machine is listed"),
        ((" + , ",), "no machine is listed"),
        (("0 x M3 Ultra",), "from 1 to 64 machines can be planned for, 0 are listed"),
        (("60 x M1", "5 x M1"), "65 are listed"),
        (("9" * 5000 + " x M1",), "999999999 are listed"),
    ],
)
def test_a_listing_of_none_or_too_many_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(WrongListing, match=words):
        read_machines(texts)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(UNIQUE)), min_size=1, max_size=10),
    st.sampled_from(["+", " + ", ",", "; ", " and ", "\n"]),
    st.sampled_from(["{} x {}", "{}x {}", "{} × {}", "{} {}", "{} X {}"]),
    st.sampled_from([str.lower, str.upper, str.title, str]),
)
def test_whatever_is_listed_is_read_back(
    listed: list[tuple[int, Machine]], between: str, form: str, cased: Callable[[str], str]
) -> None:
    text = between.join(form.format(count, machine.name) for count, machine in listed)
    expected = tuple(machine for count, machine in listed for _ in range(count))
    assert read_machines([cased(text)]) == expected


@given(st.text(max_size=60))
def test_any_text_lists_machines_or_is_refused(text: str) -> None:
    try:
        machines = read_machines([text])
    except (WrongListing, UnknownMachine):
        return
    assert 1 <= len(machines) <= MOST_MACHINES
