"""The JSON that clients of OpenAI's Responses API send, as far as this release honours it.

What is known but not honoured stands in `responses_refusals.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from meshinfer.messages import MAX_TOP_LOGPROBS

from .reading import TAG, Body


def _item_kind(item: object) -> str:
    """Messages may leave their type out."""
    if isinstance(item, dict):
        return f"{TAG}{item.get('type', 'message')}"
    return f"{TAG}{getattr(item, 'type', None) or 'message'}"


def _read_texts(content: object) -> object:
    """A bare text is one part of it."""
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


def _read_input(value: object) -> object:
    """A bare text is a message of the user."""
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class TextPart(Body):
    """A text, of whoever the message is from."""

    type: Literal["input_text", "output_text"]
    text: str


class ReasoningPart(Body):
    """What a model thought."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


Texts = Annotated[list[TextPart], BeforeValidator(_read_texts, json_schema_input_type=str | list[TextPart])]


class MessageItem(Body):
    """One turn of a conversation."""

    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Texts


class FunctionCallItem(Body):
    """The model called a tool in an earlier answer. arguments: JSON of an object."""

    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    arguments: str


class FunctionCallOutputItem(Body):
    """What a tool gave back."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: Texts


class ReasoningItem(Body):
    """What the model thought in an earlier answer; summaries are left out."""

    type: Literal["reasoning"]
    summary: Annotated[list[ReasoningPart], Field(default_factory=list)]
    content: list[ReasoningPart] | None = None


InputItem = Annotated[
    Annotated[MessageItem, Tag(f"{TAG}message")]
    | Annotated[FunctionCallItem, Tag(f"{TAG}function_call")]
    | Annotated[FunctionCallOutputItem, Tag(f"{TAG}function_call_output")]
    | Annotated[ReasoningItem, Tag(f"{TAG}reasoning")],
    Discriminator(_item_kind),
]
Input = Annotated[
    list[InputItem],
    Field(min_length=1),
    BeforeValidator(_read_input, json_schema_input_type=str | list[InputItem]),
]


class ResponsesTool(Body):
    """A tool that the model may call. strict: its arguments must fit parameters."""

    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponsesToolName(Body):
    """The one tool to call."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1)]


class TextFormat(Body):
    """The answer is whatever it is."""

    type: Literal["text"]


class ObjectFormat(Body):
    """The answer is a JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Body):
    """The answer is JSON that fits a schema, whether strict is said or not."""

    type: Literal["json_schema"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


def _format_kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"{TAG}{kind}"


Format = Annotated[
    Annotated[TextFormat, Tag(f"{TAG}text")]
    | Annotated[ObjectFormat, Tag(f"{TAG}json_object")]
    | Annotated[SchemaFormat, Tag(f"{TAG}json_schema")],
    Discriminator(
        _format_kind,
        custom_error_type="format_type",
        custom_error_message="should be of type text, json_object or json_schema",
    ),
]


class TextConfig(Body):
    """What the answer's text looks like. verbosity: nothing but its default is supported."""

    format: Format | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningConfig(Body):
    """effort: how much the model thinks, where its template knows such a thing. summary: there is none."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Literal["auto"] | None = None


class ResponsesStreamOptions(Body):
    """Nothing is padded."""

    include_obfuscation: Literal[False] | None = None


class ResponsesBody(Body):
    """The body of `POST /v1/responses`. null stands for the default everywhere."""

    model: str | None = None
    input: Input
    instructions: str | None = None
    tools: list[ResponsesTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponsesToolName | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    stream_options: ResponsesStreamOptions | None = None
