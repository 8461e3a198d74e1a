"""The JSON that clients of OpenAI's API send, as far as this release honours it.

What is known but not honoured stands in `refusals.py`. What each field is for stands in `docs/api.md`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from meshinfer.messages import MAX_TOP_LOGPROBS

from .openai_format import ResponseFormat
from .openai_messages import ChatMessage
from .openai_tools import ToolChoiceBody, Tools
from .reading import Body
from .values import MAX_TOKEN_ID, read_biases, read_prompts, read_stops

Stops = Annotated[tuple[str, ...], BeforeValidator(read_stops, json_schema_input_type=str | list[str] | None)]
Biases = Annotated[
    tuple[tuple[int, float], ...],
    BeforeValidator(read_biases, json_schema_input_type=dict[str, float] | None),
]
Prompts = Annotated[
    tuple[str | tuple[int, ...], ...],
    BeforeValidator(read_prompts, json_schema_input_type=str | list[str] | list[int] | list[list[int]]),
]

AnswerLength = Annotated[int, Field(ge=1)]
Choices = Annotated[int, Field(ge=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
TopLogprobs = Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)]


class StreamOptions(Body):
    """include_usage: the last chunk carries token counts."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class QuestionBody(Body):
    """What both endpoints take. null stands for the default everywhere.

    ignore_eos: not OpenAI's, but what other servers call it: the model's stop tokens end nothing.
    """

    model: str | None = None
    n: Choices | None = None
    max_tokens: AnswerLength | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Biases = ()
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Stops = ()
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class ChatBody(QuestionBody):
    """The body of `POST /v1/chat/completions`.

    chat_template_kwargs: not OpenAI's, but what other servers call it: options of the model's chat template.
    """

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: AnswerLength | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    response_format: ResponseFormat | None = None
    tools: Tools | None = None
    tool_choice: ToolChoiceBody | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionBody(QuestionBody):
    """The body of `POST /v1/completions`."""

    prompt: Prompts
    best_of: Choices | None = None
    echo: bool | None = None
    logprobs: TopLogprobs | None = None
