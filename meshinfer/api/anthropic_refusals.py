"""What clients of Anthropic's Messages API send besides: refused by name, or harmless."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from .anthropic_request import (
    CountBody,
    MessageBody,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolBody,
    ToolResultBlock,
    ToolUseBlock,
)
from .errors import invalid
from .refusals import Refusals, kept_fields
from .values import describe

HARMLESS = frozenset({"cache_control", "diagnostics", "metadata"})
"""What begins like an earlier prompt is never computed anew anyway; the rest are notes to a provider."""

REFUSED: Refusals = {
    "billing_policy": (),
    "compaction": (),
    "container": (),
    "fallback_credit_token": (),
    "fallbacks": ("default", []),
    "inference_geo": (),
    "mcp_servers": ([],),
    "service_tier": ("auto", "standard_only"),
    "speed": ("standard",),
    "thread": (),
    "user_profile_id": (),
    "workspace_id": (),
}

_TOOL: Refusals = {"allowed_callers": (["direct"],), "defer_loading": (False,), "input_examples": ([],)}
_TOOL_HARMLESS = HARMLESS | {"eager_input_streaming"}
"""Arguments are always streamed as they come."""

_BLOCK: Refusals = {"caller": ({"type": "direct"},), "citations": ([],), "toolset_name": ()}

_BLOCKS: dict[str, type[BaseModel]] = {
    "text": TextBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
}


def kept_body(body: dict[str, Any], model: type[CountBody]) -> dict[str, Any]:
    """The honoured fields of a body, at all depths.

    Raises:
        ApiError: a field, a block or a tool is not supported, or unknown; the text names it.
    """
    kept = kept_fields(body, model.model_fields, REFUSED, harmless=HARMLESS)
    if isinstance(messages := kept.get("messages"), list):
        kept["messages"] = [_kept_message(message, f"messages[{n}]") for n, message in enumerate(messages)]
    if isinstance(tools := kept.get("tools"), list):
        kept["tools"] = [_kept_tool(tool, f"tools[{n}]") for n, tool in enumerate(tools)]
    if "system" in kept:
        kept["system"] = _kept_blocks(kept["system"], "system", {"text"})
    return kept


def _kept_message(message: object, place: str) -> object:
    if not isinstance(message, dict):
        return message
    kept = kept_fields(message, MessageBody.model_fields, {}, f"{place}.", harmless=HARMLESS)
    if "content" in kept:
        kept["content"] = _kept_blocks(kept["content"], f"{place}.content", _BLOCKS)
    return kept


def _kept_blocks(content: object, place: str, kinds: Collection[str]) -> object:
    if not isinstance(content, list):
        return content
    return [_kept_block(block, f"{place}[{number}]", kinds) for number, block in enumerate(content)]


def _kept_block(block: object, place: str, kinds: Collection[str]) -> object:
    if not isinstance(block, dict):
        raise invalid(f"{place} should be an object with a type, not {describe(block)}", place)
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        known = ", ".join(kinds)
        raise invalid(
            f"{place} is of type {describe(kind)}, which is not supported by this release: send {known}",
            f"{place}.type",
        )
    kept = kept_fields(block, _BLOCKS[kind].model_fields, _BLOCK, f"{place}.", harmless=HARMLESS)
    if kind == "tool_result" and "content" in kept:
        kept["content"] = _kept_blocks(kept["content"], f"{place}.content", {"text"})
    return kept


def _kept_tool(tool: object, place: str) -> object:
    if not isinstance(tool, dict):
        return tool
    if tool.get("type", "custom") not in ("custom", None):
        raise invalid(
            f"{place} is of type {describe(tool['type'])}, a tool that Anthropic's servers run, which is not "
            "supported by this release: send tools that the client runs, with input_schema",
            f"{place}.type",
        )
    return kept_fields(tool, ToolBody.model_fields, _TOOL, f"{place}.", harmless=_TOOL_HARMLESS)
