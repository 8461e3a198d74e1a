from dataclasses import replace

import pytest

from meshinfer.cli.machine_lines import below, joules_text, power_text

from .views import mesh, ring, spare


@pytest.mark.parametrize(
    ("watts", "joules", "text"),
    [
        (None, None, ""),
        (38.4, None, "38 W"),
        (3.42, None, "3.4 W"),
        (38.4, 1.649, "38 W, 1.6 J/token"),
    ],
)
def test_power_is_told_where_it_is_known(watts: float | None, joules: float | None, text: str) -> None:
    assert power_text(replace(spare("mac-1"), watts=watts, joules_per_token=joules)) == text


def test_joules_have_two_digits() -> None:
    assert [joules_text(each) for each in (0.0123, 3.14, 123.4)] == [
        "0.012 J/token",
        "3.1 J/token",
        "123 J/token",
    ]


def test_each_machine_and_each_way_has_a_line_of_what_is_known() -> None:
    figure = ring(2)
    by = replace(figure, ways=(replace(figure.ways[0], by="Thunderbolt 5 en7"), figure.ways[1]))
    view = mesh(by, by, spares=(replace(spare("shelf"), rdma="on en5", watts=38.0),))
    assert [text.plain for text in below(view)] == [
        "",
        "shelf: 38 W, RDMA on en5",
        "mac-1 to mac-2: Thunderbolt 5 en7",
    ]


def test_where_nothing_is_known_or_all_is_one_machine_there_is_no_line() -> None:
    figure = ring(2)
    within = replace(figure, ways=tuple(replace(way, by="loopback") for way in figure.ways))
    assert below(mesh(figure)) == below(mesh(within)) == []
