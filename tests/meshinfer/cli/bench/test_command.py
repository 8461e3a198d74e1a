"""The command over real processes, with a tiny model."""

import json
import signal
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from tests.mesh.processes import PATIENCE_S
from tests.meshinfer.cli.conftest import Running, Start

from .stand_in import StandIn

QUICK = ("--prompt", "16", "--tokens", "4", "--rounds", "1")


@pytest.fixture
def bench(start: Start, tiny: Path, tmp_path: Path) -> Start:
    def starting(*options: str) -> Running:
        return start("bench", "--model", str(tiny), "--cache-dir", str(tmp_path), *QUICK, *options)

    return starting


def peers_with(folder: Path) -> list[psutil.Process]:
    """The peers whose cache is a folder: whoever began them may have ended, and them with it, by now."""
    there = psutil.process_iter(["cmdline"])
    return [each for each in there if {"join", str(folder)} <= set(each.info["cmdline"] or ())]


def test_rings_of_several_sizes_are_formed_measured_and_gone(bench: Start, tmp_path: Path) -> None:
    json_file, svg_file = tmp_path / "out.json", tmp_path / "out.svg"
    files = ("--json", str(json_file), "--svg", str(svg_file))
    shown = bench("--peers", "1,2", "--readers", "1,3", *files)
    shown.until(r"^ring live, epoch \d+: bench-1 layers 0–3")
    shown.until(r"^1 peer, prompt 16, 1 reader: first token \d+\.\d\d s, then \S+ tok/s$")
    shown.until(r"^ring live, epoch \d+: bench-\d layers 0–1 → bench-\d layers 2–3")
    shown.until(r"^2 peers, prompt 16, 3 readers: ")
    shown.until(
        "^prompt +readers +peers +first token s +prefill tok/s +decode tok/s +memory GB +watts +J per token"
    )
    for readers, peers in ((1, 1), (1, 2), (3, 1), (3, 2)):
        shown.until(rf"^ +16 +{readers} +{peers} +\d")
    shown.until("^2 peers: bench-. layers 0–1, .* MB → bench-. layers 2–3, .* MB$")
    shown.until("^watts: ")
    assert shown.ended() == 0
    assert psutil.wait_procs(peers_with(tmp_path), PATIENCE_S)[1] == []
    told = json.loads(json_file.read_text(encoding="utf-8"))
    assert (told["is_complete"], told["model"], [ring["peers"] for ring in told["rings"]]) == (
        True,
        "tiny",
        [1, 2],
    )
    answers = [answer for case in told["rings"][1]["cases"] for answer in case["rounds"][0]["answers"]]
    assert [answer["tokens"] for answer in answers] == [4] * 4
    assert ElementTree.parse(svg_file).getroot().tag.endswith("svg")


def test_a_mesh_that_runs_is_measured_as_it_is(start: Start) -> None:
    with StandIn(peers=2) as peer:
        shown = start("bench", "--url", peer.url, "--readers", "2", *QUICK)
        shown.until("^2 peers, prompt 16, 2 readers: ")
        shown.until("^2 peers: mac-1 layers 0, 500 MB → mac-2 layers 1, 500 MB$")
        assert shown.ended() == 0


def test_an_interrupt_ends_the_peers_and_shows_what_was_measured(bench: Start, tmp_path: Path) -> None:
    json_file = tmp_path / "out.json"
    # Some dozens of answers of a hundred tokens take a while, and there are always more to come.
    readers = ",".join(map(str, (1, *range(64, 48, -1))))
    shown = bench("--peers", "1", "--readers", readers, "--tokens", "100", "--json", str(json_file))
    shown.until("^1 peer, prompt 16, 1 reader: ")
    children = peers_with(tmp_path)
    shown.process.send_signal(signal.SIGINT)
    shown.until("^warning: this was measured until then:$")
    shown.until(r"^ +16 +1 +1 +\d")
    assert shown.ended() == 130
    assert len(children) == 1
    assert psutil.wait_procs(children, PATIENCE_S)[1] == []
    told = json.loads(json_file.read_text(encoding="utf-8"))
    assert not told["is_complete"]
    assert told["rings"][0]["cases"][0]["readers"] == 1


def test_where_nobody_listens_it_says_so_and_ends_with_1(start: Start, nobody: str) -> None:
    shown = start("bench", "--url", nobody)
    assert shown.until("^error: no peer answers at (.*): start one with `meshinfer join")[1] == nobody
    assert shown.ended() == 1


def test_a_report_that_cannot_be_written_is_shown_all_the_same(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    # The first question is the warm-up.
    with StandIn(before_answer=lambda count: folder.rmdir() if count == 1 else None) as peer:
        shown = start(
            "bench", "--url", peer.url, "--readers", "1", "--json", str(folder / "out.json"), *QUICK
        )
        shown.until("^ +16 +1 +2 ")
        shown.until("^error: the report cannot be written: .*out.json")
        assert shown.ended() == 1
