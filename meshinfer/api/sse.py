"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), OpenAI's way."""

import json
from collections.abc import Mapping
from typing import Any

DONE = b"data: [DONE]\n\n"

WAITING = b": waiting\n\n"
"""A comment: clients skip it, and proxies see that the connection is in use."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would collect the pieces otherwise.
    (b"x-accel-buffering", b"no"),
)


def event(value: Mapping[str, Any]) -> bytes:
    """One event that carries JSON.

    In ASCII: some clients take U+2028 and its like for the end of a line.
    """
    return b"data: " + json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n\n"
