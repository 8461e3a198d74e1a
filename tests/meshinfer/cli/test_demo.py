import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.mesh.processes import PATIENCE_S

from .conftest import Running, Start


@pytest.fixture
def demo(start: Start, tiny: Path, tmp_path: Path) -> Start:
    def starting(*options: str) -> Running:
        return start(
            "demo", "--model", str(tiny), "--cache-dir", str(tmp_path), "--max-tokens", "5", *options
        )

    return starting


def children_of(running: Running) -> list[int]:
    return [child.pid for child in psutil.Process(running.process.pid).children()]


def are_gone(pids: list[int]) -> bool:
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    return psutil.wait_procs(processes, PATIENCE_S)[1] == []


def test_peers_form_a_ring_answer_once_and_are_gone(demo: Start) -> None:
    shown = demo("--prompt", "Hello")
    shown.until("^tiny as it is")
    shown.until(r"^demo-1 listens on 127\.0\.0\.1:\d+$")
    shown.until(r"^ring live, epoch \d+: demo-\d layers 0–1 → demo-\d layers 2–3 \(after .* s\)$")
    shown.until(r"^peer +pid +layers +memory +API$")
    pids = [
        int(shown.until(rf"^demo-\d +(\d+) +{layers} +\d+ MB +http://127\.0\.0\.1:\d+/v1$")[1])
        for layers in ("0–1", "2–3")
    ]
    shown.until(r"^demo-2 is asked: Hello$")
    shown.until(r"^5 tokens, .*tokens/s")
    assert shown.ended() == 0
    assert are_gone(pids)


def test_the_same_prompt_gets_the_same_answer_from_any_number_of_peers(demo: Start) -> None:
    answers = []
    for peers in ("1", "3"):
        shown = demo("--prompt", "Hello", "--peers", peers)
        assert shown.ended() == 0
        shown.until_end()
        asked = next(place for place, line in enumerate(shown.lines) if "is asked" in line)
        answers.append(shown.lines[asked + 2])
    assert answers[0] == answers[1] != ""


def test_a_chat_goes_on_until_its_input_ends(demo: Start) -> None:
    shown = demo("--peers", "1")
    shown.until("^Ask demo-1")
    assert shown.process.stdin is not None
    shown.process.stdin.write("Hello\n")
    shown.process.stdin.close()
    shown.until("^5 tokens")
    assert shown.ended() == 0


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
        (signal.SIGINT, 130),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_its_peers_end_however_it_ends(demo: Start, number: signal.Signals, status: int) -> None:
    shown = demo()
    shown.until("^Ask demo-2")
    children = children_of(shown)
    shown.process.send_signal(number)
    assert shown.ended() == status
    assert len(children) == 2
    assert are_gone(children)


def test_a_second_demo_takes_other_names(demo: Start) -> None:
    first = demo("--peers", "1")
    first.until("^Ask demo-1")
    second = demo("--peers", "1")
    second.until("^Ask demo2-1")


def test_a_model_that_cannot_be_had_ends_it_with_the_reason(start: Start, tmp_path: Path) -> None:
    shown = start("demo", "--model", str(tmp_path / "none"), "--cache-dir", str(tmp_path))
    shown.until(f"^error: there is no directory {tmp_path}/none$")
    assert shown.ended() == 1
