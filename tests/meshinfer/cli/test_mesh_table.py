import io
from dataclasses import replace

from rich.console import Console

from meshinfer.cli.mesh_table import draw, print_drawing
from meshinfer.cli.mesh_view import MemberRow, MeshView, ModelRow, Seat

MAC_1 = MemberRow(
    "mac-1", "serving", (0, 15), 16 * 10**9, "192.168.1.4:52414", "http://192.168.1.4:52415", ""
)
MAC_2 = MemberRow(
    "mac-2", "serving", (15, 30), 8 * 10**9, "192.168.1.5:52414", "http://192.168.1.5:52415", ""
)
MAC_3 = MemberRow("mac-3", "idle", None, 8 * 10**9, "", "", "its disk is \x1b[31mfull")
RING = (Seat("mac-1", (0, 15)), Seat("mac-2", (15, 30)))
LIVE = MeshView("home", "smollm2", True, "", 3, "abcdef0123", 30, RING, (MAC_3, MAC_2, MAC_1))


def drawn(view: MeshView, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_drawing(console, draw(view, console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_pipe_gets_everything_in_lines_of_their_own() -> None:
    assert drawn(LIVE, 1000) == [
        "mesh home: smollm2 is live, 30 layers over 2 peers, epoch 3, plan abcdef01",
        "ring mac-1 0–14 → mac-2 15–29 → mac-1",
        "",
        "peer   layers  memory  state    address            API",
        "mac-1  0–14    16 GB   serving  192.168.1.4:52414  http://192.168.1.4:52415",
        "mac-2  15–29   8.0 GB  serving  192.168.1.5:52414  http://192.168.1.5:52415",
        "mac-3  –       8.0 GB  idle",
        "mac-3 holds no layers: its disk is [31mfull",
    ]


def test_a_narrow_screen_goes_without_the_apis() -> None:
    lines = drawn(LIVE, 70)
    assert "peer   layers  memory  state    address" in lines
    assert max(map(len, lines)) <= 70


def test_no_ring_is_told_with_its_reason() -> None:
    waiting = MeshView("home", "", False, "waiting for 1 more of 2 peers", 0, "", 0, (), (MAC_3,))
    assert drawn(waiting, 80)[0] == "mesh home: no ring yet: waiting for 1 more of 2 peers"


def test_several_models_have_a_ring_and_a_column_each_and_fit_80_columns() -> None:
    both = replace(MAC_1, model_layers=((0, 15), (0, 4)))
    other = replace(MAC_2, model_layers=((15, 30), None), fault="org/big is not here")
    models = (
        ModelRow("smollm2", True, "", 3, "abcdef0123", 30, RING),
        ModelRow("org/big", True, "", 1, "0123456789", 4, (Seat("mac-1", (0, 4)),)),
        ModelRow("org/bigger", False, "org/bigger needs 90 GB", 0, "", 0, ()),
    )
    view = replace(LIVE, members=(other, both), models=models)
    lines = drawn(view, 80)
    assert lines[2:5] == [
        "org/big is live, 4 layers over 1 peer, epoch 1, plan 01234567",
        "ring mac-1 0–3",
        "org/bigger: no ring yet: org/bigger needs 90 GB",
    ]
    assert lines[6].split() == ["peer", "smollm2", "big", "bigger", "memory", "state", "address"]
    assert lines[7].split() == ["mac-1", "0–14", "0–3", "16", "GB", "serving", "192.168.1.4:52414"]
    assert lines[-1] == "mac-2 lacks a model: org/big is not here"


def test_what_takes_long_at_a_peer_is_told_below() -> None:
    busy = replace(MAC_2, state="loading", activity="fetching smollm2 from mac-1, 40 %")
    lines = drawn(replace(LIVE, members=(MAC_1, busy)), 1000)
    assert lines[-1] == "mac-2: fetching smollm2 from mac-1, 40 %"
