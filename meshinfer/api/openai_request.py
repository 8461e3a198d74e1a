"""The JSON that clients of OpenAI's API send, as far as this release honours it.

Strict: a number in quotes is no number. What is known but not honoured stands in `refusals.py`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from .values import MAX_TOKEN_ID, read_biases, read_prompt, read_stops, read_text

Text = Annotated[str, BeforeValidator(read_text)]
Stops = Annotated[tuple[str, ...], BeforeValidator(read_stops)]
Biases = Annotated[tuple[tuple[int, float], ...], BeforeValidator(read_biases)]
CompletionPrompt = Annotated[str | tuple[int, ...], BeforeValidator(read_prompt)]

AnswerLength = Annotated[int, Field(ge=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ChatMessage(_Body):
    """One message of a chat, as the model's chat template takes it."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text
    name: str | None = None
    tool_call_id: str | None = None


class StreamOptions(_Body):
    """include_usage: the last chunk carries token counts."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class QuestionBody(_Body):
    """What both endpoints take. null stands for the default everywhere.

    ignore_eos: not OpenAI's, but what other servers call it: the model's stop tokens end nothing.
    """

    model: str | None = None
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
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: AnswerLength | None = None


class CompletionBody(QuestionBody):
    """The body of `POST /v1/completions`."""

    prompt: CompletionPrompt
