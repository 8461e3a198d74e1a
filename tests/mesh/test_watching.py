"""A mesh of real processes, as those see it who run it: logs, numbers, a trace, and a drained peer."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.mesh.processes import ROOT, PeerProcess, ProcessMesh, json_of, until, wait_for_ring
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh


class JsonPeer(PeerProcess):
    """A peer whose lines are JSON objects on standard error."""

    @property
    def address(self) -> str:
        return self.stderr.wait_for(r'"peer \S+ listens on ([^\s"]+)')[1]

    @property
    def url(self) -> str:
        return self.stderr.wait_for(r'"API on (\S+)/v1 ')[1]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "meshinfer", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8")


def numbers(peer: PeerProcess) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(peer.get("/metrics").text)
        for sample in family.samples
    }


def test_whoever_runs_a_mesh_sees_what_it_does(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny", layers=4)
    with ProcessMesh(tmp_path) as mesh:
        json_lines = ("--log-format", "json")
        first = mesh.start("p0", model, *json_lines, kind=JsonPeer, min_peers=2)
        second = mesh.start("p1", model, *json_lines, kind=JsonPeer, seeds=[first], min_peers=2)
        wait_for_ring(mesh.peers)
        before = second.answer("Hello", 12, ignore_eos=True)

        assert numbers(second)["meshinfer_answer_tokens_total", "tiny"] == 12
        computed = [numbers(peer)["meshinfer_stage_tokens_total", "decode"] for peer in mesh.peers]
        assert computed == [11, 11]

        def traced() -> dict[str, Any] | None:
            """Once both have told: who takes too long is left out, and told another time."""
            told: dict[str, Any] = json.loads(run("trace", "last", "--url", second.url, "--json").stdout)
            return None if told["silent"] else told

        trace = until(traced, "a trace of which all peers told")
        parts: dict[str, set[Any]] = {}
        for span in trace["spans"]:
            if span["phase"] == "decode":
                parts.setdefault(span["kind"], set()).add(span["name"])
        assert parts == {"compute": {"p0", "p1"}, "wait": {"p0", "p1"}, "hops": {None}, "turns": {None}}
        assert "decode" in run("trace", "last", "--url", second.url).stdout

        drained = run("drain", "--url", second.url)
        assert (drained.returncode, "p1 is drained" in drained.stdout) == (0, True), drained
        assert [stage["name"] for stage in second.mesh()["ring"]] == ["p0"]
        assert second.answer("Hello", 12, ignore_eos=True) == before
        needed = run("drain", "--url", first.url)
        assert (needed.returncode, "needs its memory" in needed.stderr) == (1, True), needed
        assert run("drain", "--undo", "--url", second.url).returncode == 0
        until(lambda: [s["name"] for s in first.mesh()["ring"]] == ["p1"], "p1 in the place of p0")

        logged = [json.loads(line) for line in list(first.stderr.lines)]
        assert all({"time", "level", "logger", "message"} <= line.keys() for line in logged)
        assert any(line.get("peer") == "p0" and line.get("epoch", 0) > 0 for line in logged)
        assert json_of(first.get("/health"))["status"] == "ok"
