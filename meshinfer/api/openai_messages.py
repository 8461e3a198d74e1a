"""The messages of a chat as clients of OpenAI's API send them, and as a chat template takes them."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .errors import ApiError, invalid
from .reading import Body
from .refusals import MESSAGE, kept_fields
from .values import read_text

_TextParts = str | list[dict[str, Any]]
Text = Annotated[str, BeforeValidator(read_text, json_schema_input_type=_TextParts)]


class CalledFunction(Body):
    """What a call of an earlier answer was of. parsed_arguments: OpenAI's client keeps them there."""

    name: str
    arguments: str
    parsed_arguments: Any = None


class ToolCall(Body):
    """A call of an earlier answer. index: from its stream, when a client put it together itself."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class ChatMessage(Body):
    """One message of a chat. parsed: OpenAI's client keeps there what it read of `content`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = None
    reasoning_content: str | None = None
    parsed: Any = None


def kept_message(number: int, message: object) -> object:
    """What is honoured of a message before it is checked; what is none passes, for that check to name.

    Raises:
        ApiError: a field of it is not supported, or unknown.
    """
    if not isinstance(message, dict):
        return message
    return kept_fields(message, ChatMessage.model_fields, MESSAGE, f"messages[{number}].")


def template_message(message: ChatMessage, place: str) -> dict[str, object]:
    """A message as a chat template takes it. place: its own, for errors.

    Raises:
        ApiError: it lacks its content, or has what only assistants have.
    """
    is_assistant = message.role == "assistant"
    for field in ("tool_calls", "reasoning_content"):
        if getattr(message, field) is not None and not is_assistant:
            raise invalid(f"{place}.{field} is for messages of the role assistant", f"{place}.{field}")
    if message.content is None and not message.tool_calls:
        raise _without_content(message, f"{place}.content")
    given = {
        # Chat templates know the older name.
        "role": "system" if message.role == "developer" else message.role,
        "content": message.content or "",
        "name": message.name,
        "tool_call_id": message.tool_call_id,
        "reasoning_content": message.reasoning_content,
        "tool_calls": [_template_call(call) for call in message.tool_calls or ()] or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _without_content(message: ChatMessage, param: str) -> ApiError:
    if "content" in message.model_fields_set:
        return invalid(f"{param} should be a string or an array of parts, not null", param)
    return invalid(f"{param} is missing", param, "missing_required_parameter")


def _template_call(call: ToolCall) -> dict[str, object]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}
