"""What clients of OpenAI's Responses API send besides: refused by name, or harmless."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from .errors import invalid
from .refusals import HARMLESS, Refusals, kept_fields
from .responses_request import (
    FunctionCallItem,
    FunctionCallOutputItem,
    MessageItem,
    ReasoningItem,
    ReasoningPart,
    ResponsesBody,
    ResponsesTool,
    TextPart,
)
from .values import describe

RESPONSES_HARMLESS = HARMLESS | {"max_tool_calls", "prompt_cache_options"}
"""Beside the usual: a limit to tools that OpenAI's servers run, of which there are none here."""

RESPONSES: Refusals = {
    "access_programs": (),
    "background": (False,),
    "background_options": (),
    "context_management": ([],),
    "conversation": (),
    "image": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "truncation": ("disabled",),
}
"""Nothing is stored: each request brings its whole conversation."""

_ITEM: Refusals = {"async": (False,), "caller": ({"type": "direct"},), "namespace": ()}
_ITEM_HARMLESS = frozenset({"encrypted_content", "id", "phase", "status"})
"""Clients send an earlier answer's items back as they got them."""

_PART: Refusals = {"annotations": ([],), "prompt_cache_breakpoint": ()}
_PART_HARMLESS = frozenset({"logprobs"})

_TOOL: Refusals = {
    "allowed_callers": (["direct"],),
    "async": (False,),
    "defer_loading": (False,),
    "output_schema": (),
}

_ITEMS: dict[str, type[BaseModel]] = {
    "message": MessageItem,
    "function_call": FunctionCallItem,
    "function_call_output": FunctionCallOutputItem,
    "reasoning": ReasoningItem,
}
_PARTS: dict[str, type[BaseModel]] = {
    "input_text": TextPart,
    "output_text": TextPart,
    "reasoning_text": ReasoningPart,
    "summary_text": ReasoningPart,
}


def kept_body(body: dict[str, Any]) -> dict[str, Any]:
    """The honoured fields of a body, at all depths.

    Raises:
        ApiError: a field, an item, a part or a tool is not supported, or unknown; the text names it.
    """
    kept = kept_fields(body, ResponsesBody.model_fields, RESPONSES, harmless=RESPONSES_HARMLESS)
    kept["input"] = _each(kept.get("input"), "input", _kept_item)
    if kept["input"] is None:
        del kept["input"]
    if "tools" in kept:
        kept["tools"] = _each(kept["tools"], "tools", _kept_tool)
    return kept


def _each(value: object, place: str, keep: Callable[[dict[str, Any], str], object]) -> object:
    """Keep what is honoured of each object in an array; what is none is refused later, by its type."""
    if not isinstance(value, list):
        return value
    return [
        keep(each, f"{place}[{number}]") if isinstance(each, dict) else each
        for number, each in enumerate(value)
    ]


def _kept_item(item: dict[str, Any], place: str) -> object:
    model = _known(item.get("type", "message"), _ITEMS, place)
    kept = kept_fields(item, model.model_fields, _ITEM, f"{place}.", harmless=_ITEM_HARMLESS)
    for name in ("content", "output", "summary"):
        if name in kept:
            kept[name] = _each(kept[name], f"{place}.{name}", _kept_part)
    return kept


def _kept_part(part: dict[str, Any], place: str) -> object:
    model = _known(part.get("type"), _PARTS, place)
    return kept_fields(part, model.model_fields, _PART, f"{place}.", harmless=_PART_HARMLESS)


def _kept_tool(tool: dict[str, Any], place: str) -> object:
    _known(tool.get("type"), {"function": ResponsesTool}, place)
    return kept_fields(tool, ResponsesTool.model_fields, _TOOL, f"{place}.")


def _known(kind: object, known: dict[str, type[BaseModel]], place: str) -> type[BaseModel]:
    if not isinstance(kind, str) or kind not in known:
        kinds = ", ".join(known)
        raise invalid(
            f"{place} is of type {describe(kind)}, which is not supported by this release: send {kinds}",
            f"{place}.type",
        )
    return known[kind]
