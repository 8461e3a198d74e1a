"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), OpenAI's way."""

import json
from collections.abc import Mapping
from typing import Any

DONE = b"data: [DONE]\n\n"

MAX_COMMENT_CHARACTERS = 200

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would collect the pieces otherwise.
    (b"x-accel-buffering", b"no"),
)


def comment(text: str) -> bytes:
    """A line that clients skip; proxies see that the connection is in use, and people why it waits.

    Whatever could end the line, or steer a terminal, becomes a space.
    """
    shown = "".join(character if character.isprintable() else " " for character in text)
    return b": " + shown[:MAX_COMMENT_CHARACTERS].encode() + b"\n\n"


def event(value: Mapping[str, Any]) -> bytes:
    """One event that carries JSON.

    In ASCII: some clients take U+2028 and its like for the end of a line.
    """
    return b"data: " + json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n\n"


def named_event(name: str, value: Mapping[str, Any]) -> bytes:
    """One event that carries JSON under a name."""
    return b"event: " + name.encode("ascii") + b"\n" + event(value)
