"""From the bytes of a request to a question: checks everything that can be checked without a model."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from meshinfer.messages import Sampling

from .errors import ApiError, invalid
from .openai_request import ChatBody, ChatMessage, CompletionBody, QuestionBody
from .question import Endpoint, Question
from .refusals import CHAT, COMPLETION, MESSAGE, kept_fields
from .values import describe

B = TypeVar("B", bound=BaseModel)

_RULES = {
    "bool_type": "should be true or false",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "list_type": "should be an array",
    "model_type": "should be an object",
    "string_type": "should be a string",
}
"""JSON's words instead of pydantic's, by the type of its finding; the others are clear enough."""


def chat_question(body: bytes) -> Question:
    """Read the body of `POST /v1/chat/completions`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    fields = kept_fields(_json_object(body), ChatBody.model_fields, CHAT)
    if isinstance(messages := fields.get("messages"), list):
        fields["messages"] = [_kept_message(number, message) for number, message in enumerate(messages)]
    chat = _validated(ChatBody, fields)
    prompt = tuple(_message(message) for message in chat.messages)
    return _question(Endpoint.CHAT, chat, prompt, _answer_length(chat))


def completion_question(body: bytes) -> Question:
    """Read the body of `POST /v1/completions`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    fields = kept_fields(_json_object(body), CompletionBody.model_fields, COMPLETION)
    completion = _validated(CompletionBody, fields)
    return _question(Endpoint.COMPLETION, completion, completion.prompt, completion.max_tokens)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = from_json(body)
    except ValueError as error:
        raise invalid(f"the body is no valid JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise invalid(f"the body should be a JSON object, not {describe(value)}")
    return value


def _kept_message(number: int, message: object) -> object:
    if not isinstance(message, dict):
        return message
    return kept_fields(message, ChatMessage.model_fields, MESSAGE, f"messages[{number}].")


def _validated(model: type[B], fields: dict[str, Any]) -> B:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)[0]) from error


def _refusal(error: ErrorDetails) -> ApiError:
    """Say what one finding of pydantic means, in our words; only short values are repeated."""
    param = _path(error["loc"])
    match error["type"]:
        case "missing":
            return invalid(f"{param} is missing", param, "missing_required_parameter")
        case "extra_forbidden":
            return invalid(f"{param} is not a known field", param, "unknown_parameter")
        case "too_short":
            return invalid(f"{param} is empty: give at least one", param)
        case "value_error":
            reason = str(error.get("ctx", {}).get("error", ""))
            joint = "" if reason.startswith("[") else " "
            return invalid(f"{param}{joint}{reason}", param)
        case kind:
            rule = _RULES.get(kind) or error["msg"].removeprefix("Input ")
            return invalid(f"{param} {rule}, not {describe(error['input'])}", param)


def _path(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _message(message: ChatMessage) -> dict[str, str]:
    # Chat templates know the older name.
    role = "system" if message.role == "developer" else message.role
    extra = {"name": message.name, "tool_call_id": message.tool_call_id}
    given = {name: value for name, value in extra.items() if value is not None}
    return {"role": role, "content": message.content, **given}


def _answer_length(chat: ChatBody) -> int | None:
    newer, older = chat.max_completion_tokens, chat.max_tokens
    if newer is not None and older is not None and newer != older:
        raise invalid(
            f"max_completion_tokens is {describe(newer)}, max_tokens is {describe(older)}: give one of them",
            "max_completion_tokens",
        )
    return newer if newer is not None else older


def _question(endpoint: Endpoint, body: QuestionBody, prompt: Any, max_tokens: int | None) -> Question:
    options = body.stream_options
    if options is not None and not body.stream:
        raise invalid("stream_options is only allowed when stream is true", "stream_options")
    return Question(
        endpoint=endpoint,
        prompt=prompt,
        model=body.model,
        max_tokens=max_tokens,
        sampling=_sampling(body),
        stop=body.stop,
        is_seeded=body.seed is not None,
        ignores_stops=bool(body.ignore_eos),
        is_streamed=bool(body.stream),
        has_usage=options is not None and bool(options.include_usage),
    )


def _sampling(body: QuestionBody) -> Sampling:
    """What the client set, over OpenAI's defaults: temperature 1, everything else off."""
    return Sampling(
        temperature=_or(body.temperature, 1.0),
        top_p=_or(body.top_p, 1.0),
        top_k=body.top_k or 0,
        min_p=_or(body.min_p, 0.0),
        repetition_penalty=_or(body.repetition_penalty, 1.0),
        presence_penalty=_or(body.presence_penalty, 0.0),
        frequency_penalty=_or(body.frequency_penalty, 0.0),
        logit_bias=body.logit_bias,
        seed=body.seed or 0,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)
