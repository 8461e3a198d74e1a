"""The JSON that clients of Ollama's API send, as far as this release honours it.

What is known but not honoured stands in `ollama_refusals.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .reading import Body
from .values import MAX_TOKEN_ID, read_stops

Stops = Annotated[tuple[str, ...], BeforeValidator(read_stops, json_schema_input_type=str | list[str] | None)]
Number = Annotated[float, Field(ge=-2, le=2)]


class Options(Body):
    """How an answer is sampled, over Ollama's defaults.

    num_predict: -1 and -2 take what the model's context has room for. repeat_last_n: how far back
    repeat_penalty looks; 0 is off, -1 is as far as the context reaches.
    """

    num_predict: Annotated[int, Field(ge=-2, le=MAX_TOKEN_ID)] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_k: Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Stops = ()
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=MAX_TOKEN_ID)] | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None


class OllamaCalledFunction(Body):
    """What an earlier answer called. index: its place among the calls of that answer."""

    name: Annotated[str, Field(min_length=1)]
    arguments: Annotated[dict[str, Any], Field(default_factory=dict)]
    description: str | None = None
    index: int | None = None


class OllamaToolCall(Body):
    """A call of an earlier answer."""

    id: str | None = None
    type: Literal["function"] | None = None
    function: OllamaCalledFunction


class OllamaMessage(Body):
    """One message of a chat. tool_name: of the tool that gave this back."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[OllamaToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class OllamaFunction(Body):
    """A function that the model may call. parameters: the JSON schema of its arguments."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class OllamaTool(Body):
    """A tool that the model may call."""

    type: Literal["function"] | None = None
    function: OllamaFunction


class _Question(Body):
    """What chats and generated texts have in common. format: json, or a JSON schema."""

    model: Annotated[str, Field(min_length=1)]
    stream: bool | None = None
    format: Literal["", "json"] | dict[str, Any] | None = None
    options: Options | None = None
    think: bool | Literal["low", "medium", "high"] | None = None


class OllamaChatBody(_Question):
    """The body of `POST /api/chat`. Without messages it asks whether the model is loaded."""

    messages: list[OllamaMessage] | None = None
    tools: list[OllamaTool] | None = None


class GenerateBody(_Question):
    """The body of `POST /api/generate`. Without a prompt it asks whether the model is loaded.

    raw: the prompt goes to the model as it is, without its chat template.
    """

    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None


class ShowBody(Body):
    """The body of `POST /api/show`. name: what older clients call the model."""

    model: str | None = None
    name: str | None = None
