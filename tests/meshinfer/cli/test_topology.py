from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.terminals import TerminalProcess, meshinfer

from .conftest import Start
from .test_app import run


def test_where_nobody_listens_it_says_so_and_ends_with_1(start: Start, nobody: str) -> None:
    for options in ([], ["--watch"]):
        topology = start("topology", "--url", nobody, *options)
        assert topology.until("^error: no peer answers at (.*): start one with `meshinfer join")[1] == nobody
        assert topology.ended() == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--watch", "--json"], "--watch and --json ask for different things"),
        (["--dot", "--svg", "x"], "--dot and --svg ask for different things"),
        (["--json", "--model", "tiny"], "--json prints all models"),
    ],
)
def test_options_that_cannot_both_be_meant_are_refused(options: list[str], words: str) -> None:
    status, _, err = run("topology", *options)
    assert status == 2
    assert words in " ".join(err.split())


def test_a_peer_without_a_ring_is_drawn_with_the_reason(join: Start, start: Start) -> None:
    peer = join("--name", "mac-1", "--memory", "2")
    url = peer.until(r"^API on (\S+)/v1")[1]
    topology = start("topology", "--url", url)
    topology.until("^mesh meshinfer: 1 peer, no ring yet: .*--model")
    topology.until(r"mac-1  .*2\.0 GB .*idle")
    assert topology.ended() == 0


def test_a_ring_is_drawn_in_every_form_and_explained(
    join: Start, start: Start, tiny: Path, tmp_path: Path
) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    assert start("topology", "--url", url, "--mermaid").until(r'p0\["mac-1<br/>layers 0–3<br/>')
    assert start("topology", "--url", url, "--dot").until("^digraph mesh")
    file = tmp_path / "ring.svg"
    drawing = start("topology", "--url", url, "--svg", str(file))
    drawing.until("ring.svg is written")
    assert drawing.ended() == 0
    ElementTree.parse(file)
    why = start("topology", "--url", url, "--why", "--model", "tiny")
    why.until("mac-1 runs it alone: a token takes")
    assert why.ended() == 0
    wrong = start("topology", "--url", url, "--why", "--model", "big")
    wrong.until("^error: the mesh runs no model big")
    assert wrong.ended() == 1


def test_in_a_pipe_watching_draws_again_when_something_changed(join: Start, start: Start) -> None:
    first = join("--name", "mac-1")
    listens = first.until(r"listens on (\S+)")[1]
    url = first.until(r"^API on (\S+)/v1")[1]
    topology = start("topology", "--url", url, "--watch")
    topology.until("mac-1 ")
    join("--name", "mac-2", "--peer", listens)
    # With its API: nobody else could be asked when the first one goes.
    topology.until("mac-2 .* http://")
    first.process.terminate()
    topology.until("^warning: ")
    # Its neighbour is asked now: it tells that the mesh has become smaller.
    topology.until("^mesh meshinfer: 1 peer")
    assert not any("\x1b" in line for line in topology.lines)
    topology.process.terminate()
    assert topology.ended() == 0


def test_on_a_screen_it_lives_without_flicker_and_gives_the_terminal_back(join: Start) -> None:
    first = join("--name", "mac-1")
    listens = first.until(r"listens on (\S+)")[1]
    url = first.until(r"^API on (\S+)/v1")[1]
    with TerminalProcess(meshinfer("topology", "--url", url, "--watch"), columns=80, rows=24) as terminal:
        terminal.until("mac-1 ")
        second = join("--name", "mac-2", "--peer", listens)
        terminal.until("mac-2 ")
        terminal.resize(50, 8)
        terminal.until_seen(lambda: terminal.lines[-1].endswith("q leaves"), "the foot in the last line")
        assert max(map(len, terminal.lines)) <= 50
        terminal.resize(100, 20)
        terminal.until("127.0.0.1")
        second.process.kill()
        terminal.until_seen(lambda: "mac-2" not in terminal.text, "mac-2 gone")
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.settings_now == terminal.settings
    entered, left, hidden = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l"
    assert terminal.written.count(entered) == terminal.written.count(left) == 1
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.index(hidden)
    frames = terminal.written[terminal.written.index(entered) : terminal.written.index(left)]
    assert b"\x1b[2J" not in frames
    assert b"\x1b[J" not in frames


def test_ctrl_c_leaves_as_well(join: Start) -> None:
    peer = join("--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    with TerminalProcess(meshinfer("topology", "--url", url, "--watch")) as terminal:
        terminal.until("q leaves")
        terminal.type("\x03")
        assert terminal.ended() == 0
        assert terminal.settings_now == terminal.settings


def test_a_dumb_terminal_gets_plain_lines(join: Start) -> None:
    peer = join("--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    command = meshinfer("topology", "--url", url, "--watch")
    with TerminalProcess(command, environment={"TERM": "dumb"}) as terminal:
        terminal.until("mac-1 ")
        terminal.type("\x03")
        assert terminal.ended() == 0
    assert b"\x1b" not in terminal.written
