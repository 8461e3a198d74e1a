from typing import Any

import httpx2
import pytest

from meshinfer.cli.trace import trace_lines
from tests.meshinfer.cli.peers import client

TRACE: dict[str, Any] = {
    "request": "chatcmpl-1",
    "model": "tiny",
    "outcome": "stop",
    "prompt_tokens": 30,
    "cached_tokens": 20,
    "answer_tokens": 9,
    "duration_ms": 2000.0,
    "silent": ["box"],
    "spans": [],
}


def span(
    kind: str, start_ms: float, duration_ms: float, phase: str | None = None, **more: Any
) -> dict[str, Any]:
    common = {"peer": "a" * 32, "name": "mac", "median_ms": None, "frames": 0, "tokens": 0}
    return common | {"kind": kind, "phase": phase, "start_ms": start_ms, "duration_ms": duration_ms} | more


def test_each_phase_has_its_parts_below_it() -> None:
    spans = [
        span("queue", 0, 0.25),
        span("prefill", 0.25, 999.75),
        span("decode", 1000, 1000),
        span("compute", 0.25, 499.9, "prefill", frames=1, tokens=30, median_ms=499.9),
        span("compute", 1000, 600, "decode", frames=8, median_ms=75.0),
        span("hops", 1000, 200, "decode", name=None, peer=None, frames=8),
    ]
    lines = [line.text for line in trace_lines(TRACE | {"spans": spans})]
    assert lines == [
        "chatcmpl-1: tiny, stop",
        "prompt 30 tokens, 20 of them cached, answer 9 tokens, 2.00 s",
        "queue     mac        0.2 ms  ·",
        "prefill   mac        1.00 s  ██████████",
        "  compute mac        500 ms  █████                 1 frame",
        "decode    mac        1.00 s            ██████████",
        "  compute mac        600 ms            ██████      8 frames, median 75 ms",
        "  hops    between    200 ms            ██          8 frames, 25 ms each",
        "box: told nothing, gone or too slow",
    ]
    assert max(map(len, lines)) <= 80


def test_a_request_that_was_refused_at_once_has_nothing_to_show() -> None:
    told = TRACE | {"model": None, "outcome": None, "cached_tokens": 0, "duration_ms": 0.0, "silent": []}
    lines = [line.text for line in trace_lines(told | {"spans": [span("tokenise", 0, 0)]})]
    assert lines[0] == "chatcmpl-1: no model, goes on"
    assert lines[-1].startswith("tokenise")


@pytest.mark.parametrize("name", ["last", "a/b c"])
def test_the_peer_is_asked_by_name(name: str) -> None:
    asked = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(200, json=TRACE)

    with client(handle) as peer:
        assert peer.trace(name) == TRACE
    assert asked == [f"/mesh/trace/{name}"]
