"""What an answer is held to, as a grammar: thinking, then calls whose arguments fit, or JSON, or text.

Written in llguidance's dialect of Lark (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshinfer.errors import RequestError
from meshinfer.messages import Constraint, ConstraintKind

from .call_format import CallShape, Mark
from .tools import Tool

MOST_CALLS = 8
"""In one answer that is held to a grammar: small models repeat themselves."""

_JSON_OPTIONS = {"whitespace_pattern": r"( |\n {0,16})?", "lenient": False}
"""As for a JSON schema by itself: without a bound, small models write nothing but white space."""

_OTHERS = {"additionalProperties", "allOf", "anyOf", "oneOf", "patternProperties", "$ref"}
"""What a schema may name further properties by."""

_ANYTHING = "(?s:.*)"

_NAME, _ARGUMENTS = '{"name": "', ', "arguments": '
"""What a call writes before its tool's name, and behind it."""

_COMMA, _LINE = '", "', '"\\n"'
"""What stands between calls."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """The marks around what a model thinks. is_open: the prompt ends with the first of them."""

    start: Mark
    end: Mark
    is_open: bool


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that an answer may or must have. shape: OBJECT or LIST. end: without parts where none is written.

    are_required: it is nothing but calls. most: how many, 1 or more.
    """

    start: Mark
    end: Mark
    shape: CallShape
    tools: tuple[Tool, ...]
    are_required: bool
    most: int = MOST_CALLS


def constraint_of(
    thinking: Thinking | None, calls: Calls | None, content: Constraint | None
) -> Constraint | None:
    """What holds an answer to all of this; None where it is free.

    thinking: what may come first. calls: None leaves them free. content: what a text looks like.

    Raises:
        RequestError: it is too long.
    """
    if calls is None and (content is None or thinking is None):
        return content
    rules = _Rules()
    parts = []
    if calls is not None:
        parts.append(_calls(rules, calls, is_mixed=content is None and not calls.are_required))
    if content is not None and (calls is None or not calls.are_required):
        parts.append(rules.add("content", _content(content)))
    body = " | ".join(parts)
    start = f"({body})"
    if thinking is not None:
        thought = rules.add("thought", _thought(rules, thinking))
        start = f"{thought}{'' if thinking.is_open else '?'} {start}"
    return _lark(f"start: {start}\n{rules.text}")


def _lark(text: str) -> Constraint:
    try:
        return Constraint(ConstraintKind.LARK, text)
    except ValueError as error:
        raise RequestError(f"the answer cannot be held to tools and format: {error}", "tools") from error


class _Rules:
    """Rules of a grammar below its first."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, name: str, body: str, options: str = "") -> str:
        self.text += f"{name}{options}: {body}\n"
        return name


def _thought(rules: _Rules, thinking: Thinking) -> str:
    start = "" if thinking.is_open else _mark(thinking.start) + " "
    return f"{start}{_until(rules, 'thinking', thinking.end)} /[ \\n]{{0,4}}/"


def _until(rules: _Rules, name: str, mark: Mark) -> str:
    """Any text, and then the mark. Special tokens are no text, so they end it by themselves."""
    first, *others = mark.parts
    if isinstance(first, int):
        return f"/{_ANYTHING}/ {_mark(mark)}"
    begin = rules.add(name, f"/{_ANYTHING}/", f"[suffix={_text(first)}]")
    return " ".join([begin, *map(_part, others)])


def _calls(rules: _Rules, calls: Calls, *, is_mixed: bool) -> str:
    """The rule of all calls. is_mixed: text stands between them, and there may be none."""
    object_ = rules.add("object", _object(rules, calls.tools))
    end = f" {_mark(calls.end)}" if calls.end.parts else ""
    if calls.shape is CallShape.LIST:
        written, most = f'"[" {_several(object_, _COMMA, calls.most)} "]"{end}', 1
    else:
        written, most = f"{_LINE} {object_} {_LINE}{end}", calls.most
    if is_mixed:
        call = rules.add("call", f"{_until(rules, 'lead', calls.start)} {written}")
        return rules.add("calls", f"{call}{{0,{most}}} /{_ANYTHING}/")
    call = rules.add("call", f"{_mark(calls.start)} {written}")
    return rules.add("calls", _several(call, _LINE, most))


def _several(rule: str, joint: str, most: int) -> str:
    return rule if most == 1 else f"{rule} ({joint} {rule}){{0,{most - 1}}}"


def _object(rules: _Rules, tools: Sequence[Tool]) -> str:
    """One call. The arguments are grammars of their own, so that `$ref` means within their schema."""
    named = []
    for number, tool in enumerate(tools):
        arguments = rules.add(f"arguments_{number}", _json(_closed(json.loads(tool.schema))))
        named.append(f"{_text(json.dumps(tool.name)[1:] + _ARGUMENTS)} {arguments}")
    return f"{_text(_NAME)} ({' | '.join(named)}) {_text('}')}"


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of arguments without any but those it names, where it leaves open whether there are others."""
    is_open = bool(schema.get("properties")) and not _OTHERS & schema.keys()
    return {**schema, "additionalProperties": False} if is_open else schema


def _content(content: Constraint) -> str:
    match content.kind:
        case ConstraintKind.JSON:
            return _json({"type": "object"})
        case ConstraintKind.SCHEMA:
            return _json(json.loads(content.text))
        case ConstraintKind.REGEX | ConstraintKind.LARK:
            raise RequestError("a grammar of one's own goes with no tools and no thinking", "response_format")


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': _JSON_OPTIONS})}"


def _mark(mark: Mark) -> str:
    return " ".join(map(_part, mark.parts))


def _part(part: int | str) -> str:
    return f"<[{part}]>" if isinstance(part, int) else _text(part)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
