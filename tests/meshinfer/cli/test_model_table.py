import io

from rich.console import Console

from meshinfer.cli.mesh_table import print_drawing
from meshinfer.cli.mesh_view import DiskRow, MemberRow, MeshView, ModelRow, Seat
from meshinfer.cli.model_table import model_table

NOW_S = 1_000_000
BIG, SMALL = DiskRow("org/big-4bit", 17 * 10**9), DiskRow("smollm2", 120 * 10**6)
RING = (Seat("mac-1", (0, 15)), Seat("mac-2", (15, 30)))


def member(name: str, *on_disk: DiskRow) -> MemberRow:
    return MemberRow(name, "serving", None, 10**9, "", "", "", on_disk=on_disk)


def drawn(*models: ModelRow, width: int = 1000) -> list[str]:
    members = (member("mac-1", BIG, SMALL), member("mac-2", SMALL))
    view = MeshView("home", "", True, "", 0, "", 0, (), members, models)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_drawing(console, model_table(view, NOW_S))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_models_that_run_come_first_then_those_on_disks() -> None:
    live = ModelRow("smollm2", True, "", 1, "d", 30, RING, 1000 * (NOW_S - 7200), 20_000)
    assert drawn(live) == [
        "model         size    on disk     loaded                   tok/s  last used",
        "smollm2       120 MB  everywhere  mac-1 0–14, mac-2 15–29  50.0   2 h ago",
        "org/big-4bit  17 GB   mac-1       –                        –      –",
    ]


def test_a_model_without_a_ring_says_why() -> None:
    waiting = ModelRow("gone", False, "no peer has the files of gone", 0, "", 0, (), 1000 * NOW_S)
    assert drawn(waiting)[1] == "gone          –       –           no peer has the files of gone  –      now"


def test_a_screen_of_80_columns_is_enough() -> None:
    live = ModelRow("smollm2", True, "", 1, "d", 30, RING, 1000 * NOW_S, 20_000)
    lines = drawn(live, width=80)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["model", "size", "on", "disk", "loaded", "tok/s", "last", "used"]
