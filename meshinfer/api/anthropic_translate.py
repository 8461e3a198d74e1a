"""From the bytes of a request to Anthropic's Messages API to a question."""

import json
from collections.abc import Iterator
from itertools import groupby

from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, Sampling

from .answering import Asked
from .anthropic_refusals import kept_body
from .anthropic_request import (
    Block,
    CountBody,
    MessageBody,
    MessagesBody,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ThinkingBody,
    ToolBody,
    ToolChoiceBody,
    ToolResultBlock,
    ToolUseBlock,
)
from .anthropic_wording import AnthropicWording
from .errors import invalid
from .question import Question
from .reading import json_object, validated
from .schemas import arguments_schema, check_choice, schema_constraint, unique_tools
from .tools import Tool, ToolChoice, ToolMode
from .wording import Json

_BILLING = "x-anthropic-billing-header:"
"""Claude Code puts such a note in front of its system prompt, other text each time: it is for Anthropic's
servers, and before a prompt it would keep all of it out of the prefix cache."""

_MODES = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "tool": ToolMode.NAMED, "none": ToolMode.NONE}
_ALLOWED = {
    "user": (TextBlock, ToolResultBlock),
    "assistant": (TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolUseBlock),
    "system": (TextBlock,),
}


def messages_question(body: bytes) -> Asked:
    """Read the body of `POST /v1/messages`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    asked = validated(MessagesBody, kept_body(json_object(body), MessagesBody))
    _check_budget(asked.thinking, asked.max_tokens)
    tools = _tools(asked)
    question = Question(
        dialect="messages",
        prompt=_conversation(asked),
        model=asked.model,
        max_tokens=asked.max_tokens,
        sampling=Sampling(
            temperature=1.0 if asked.temperature is None else float(asked.temperature),
            top_p=1.0 if asked.top_p is None else float(asked.top_p),
            top_k=asked.top_k or 0,
        ),
        stop=asked.stop_sequences,
        constraint=_constraint(asked),
        tools=tools,
        tool_choice=_choice(asked.tool_choice, tools),
    )
    max_tokens, extra = asked.max_tokens, _extra(asked)
    is_silent = asked.thinking is not None and asked.thinking.display == "omitted"
    return Asked(
        question,
        lambda head: AnthropicWording(head, max_tokens, shows_thinking=not is_silent, extra=extra),
        bool(asked.stream),
    )


def count_question(body: bytes) -> Question:
    """Read the body of `POST /v1/messages/count_tokens`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    asked = validated(CountBody, kept_body(json_object(body), CountBody))
    tools = _tools(asked)
    return Question(
        dialect="messages",
        prompt=_conversation(asked),
        model=asked.model,
        tools=tools,
        tool_choice=_choice(asked.tool_choice, tools),
    )


def _conversation(asked: CountBody) -> Conversation:
    messages = [*_system(asked), *(m for n, each in enumerate(asked.messages) for m in _messages(n, each))]
    if asked.messages[-1].role == "assistant":
        last = f"messages[{len(asked.messages) - 1}]"
        raise invalid(
            f"{last} is of the assistant: answers that begin with a given text are not supported by this "
            "release; end with a message of the user",
            f"{last}.role",
        )
    return Conversation(tuple(messages), options=_options(asked), hints=_hints(asked))


def _system(asked: CountBody) -> Iterator[Json]:
    texts = [block.text for block in asked.system or () if not block.text.startswith(_BILLING)]
    if texts:
        yield {"role": "system", "content": "\n".join(texts)}


def _messages(number: int, message: MessageBody) -> Iterator[Json]:
    """One of Anthropic's messages as OpenAI's: what tools gave back has messages of its own."""
    for place, block in enumerate(message.content):
        if not isinstance(block, _ALLOWED[message.role]):
            where = f"messages[{number}].content[{place}]"
            text = f"{where} is of type {block.type}, which a message of the {message.role} cannot hold"
            raise invalid(text, f"{where}.type")
    if message.role == "assistant":
        yield _assistant(message.content)
        return
    for is_result, blocks in groupby(message.content, lambda block: isinstance(block, ToolResultBlock)):
        if is_result:
            yield from (_result(block) for block in blocks if isinstance(block, ToolResultBlock))
        else:
            yield {"role": message.role, "content": _text(list(blocks))}


def _assistant(blocks: list[Block]) -> Json:
    message: Json = {"role": "assistant", "content": _text(blocks)}
    if thoughts := [block.thinking for block in blocks if isinstance(block, ThinkingBlock)]:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls := [_call(block) for block in blocks if isinstance(block, ToolUseBlock)]:
        message["tool_calls"] = calls
    return message


def _call(block: ToolUseBlock) -> Json:
    function = {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}
    return {"id": block.id, "type": "function", "function": function}


def _result(block: ToolResultBlock) -> Json:
    # Chat templates know no field for failures.
    text = ("Error: " if block.is_error else "") + _text(list(block.content))
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}


def _text(blocks: list[Block]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, TextBlock))


def _options(asked: CountBody) -> dict[str, object]:
    """What the chat template must know."""
    is_thinking = asked.thinking is not None and asked.thinking.type == "enabled"
    return {"enable_thinking": True} if is_thinking else {}


def _hints(asked: CountBody) -> dict[str, object]:
    """What it may know: a model that cannot think does not, and one whose thought has no degrees has none.

    Adaptive is to think as the model likes, which is what a template says by itself.
    """
    hints: dict[str, object] = {}
    if asked.thinking is not None and asked.thinking.type == "disabled":
        hints["enable_thinking"] = False
    if asked.output_config is not None and asked.output_config.effort is not None:
        hints["reasoning_effort"] = asked.output_config.effort
    return hints


def _check_budget(thinking: ThinkingBody | None, max_tokens: int) -> None:
    budget = thinking.budget_tokens if thinking is not None else None
    if budget is not None and budget < max_tokens - 1:
        raise invalid(
            f"thinking.budget_tokens is {budget}, below max_tokens ({max_tokens}): a limit to thinking alone "
            'is not supported by this release; send max_tokens - 1, or {"type": "adaptive"}',
            "thinking.budget_tokens",
        )


def _constraint(asked: MessagesBody) -> Constraint | None:
    if asked.output_config is None or asked.output_config.format is None:
        return None
    return schema_constraint(asked.output_config.format.schema_, "output_config.format.schema")


def _tools(asked: CountBody) -> tuple[Tool, ...]:
    return unique_tools(_tool(tool, f"tools[{n}]") for n, tool in enumerate(asked.tools or ()))


def _tool(tool: ToolBody, place: str) -> Tool:
    schema = arguments_schema(tool.input_schema, f"{place}.input_schema")
    return Tool(tool.name, tool.description or "", schema, bool(tool.strict))


def _choice(choice: ToolChoiceBody | None, tools: tuple[Tool, ...]) -> ToolChoice:
    if choice is None:
        return ToolChoice()
    if (choice.type == "tool") != bool(choice.name):
        raise invalid("tool_choice.name belongs to the type tool: give the name of one", "tool_choice.name")
    is_parallel = not choice.disable_parallel_tool_use
    made = ToolChoice(_MODES[choice.type], choice.name or "", is_parallel)
    check_choice(made, tools)
    return made


def _extra(asked: MessagesBody) -> Json:
    """Nothing is ever cleared: a conversation that is too long is refused."""
    return {"context_management": {"applied_edits": []}} if asked.context_management is not None else {}
