"""The JSON that clients of Anthropic's Messages API send, as far as this release honours it.

What is known but not honoured stands in `anthropic_refusals.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from .openai_request import Stops
from .reading import TAG, Body
from .values import MAX_TOKEN_ID


def _kind(block: object) -> str:
    kind = block.get("type") if isinstance(block, dict) else getattr(block, "type", None)
    return f"{TAG}{kind}"


def _read_blocks(content: object) -> object:
    """A bare text is one block of it."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class TextBlock(Body):
    """A text."""

    type: Literal["text"]
    text: str


class ThinkingBlock(Body):
    """What the model thought in an earlier answer. signature: of Anthropic; nothing depends on it here."""

    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Body):
    """What a model of Anthropic thought, sealed: nobody else can read it, and it is left out."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Body):
    """The model called a tool in an earlier answer."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    input: dict[str, Any]


Texts = Annotated[
    list[TextBlock], BeforeValidator(_read_blocks, json_schema_input_type=str | list[TextBlock])
]


class ToolResultBlock(Body):
    """What a tool gave back. is_error: it failed, and the model is told so."""

    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(min_length=1)]
    content: Annotated[Texts, Field(default_factory=list)]
    is_error: bool | None = None


Block = Annotated[
    Annotated[TextBlock, Tag(f"{TAG}text")]
    | Annotated[ThinkingBlock, Tag(f"{TAG}thinking")]
    | Annotated[RedactedThinkingBlock, Tag(f"{TAG}redacted_thinking")]
    | Annotated[ToolUseBlock, Tag(f"{TAG}tool_use")]
    | Annotated[ToolResultBlock, Tag(f"{TAG}tool_result")],
    Discriminator(_kind),
]
Blocks = Annotated[
    list[Block],
    Field(min_length=1),
    BeforeValidator(_read_blocks, json_schema_input_type=str | list[Block]),
]


class MessageBody(Body):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: Blocks


class ToolBody(Body):
    """A tool that the model may call. strict: its arguments must fit input_schema."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class ToolChoiceBody(Body):
    """How the model may use the tools. name: of the one to call, where the type is tool."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingBody(Body):
    """Whether the model thinks before it answers.

    budget_tokens: must leave the answer's own limit as the only one: max_tokens - 1 at least. display:
    omitted leaves what it thought out of the answer.
    """

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class JsonFormat(Body):
    """The whole answer is JSON that fits a schema."""

    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Body):
    """effort: how much the model thinks, where its template knows such a thing."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Edit(Body):
    """What should be taken out of a long conversation. Nothing ever is, and the answer says so."""

    model_config = ConfigDict(extra="allow")

    type: Literal["clear_tool_uses_20250919", "clear_thinking_20251015"]


class ContextManagement(Body):
    """What should be done where a conversation grows long."""

    edits: list[Edit] | None = None


class CountBody(Body):
    """The body of `POST /v1/messages/count_tokens`."""

    model: str | None = None
    messages: Annotated[list[MessageBody], Field(min_length=1)]
    system: Texts | None = None
    tools: list[ToolBody] | None = None
    tool_choice: ToolChoiceBody | None = None
    thinking: ThinkingBody | None = None
    output_config: OutputConfig | None = None
    context_management: ContextManagement | None = None


class MessagesBody(CountBody):
    """The body of `POST /v1/messages`."""

    max_tokens: Annotated[int, Field(ge=1)]
    stop_sequences: Stops = ()
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)] | None = None
