"""Tools and how they may be used, as clients of OpenAI's API say it."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from .errors import ApiError, invalid
from .reading import Body
from .tools import NO_ARGUMENTS, Tool, ToolChoice, ToolMode
from .values import describe

MAX_TOOLS = 128
MAX_NAME_CHARACTERS = 64

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Function(Body):
    """A function that a model may call. parameters: a JSON schema of an object; without it there are none."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Body):
    """One tool; functions are the only kind."""

    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    """A function by its name."""

    name: str


class NamedTool(Body):
    """A tool by its name; what else clients repeat of its definition stands in `tools`."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Body):
    """Those of the tools that may be used this time."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


class ToolChoiceObject(Body):
    """A tool choice that is more than a word: one function, or some allowed tools."""

    type: Literal["function", "allowed_tools"]
    function: NamedFunction | None = None
    allowed_tools: AllowedTools | None = None


ToolChoiceBody = Literal["none", "auto", "required"] | ToolChoiceObject
Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS)]


def read_tools(tools: Sequence[FunctionTool]) -> tuple[Tool, ...]:
    """The tools of a request.

    Raises:
        ApiError: a name cannot be one, or stands twice.
    """
    read: dict[str, Tool] = {}
    for number, tool in enumerate(tools):
        function, place = tool.function, f"tools[{number}].function"
        if not _NAME.fullmatch(function.name):
            allowed = f"takes 1 to {MAX_NAME_CHARACTERS} letters, digits, '_', '.' or '-'"
            raise invalid(f"{place}.name {allowed}, and is {describe(function.name)}", f"{place}.name")
        if function.name in read:
            raise invalid(f"{place}.name {function.name!r} stands there twice", f"{place}.name")
        schema = _object_schema(function.parameters, f"{place}.parameters")
        read[function.name] = Tool(function.name, function.description or "", schema, bool(function.strict))
    return tuple(read.values())


def _object_schema(parameters: dict[str, Any] | None, param: str) -> str:
    """The schema of a function's arguments as JSON; they are an object in any case."""
    if parameters is None:
        return NO_ARGUMENTS
    kind = parameters.get("type", "object")
    if kind != "object":
        raise invalid(f"{param}.type should be 'object', not {describe(kind)}", f"{param}.type")
    # In the order that it came in: answers that are held to it have theirs from there.
    return json.dumps({"type": "object", "properties": {}, **parameters}, separators=(",", ":"))


def read_tool_choice(
    tools: tuple[Tool, ...], asked: ToolChoiceBody | None, *, is_parallel: bool
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The tools that may be used, and how.

    Raises:
        ApiError: the choice asks for tools that are not there.
    """
    match asked:
        case None | "auto" | "none":
            return tools, ToolChoice(ToolMode(asked or "auto"), is_parallel=is_parallel)
        case "required":
            if not tools:
                raise invalid("tool_choice is 'required', and there are no tools: give some", "tool_choice")
            return tools, ToolChoice(ToolMode.REQUIRED, is_parallel=is_parallel)
        case ToolChoiceObject(type="function", function=NamedFunction(name=name)):
            _check_is_given(tools, name, "tool_choice.function.name")
            return tools, ToolChoice(ToolMode.NAMED, name, is_parallel=is_parallel)
        case ToolChoiceObject(type="allowed_tools", allowed_tools=AllowedTools() as allowed):
            names = [tool.function.name for tool in allowed.tools]
            for number, name in enumerate(names):
                _check_is_given(tools, name, f"tool_choice.allowed_tools.tools[{number}].function.name")
            some = tuple(tool for tool in tools if tool.name in names)
            return some, ToolChoice(ToolMode(allowed.mode), is_parallel=is_parallel)
        case ToolChoiceObject(type=kind):
            raise _incomplete(kind)


def _check_is_given(tools: tuple[Tool, ...], name: str, param: str) -> None:
    if name not in {tool.name for tool in tools}:
        raise invalid(f"{param} is {describe(name)}, which is none of the tools", param)


def _incomplete(kind: str) -> ApiError:
    return invalid(f"tool_choice.{kind} is missing", f"tool_choice.{kind}", "missing_required_parameter")
