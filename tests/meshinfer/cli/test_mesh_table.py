import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from meshinfer.cli.mesh_table import draw, print_drawing
from meshinfer.cli.mesh_view import MeshView

from .views import mesh, ring, spare


def drawn(view: MeshView, width: int, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=file, width=width, highlight=False)
    print_drawing(console, draw(view, console))
    file.seek(0)
    return file.read().splitlines()


def test_a_pipe_gets_everything_in_lines_of_their_own() -> None:
    view = mesh(ring(2), spares=(spare("shelf", "its disk is \x1b[31mfull", "fetching smollm2, 40 %"),))
    assert drawn(view, 1000) == [
        "mesh home: 3 peers",
        "",
        "smollm2 is live: 30 layers over 2 peers, 12.5 tokens/s for one reader, epoch 4, plan abcdef01",
        "    peer   layers                                   memory                     "
        "         to next  tok/s  state    address            API",
        "╭▸  mac-1  ━━━━━━━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄   0–14  ━━╍┄┄┄┄┄┄┄  4.0 of 16 GB  0.21 ms, 1.2 GB/s"
        "      –  serving  192.168.1.4:52414  http://192.168.1.4:52415",
        "╰─  mac-2  ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄━━━━━━━━━━━━━━━━  15–29  ━━╍┄┄┄┄┄┄┄  4.0 of 16 GB  0.21 ms, 1.2 GB/s"
        "      –  serving  192.168.1.4:52414  http://192.168.1.4:52415",
        "",
        "beside the ring",
        "    shelf                                                             8.0 GB                    "
        "     –  idle     192.168.1.9:52414",
        "",
        "shelf: fetching smollm2, 40 %",
        "shelf holds no layers: its disk is [31mfull",
    ]


def test_who_is_cut_off_is_named_with_the_reason() -> None:
    shelf = replace(spare("shelf"), barred="cut off for 60 s, it broke the rules too often: 4 × protocol")
    assert drawn(mesh(ring(2), spares=(shelf,)), 1000)[-1] == f"shelf is {shelf.barred}"


def test_80_columns_show_layers_memory_ways_and_state() -> None:
    lines = drawn(mesh(ring(2)), 80)
    assert lines[3:] == [
        "    peer   layers                             memory  to next  tok/s  state",
        "╭▸  mac-1  ━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄   0–14  4.0 of 16 GB  0.21 ms      –  serving",
        "╰─  mac-2  ┄┄┄┄┄┄┄┄┄┄━━━━━━━━━━  15–29  4.0 of 16 GB  0.21 ms      –  serving",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("count", [1, 2, 8, 16])
@pytest.mark.parametrize("name", ["mac-{}", "a-machine-with-a-very-long-name-{}", "書斎のマック{}"])
def test_no_line_is_wider_than_the_screen(width: int, count: int, name: str) -> None:
    lines = drawn(mesh(ring(count, name=name), ring(1, "org/a-big-model-4bit", 48, name)), width)
    assert max(cell_len(line) for line in lines) <= width
    rows = [line for line in lines if "serving" in line]
    assert len(rows) == count + 1
    # Columns are aligned, whatever letters are in front of them.
    assert len({cell_len(row.partition("serving")[0]) for row in rows}) == 1


def test_several_models_have_a_ring_each_in_the_same_columns() -> None:
    waiting = replace(ring(1, "org/big"), is_live=False, reason="org/big needs 90 GB", seats=(), ways=())
    lines = drawn(mesh(ring(2), ring(1, "tiny", 4), waiting), 80)
    assert "tiny is live: 4 layers over 1 peer, 12.5 tokens/s for one reader, epoch 4" in lines[7]
    assert lines[8].startswith("    mac-1  ━━━━━━━━━━━━━━━━━━━━    0–3")
    assert lines[10] == "org/big: no ring yet: org/big needs 90 GB"


def test_a_mesh_without_a_model_says_why() -> None:
    first, _, title, row = drawn(mesh(spares=(spare("mac-1"),)), 80)
    assert first == "mesh home: 1 peer, no ring yet: nobody told the mesh what to run"
    assert (title, row.split()) == ("peers", ["mac-1", "8.0", "GB", "idle", "192.168.1.9:52414"])


def test_a_screen_without_unicode_gets_ascii_alone() -> None:
    text = "\n".join(drawn(mesh(ring(3)), 80, "ascii"))
    assert text.isascii()
    assert "?" not in text
    assert "/>  mac-1  ======......" in text


def test_what_a_peer_does_now_and_a_way_that_is_down_are_shown() -> None:
    figure = ring(2)
    view = mesh(replace(figure, ways=(replace(figure.ways[0], is_up=False), figure.ways[1])))
    busy = replace(view.members[0], answers=2, tokens_per_s=24)
    lines = drawn(replace(view, members=(busy, view.members[1])), 80)
    assert lines[4].split()[-3:] == ["down", "24", "serving"]


def equipped() -> MeshView:
    """Two machines that tell of themselves, and a third that does not."""
    figure = ring(2)
    by = replace(figure.ways[0], by="Thunderbolt 5 en7, jaccl"), replace(figure.ways[1], by="Ethernet en0")
    view = mesh(replace(figure, ways=by), spares=(spare("shelf"),))
    first = replace(view.members[0], watts=38.2, joules_per_token=1.61, rdma="on en5")
    second = replace(view.members[1], watts=3.25, joules_per_token=0.14)
    return replace(view, members=(first, second, view.members[2]), joules_per_token=1.75)


def test_a_wide_screen_has_columns_for_what_carries_ways_for_power_and_for_rdma() -> None:
    head, _, _, title, first, second, _, _, shelf = drawn(equipped(), 160)
    assert head == "mesh home: 3 peers, 1.8 J/token"
    assert title.split()[-6:] == ["next", "by", "tok/s", "power", "RDMA", "state"]
    assert "GB/s  Thunderbolt 5 en7, jaccl      –    38 W, 1.6 J/token  on en5  serving" in first
    assert "GB/s  Ethernet en0                  –  3.2 W, 0.14 J/token  –       serving" in second
    assert shelf.split() == ["shelf", "8.0", "GB", "–", "–", "–", "idle"]


def test_a_narrow_one_tells_them_below() -> None:
    lines = drawn(equipped(), 60)
    assert lines[-5:] == [
        "",
        "mac-1: 38 W, 1.6 J/token, RDMA on en5",
        "mac-2: 3.2 W, 0.14 J/token",
        "mac-1 to mac-2: Thunderbolt 5 en7, jaccl",
        "mac-2 to mac-1: Ethernet en0",
    ]


def test_a_cable_that_no_link_uses_is_told_of() -> None:
    lines = drawn(replace(mesh(ring(2)), idle_cables=(("mac-1", "mac-2"),)), 200)
    assert lines[-1] == (
        "a Thunderbolt cable joins mac-1 and mac-2, but no link uses it: run `meshinfer doctor` on both"
    )
