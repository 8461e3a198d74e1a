"""Tool calls for models whose chat template knows none, in the form that Hermes models were trained on.

https://github.com/NousResearch/Hermes-Function-Calling: the tools stand in the system message, a call is a
JSON object between marks, and what a tool gave back is a message of the user.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshinfer.generation import Conversation

CALL_START, CALL_END = "<tool_call>", "</tool_call>"

_TOOLS = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{signatures}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def as_plain_chat(conversation: Conversation) -> Conversation:
    """The same conversation in messages with nothing but a role and a text, its tools among them."""
    messages: list[dict[str, object]] = []
    for message in conversation.messages:
        plain = _plain(message)
        last = messages[-1] if messages else {}
        if message.get("role") == "tool" and last.get("role") == "user" and _is_response(last):
            # Templates want the roles to alternate.
            last["content"] = f"{last['content']}\n{plain['content']}"
        else:
            messages.append(plain)
    if conversation.tools:
        _describe(messages, conversation.tools)
    return Conversation(tuple(messages), options=conversation.options, hints=conversation.hints)


def parse_call(text: str) -> list[tuple[str, str]]:
    """Read what stands between the marks: name and arguments, as a JSON object, of each call.

    Raises:
        ValueError: it is no call.
    """
    try:
        read: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError("a tool call that is nested too deeply") from error
    return [_call(each) for each in (read if isinstance(read, list) else [read])]


def _call(read: Any) -> tuple[str, str]:
    match read:
        case {"name": str(name), "arguments": dict(arguments)} if name:
            return name, json.dumps(arguments, ensure_ascii=False)
        case _:
            raise ValueError("a tool call is an object with a name and arguments")


def _describe(messages: list[dict[str, object]], tools: Iterable[Mapping[str, object]]) -> None:
    signatures = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    text = _TOOLS.format(signatures=signatures)
    if messages and messages[0]["role"] == "system":
        messages[0]["content"] = f"{messages[0]['content']}\n\n{text}"
    else:
        messages.insert(0, {"role": "system", "content": text})


def _plain(message: Mapping[str, object]) -> dict[str, object]:
    role, content = message["role"], message.get("content") or ""
    if role == "tool":
        return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
    calls = message.get("tool_calls")
    if isinstance(calls, Sequence):
        written = "\n".join(_written(call) for call in calls)
        content = f"{content}\n{written}" if content else written
    name = {"name": message["name"]} if "name" in message else {}
    return {"role": role, "content": content, **name}


def _is_response(message: Mapping[str, object]) -> bool:
    return str(message["content"]).startswith("<tool_response>\n")


def _written(call: Any) -> str:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        arguments = function["arguments"]
    text = json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)
    return f"{CALL_START}\n{text}\n{CALL_END}"
