"""The JSON schemas of a request: what tools take, and what an answer must fit. The same for every dialect."""

import json
from collections.abc import Iterable
from typing import Any

from meshinfer.messages import Constraint, ConstraintKind

from .errors import invalid
from .tools import Tool, ToolChoice, ToolMode
from .values import describe


def schema_constraint(schema: dict[str, Any], param: str) -> Constraint:
    """An answer that fits a schema. param: where the schema stands.

    Raises:
        ApiError: it is too long.
    """
    try:
        return Constraint(ConstraintKind.SCHEMA, _json(schema))
    except ValueError as error:
        raise invalid(f"{param} cannot be taken: {error}", param) from error


def arguments_schema(schema: dict[str, Any], param: str) -> str:
    """The schema of a tool's arguments as JSON; they are an object in any case.

    Raises:
        ApiError: the schema wants something else.
    """
    kind = schema.get("type", "object")
    if kind != "object":
        raise invalid(f"{param}.type should be 'object', not {describe(kind)}", f"{param}.type")
    return _json({"properties": {}, **schema, "type": "object"})


def unique_tools(tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """The tools of a request.

    Raises:
        ApiError: two have one name.
    """
    named: dict[str, Tool] = {}
    for number, tool in enumerate(tools):
        if tool.name in named:
            raise invalid(f"tools[{number}].name {tool.name!r} stands there twice", f"tools[{number}].name")
        named[tool.name] = tool
    return tuple(named.values())


def check_choice(choice: ToolChoice, tools: tuple[Tool, ...]) -> None:
    """Check that what must be called is there.

    Raises:
        ApiError: it is not.
    """
    if choice.mode is ToolMode.REQUIRED and not tools:
        raise invalid("tool_choice asks for a call, and there are no tools: give some", "tool_choice")
    if choice.mode is ToolMode.NAMED and choice.name not in {tool.name for tool in tools}:
        text = f"tool_choice.name is {describe(choice.name)}, which is none of the tools"
        raise invalid(text, "tool_choice.name")


def _json(schema: dict[str, Any]) -> str:
    # In the order of the client: models write properties in the order in which they stand there.
    return json.dumps(schema, separators=(",", ":"))
