"""How a model writes its tool calls, and how its thinking, as far as the API has to know it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from meshinfer.model.language import Tokenizer

from . import hermes
from .toolcalls import Parse
from .tools import Tool

_PROBE = {"name": "f", "arguments": {"a": 1}}


class CallShape(Enum):
    """What stands between the marks of a call.

    OBJECT: one JSON object with a name and arguments. LIST: an array of these. OTHER: something else, which
    is read, but not forced.
    """

    OBJECT = "object"
    LIST = "list"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How a model writes calls. end: empty where a call goes on to the answer's end.

    is_native: whether its chat template takes the tools itself; else they are described to it in words.
    """

    start: str
    end: str
    shape: CallShape
    parse: Parse
    is_native: bool


def call_format(tokenizer: Tokenizer, tools: Sequence[Tool]) -> CallFormat:
    """How calls of these tools are written."""
    markers = tokenizer.markers
    if not (markers.call_start and tokenizer.knows("tools")):
        return CallFormat(
            hermes.CALL_START, hermes.CALL_END, CallShape.OBJECT, hermes.parse_call, is_native=False
        )
    given = [template_tool(tool) for tool in tools]

    def parse(text: str) -> list[tuple[str, str]]:
        return tokenizer.parse_call(text, given)

    return CallFormat(markers.call_start, markers.call_end, _shape(tokenizer), parse, is_native=True)


def template_tool(tool: Tool) -> dict[str, object]:
    """A tool as chat templates take it."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": json.loads(tool.schema),
    }
    return {"type": "function", "function": function}


def _shape(tokenizer: Tokenizer) -> CallShape:
    """What the model's own parser understands, found by trying."""
    expected = [(_PROBE["name"], json.dumps(_PROBE["arguments"]))]
    for shape, text in ((CallShape.OBJECT, json.dumps(_PROBE)), (CallShape.LIST, json.dumps([_PROBE]))):
        try:
            if tokenizer.parse_call(text, ()) == expected:
                return shape
        except ValueError:
            continue
    return CallShape.OTHER


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of a model as its tokenizer writes it: parts that are special tokens (ids), and bare text."""

    text: str
    parts: tuple[int | str, ...]

    @property
    def has_special(self) -> bool:
        """Whether it is only seen where special tokens become text."""
        return any(isinstance(part, int) for part in self.parts)


def read_mark(tokenizer: Tokenizer, text: str) -> Mark:
    """Find out which special tokens a mark consists of. Blocking, for microseconds."""
    if not text:
        return Mark("", ())
    tokens, wanted = tokenizer.encode(text), text.encode()
    # A tokenizer may put a beginning of the text before it.
    while tokens and b"".join(map(tokenizer.token_bytes, tokens)) != wanted:
        tokens = tokens[1:]
    parts: list[int | str] = []
    for token in tokens:
        written = tokenizer.token_bytes(token).decode(errors="replace")
        if not tokenizer.decode((token,)):
            parts.append(token)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += written
        else:
            parts.append(written)
    # Bytes of half a character are no part of their own.
    is_whole = all("\ufffd" not in part for part in parts if isinstance(part, str))
    return Mark(text, tuple(parts) if parts and is_whole else (text,))
