from collections.abc import Callable

import pytest
from rich.console import Console

from meshinfer.cli.bench.figures import Energy, Report, RingRun
from meshinfer.cli.bench.table import draw_table, notes
from meshinfer.cli.mesh_view import Seat

from .reports import ALONE, PAIR, case, report


def drawn(shown: Report, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(draw_table(shown, width))
    return captured.get().splitlines()


def rows(shown: Report) -> list[list[str]]:
    return [line.split() for line in drawn(shown, 200)]


def test_one_ring_is_a_row_a_case() -> None:
    _, *shown = rows(report(ALONE))
    assert shown == [
        ["100", "1", "1", "1.00", "100", "5.00", "0.54", "–", "–"],
        ["100", "4", "1", "2.00", "200", "20.0", "–", "–", "–"],
    ]


def test_rings_stand_beside_each_other_with_how_many_times_the_first() -> None:
    head, *shown = rows(report(ALONE, PAIR))
    assert " ".join(head).endswith("first × decode ×")
    assert shown == [
        ["100", "1", "1", "1.00", "100", "5.00", "0.54", "–", "–", "1.00", "1.00"],
        ["100", "1", "2", "0.50", "200", "4.00", "0.30", "–", "–", "2.00", "0.80"],
        ["100", "4", "1", "2.00", "200", "20.0", "–", "–", "–", "1.00", "1.00"],
    ]


def test_on_a_narrow_terminal_no_figure_is_cut() -> None:
    shown = report(ALONE, PAIR)
    narrow = [line.split() for line in drawn(shown, 80)]
    assert narrow[-3:] == rows(shown)[-3:]


def test_energy_has_its_columns() -> None:
    ring = RingRun(1, ALONE.seats, (case(1.0, 5.0, energy=Energy(30.0, 20.0)),))
    assert rows(report(ring))[1][-2:] == ["10.0", "2.00"]


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (lambda: report(ALONE, PAIR), "1 peer: mac-1 layers 0–29, 540 MB"),
        (lambda: report(ALONE, PAIR), "2 peers: mac-1 layers 0–18, 300 MB → mac-2 layers 19–29, 200 MB"),
        (lambda: report(ALONE), "watts: not readable here: run as root"),
        (
            lambda: report(ALONE, power="processor, by RAPL"),
            "watts: of this machine alone (processor, by RAPL), whichever peers run on it",
        ),
        (
            lambda: report(RingRun(1, (Seat("mac-1", (0, 30)),), (case(1, 2),))),
            "memory: only of peers whose API can be reached from here (--api-host)",
        ),
    ],
)
def test_what_the_table_leaves_out_is_said_below_it(shown: Callable[[], Report], line: str) -> None:
    assert line in notes(shown())


def test_names_from_elsewhere_do_nothing_to_a_terminal() -> None:
    ring = RingRun(1, (Seat("\x1b[2J", (0, 30)),), ALONE.cases)
    assert not any("\x1b" in line for line in notes(report(ring, model="\x1b[2J")))
