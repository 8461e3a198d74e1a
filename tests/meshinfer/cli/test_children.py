import os
import signal
from pathlib import Path

import psutil
import pytest

from meshinfer.cli.children import ChildLine, ChildPeers
from tests.mesh.processes import PATIENCE_S


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return ["--no-mdns", "--api-port", "0", "--cache-dir", str(tmp_path), "--offline"]


def test_children_say_their_lines_and_leave_at_the_end(options: list[str]) -> None:
    with ChildPeers() as children:
        children.start("mac-1", options)
        line = children.next_line(PATIENCE_S)
        assert line is not None
        assert line.name == "mac-1"
        assert (line.text or "").startswith("peer mac-1 listens on ")
        (pid,) = children.pids.values()
    assert not psutil.pid_exists(pid)


def test_the_end_of_a_child_is_news(options: list[str]) -> None:
    with ChildPeers() as children:
        children.start("mac-1", [*options, "--stages", "none"])
        lines = [children.next_line(PATIENCE_S), children.next_line(PATIENCE_S)]
        assert lines[0] == ChildLine(
            "mac-1", "error: --stages 'none': give auto, all, or a number of peers from 1 to 1024"
        )
        assert lines[1] == ChildLine("mac-1", None, 2)
        assert children.pending_lines() == []


def test_a_child_that_hangs_is_killed(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshinfer.cli.children._GOODBYE_S", 0.01)
    with ChildPeers() as children:
        children.start("mac-1", options)
        assert children.next_line(PATIENCE_S) is not None
        (pid,) = children.pids.values()
        os.kill(pid, signal.SIGSTOP)
    assert not psutil.pid_exists(pid)
