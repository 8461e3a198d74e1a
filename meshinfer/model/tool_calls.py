"""How a model marks its thinking and its tool calls, and how these are read: with mlx-lm's parsers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .language import Markers


class ToolCalls:
    """Works on mlx-lm's TokenizerWrapper, which knows each model's format by its chat template."""

    def __init__(self, wrapper: Any) -> None:
        self._parse = wrapper.tool_parser
        self.markers = Markers(
            think_start=wrapper.think_start or "",
            think_end=wrapper.think_end or "",
            call_start=wrapper.tool_call_start or "",
            call_end=wrapper.tool_call_end or "",
        )

    def parse(self, text: str, tools: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
        """Read what stands between a call's markers: (name, JSON of the arguments) of each call.

        Raises:
            ValueError: it is no tool call, or this model makes none.
        """
        if self._parse is None:
            raise ValueError("this model has no format for tool calls")
        try:
            read = self._parse(text, list(tools) or None)
        except Exception as error:  # parsers trip over what a model makes up in many ways
            raise ValueError(f"no tool call: {type(error).__name__}") from error
        return [_call(each) for each in (read if isinstance(read, list) else [read])]


def _call(read: Any) -> tuple[str, str]:
    name = read.get("name") if isinstance(read, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError("a tool call without a name")
    arguments = read.get("arguments") or {}
    try:
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        written = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a tool call whose arguments are no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ValueError(f"a tool call whose arguments are {type(arguments).__name__}, not an object")
    return name, written
