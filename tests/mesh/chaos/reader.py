"""A reader of one answer: what came, when, and how it ended. It never waits without an end."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2

from tests.mesh.processes import KEY_HEADERS

ANSWER_S = 150.0
"""How long an answer may take at most, faults included."""

_END = "\0"
_SILENCE_S = 60.0
"""How long nothing at all may come, not even the comment that says: wait."""


@dataclass(slots=True)
class Heard:
    """status: of HTTP; 0 where there was none. tokens: as the peer counted them; 0 before it said so.

    trouble: why the answer is not whole; empty if it is. came_s: when each piece came, by this process's
    monotonic clock.
    """

    asked_s: float
    status: int = 0
    text: str = ""
    finish: str = ""
    tokens: int = 0
    trouble: str = ""
    came_s: list[float] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.trouble

    @property
    def is_begun(self) -> bool:
        """Whether a reader has seen something of it."""
        return bool(self.came_s)

    @property
    def longest_pause_s(self) -> float:
        """Between two pieces, or before the first one."""
        times = [self.asked_s, *self.came_s]
        return max((late - early for early, late in pairwise(times)), default=0.0)

    def first_after(self, at_s: float) -> float | None:
        """When the first piece came after some moment."""
        return next((came_s for came_s in self.came_s if came_s > at_s), None)


def read_answer(url: str, body: dict[str, Any], at_piece: Callable[[int], None] | None = None) -> Heard:
    """Ask a peer and read to the end. at_piece: is called after each piece, with how many came."""
    heard = Heard(time.monotonic())
    try:
        # What runs on this machine needs no proxy.
        with (
            httpx2.Client(headers=KEY_HEADERS, timeout=_SILENCE_S, trust_env=False) as client,
            client.stream("POST", f"{url}/v1/completions", json=body) as response,
        ):
            heard.status = response.status_code
            if heard.status != 200:
                heard.trouble = f"status {heard.status}: {_reason(json.loads(response.read()))}"
            else:
                _read_stream(response, heard, at_piece)
    except (httpx2.HTTPError, json.JSONDecodeError) as error:
        heard.trouble = f"{type(error).__name__}: {error}"
    return heard


def _read_stream(response: httpx2.Response, heard: Heard, at_piece: Callable[[int], None] | None) -> None:
    # Line by line: comments count as well, so that a stream of nothing but comments ends some time.
    for line in response.iter_lines():
        if time.monotonic() - heard.asked_s > ANSWER_S:
            heard.trouble = f"no end after {ANSWER_S:.0f} s"
            return
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            heard.trouble = "" if heard.finish else "[DONE] came before the finish"
            return
        shown = json.loads(data)
        if "error" in shown:
            heard.trouble = f"the stream ended with: {_reason(shown)}"
            return
        _take(shown, heard, at_piece)
    heard.trouble = "the stream ended without [DONE]"


def _take(shown: dict[str, Any], heard: Heard, at_piece: Callable[[int], None] | None) -> None:
    if usage := shown.get("usage"):
        heard.tokens = usage["completion_tokens"]
    for choice in shown["choices"]:
        heard.text += choice["text"]
        heard.finish = choice["finish_reason"] or heard.finish
        heard.came_s.append(time.monotonic())
        if at_piece is not None:
            at_piece(len(heard.came_s))


def _reason(shown: Any) -> str:
    error = shown.get("error", shown) if isinstance(shown, dict) else shown
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def verdict(heard: Heard, truth: Heard, *, is_origin_lost: bool) -> str:
    """What is wrong with an answer; empty if nothing is.

    is_origin_lost: the peer that was asked was killed: then the answer may have ended early.
    """
    if not truth.text.startswith(heard.text):
        pairs = zip(truth.text + _END, heard.text + _END, strict=False)
        at = next(number for number, (true, false) in enumerate(pairs) if true != false)
        return f"it differs from the undisturbed answer at character {at} of {len(truth.text)}"
    if not heard.is_whole:
        return "" if is_origin_lost else heard.trouble
    if (heard.text, heard.finish, heard.tokens) != (truth.text, truth.finish, truth.tokens):
        came = f"{len(heard.text)} characters, {heard.tokens} tokens, {heard.finish}"
        return f"it ended with {came}; undisturbed: {len(truth.text)}, {truth.tokens}, {truth.finish}"
    return ""
