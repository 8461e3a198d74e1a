import io

from rich.console import Console

from meshinfer.cli.mesh_table import draw, print_drawing
from meshinfer.cli.mesh_view import MemberRow, MeshView, Seat

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
