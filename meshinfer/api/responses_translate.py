"""From the bytes of a request to OpenAI's Responses API to a question."""

from typing import assert_never

from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind, Sampling

from .answering import Asked
from .errors import invalid
from .question import Question
from .reading import json_object, validated
from .responses_refusals import kept_body
from .responses_request import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputItem,
    MessageItem,
    ObjectFormat,
    ReasoningItem,
    ResponsesBody,
    ResponsesTool,
    ResponsesToolName,
    SchemaFormat,
    TextPart,
)
from .responses_wording import ResponsesWording
from .schemas import arguments_schema, check_choice, schema_constraint, unique_tools
from .tools import Tool, ToolChoice, ToolMode
from .wording import Json

_MODES = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "required": ToolMode.REQUIRED}
_LOGPROBS = "message.output_text.logprobs"


def response_question(body: bytes) -> Asked:
    """Read the body of `POST /v1/responses`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    asked = validated(ResponsesBody, kept_body(json_object(body)))
    if asked.stream_options is not None and not asked.stream:
        raise invalid("stream_options is only allowed when stream is true", "stream_options")
    tools = _tools(asked)
    question = Question(
        dialect="responses",
        prompt=_conversation(asked),
        prompt_field="input",
        model=asked.model,
        max_tokens=asked.max_output_tokens,
        sampling=Sampling(
            temperature=1.0 if asked.temperature is None else float(asked.temperature),
            top_p=1.0 if asked.top_p is None else float(asked.top_p),
        ),
        constraint=_constraint(asked),
        top_logprobs=_top_logprobs(asked),
        tools=tools,
        tool_choice=_choice(asked, tools),
    )
    echo = _echo(asked)
    return Asked(question, lambda head: ResponsesWording(head, echo), bool(asked.stream))


def _messages(asked: ResponsesBody) -> list[Json]:
    """The items as messages of a chat: what one answer was made of is one message of the assistant."""
    messages: list[Json] = []
    if asked.instructions:
        messages.append({"role": "system", "content": asked.instructions})
    for item in asked.input:
        _add(messages, item)
    if not messages:
        raise invalid("input holds nothing to answer: give a message of the user", "input")
    if messages[-1]["role"] == "assistant":
        last = f"input[{len(asked.input) - 1}]"
        raise invalid(
            f"{last} is of the assistant: answers that begin with a given text are not supported by this "
            "release; end with a message of the user, or with what a tool gave back",
            last,
        )
    return messages


def _add(messages: list[Json], item: InputItem) -> None:
    match item:
        case MessageItem(role="assistant", content=content):
            message = _assistant(messages)
            message["content"] = "\n".join(each for each in (message["content"], _text(content)) if each)
        case MessageItem(role=role, content=content):
            # Chat templates know the older name.
            messages.append({"role": "system" if role == "developer" else role, "content": _text(content)})
        case FunctionCallItem():
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            _assistant(messages).setdefault("tool_calls", []).append(call)
        case FunctionCallOutputItem():
            given = _text(item.output)
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": given})
        case ReasoningItem(content=parts):
            if parts:
                _assistant(messages)["reasoning_content"] = "\n".join(part.text for part in parts)
        case _:
            assert_never(item)


def _assistant(messages: list[Json]) -> Json:
    """The answer that an item is a part of."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": ""})
    return messages[-1]


def _text(parts: list[TextPart]) -> str:
    return "".join(part.text for part in parts)


def _conversation(asked: ResponsesBody) -> Conversation:
    effort = asked.reasoning.effort if asked.reasoning is not None else None
    options = {} if effort is None else {"reasoning_effort": effort}
    return Conversation(tuple(_messages(asked)), options=options)


def _constraint(asked: ResponsesBody) -> Constraint | None:
    match asked.text.format if asked.text is not None else None:
        case SchemaFormat(schema_=schema):
            return schema_constraint(schema, "text.format.schema")
        case ObjectFormat():
            return Constraint(ConstraintKind.JSON)
        case _:
            return None


def _top_logprobs(asked: ResponsesBody) -> int | None:
    if asked.top_logprobs is None and _LOGPROBS not in (asked.include or ()):
        return None
    return asked.top_logprobs or 0


def _tools(asked: ResponsesBody) -> tuple[Tool, ...]:
    return unique_tools(_tool(tool, f"tools[{n}]") for n, tool in enumerate(asked.tools or ()))


def _tool(tool: ResponsesTool, place: str) -> Tool:
    schema = arguments_schema(tool.parameters or {}, f"{place}.parameters")
    return Tool(tool.name, tool.description or "", schema, bool(tool.strict))


def _choice(asked: ResponsesBody, tools: tuple[Tool, ...]) -> ToolChoice:
    is_parallel = asked.parallel_tool_calls is not False
    match asked.tool_choice:
        case ResponsesToolName(name=name):
            made = ToolChoice(ToolMode.NAMED, name, is_parallel)
        case mode:
            made = ToolChoice(_MODES[mode or "auto"], "", is_parallel)
    check_choice(made, tools)
    return made


def _echo(asked: ResponsesBody) -> Json:
    """What each response tells of its request."""
    told = asked.model_dump(mode="json", by_alias=True, include=set(_TOLD))
    given = {name: value for name, value in told.items() if value is not None}
    return {**_TOLD, **given}


_TOLD: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    # These are what they are for every request.
    "background": False,
    "previous_response_id": None,
    "store": False,
    "truncation": "disabled",
}
