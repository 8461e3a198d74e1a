"""What each route takes and gives, in the words of the OpenAPI document: one row a route.

A test holds that every route has a row. Bodies are the very types that read them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from . import anthropic_refusals, ollama_refusals, responses_refusals, tokenize_request
from .anthropic_request import CountBody, MessagesBody
from .mesh_requests import DrainBody, KeyBody, LoadBody, PlanBody, UnloadBody
from .ollama_request import GenerateBody, OllamaChatBody, Options, ShowBody
from .openai_request import ChatBody, CompletionBody
from .refusals import CHAT, COMPLETION, HARMLESS, Refusals
from .responses_request import ResponsesBody
from .tokenize_request import DetokenizeBody, TokenizeBody
from .wording import Json

BESIDES: dict[type[BaseModel], tuple[Refusals, frozenset[str]]] = {
    ChatBody: (CHAT, HARMLESS),
    CompletionBody: (COMPLETION, HARMLESS),
    ResponsesBody: (responses_refusals.RESPONSES, responses_refusals.RESPONSES_HARMLESS),
    MessagesBody: (anthropic_refusals.REFUSED, anthropic_refusals.HARMLESS),
    CountBody: (anthropic_refusals.REFUSED, anthropic_refusals.HARMLESS),
    OllamaChatBody: (ollama_refusals.REFUSED, ollama_refusals.HARMLESS),
    GenerateBody: (ollama_refusals.REFUSED_OF_TEXTS, ollama_refusals.HARMLESS),
    ShowBody: (ollama_refusals.REFUSED_OF_SHOWN, ollama_refusals.HARMLESS),
    Options: (ollama_refusals.OPTIONS, ollama_refusals.OPTIONS_HARMLESS),
    TokenizeBody: (tokenize_request.REFUSED, frozenset()),
}
"""Fields that a body may hold beside those of its type: refused but for some values, and harmless ones."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. responses: by status, as in the document. headers: parameters in headers."""

    tag: str
    summary: str
    body: type[BaseModel] | None
    responses: Json
    headers: tuple[Json, ...] = field(default=())


_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_MAYBE_TEXT: Json = {"type": ["string", "null"]}


def _object(**fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _always(value: str) -> Json:
    return {"type": "string", "const": value}


_WHY = {
    400: "The request cannot be used as it is; the text names the field.",
    403: "Only somebody at the peer's own machine may ask this.",
    404: "There is no such model.",
    408: "The body did not come in time.",
    409: "The peer cannot do this now.",
    413: "The body is too long.",
    415: "The body is no JSON, by its header.",
    422: "It was understood, and cannot be done: the text says why.",
    429: "Too many requests wait; Retry-After says when to come back.",
    500: "This peer, or a stage, failed.",
    502: "The ring broke, and no other took over in time.",
    503: "No live ring serves the model, or this peer is stopping.",
    504: "The answer was not whole in time.",
}
_BODY_ERRORS = (400, 404, 408, 413, 415)
_MODEL_ERRORS = (*_BODY_ERRORS, 500, 503, 504)
_ANSWER_ERRORS = (*_BODY_ERRORS, 422, 429, 500, 502, 503, 504)

_OPENAI_ERROR = _object(error=_object(message=_TEXT, type=_TEXT, param=_MAYBE_TEXT, code=_MAYBE_TEXT))
_ANTHROPIC_ERROR = _object(type=_always("error"), error=_object(type=_TEXT, message=_TEXT))
_OLLAMA_ERROR = _object(error=_TEXT)

_TIMEOUT_HEADER: Json = {
    "name": "X-Request-Timeout",
    "in": "header",
    "description": "Within how many seconds the whole answer is wanted.",
    "schema": {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?$"},
}
_ANSWER_HEADERS: tuple[Json, ...] = (
    _TIMEOUT_HEADER,
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body give the same answer, computed once.",
        "schema": {"type": "string", "pattern": r"^[!-~]([ -~]{0,253}[!-~])?$"},
    },
)


def _responses(
    what: str, schema: Json, errors: Iterable[int], error: Json, *, stream: str = "", status: int = 200
) -> Json:
    """What a route answers. stream: the media type of its stream, where it has one."""
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if stream:
        content[stream] = {"schema": _TEXT}
    failures = {
        str(each): {"description": _WHY[each], "content": {"application/json": {"schema": error}}}
        for each in errors
    }
    return {str(status): {"description": what, "content": content}, **failures}


def _text(what: str, media_type: str, errors: Iterable[int]) -> Json:
    """What a route answers that has no JSON but for errors."""
    answers = _responses(what, _TEXT, errors, _OPENAI_ERROR)
    return {**answers, "200": {"description": what, "content": {media_type: {"schema": _TEXT}}}}


_SSE, _LINES = "text/event-stream", "application/x-ndjson"

_USAGE = _object(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)
_OPENAI_HEAD: Json = {"id": _TEXT, "object": _TEXT, "created": _COUNT, "model": _TEXT}
_CHAT_CHOICE = _object(index=_COUNT, message=_object(role=_always("assistant")), finish_reason=_TEXT)
_TEXT_CHOICE = _object(index=_COUNT, text=_TEXT, finish_reason=_TEXT)
_MODEL = _object(id=_TEXT, object=_always("model"), created=_COUNT, owned_by=_TEXT, is_loaded=_FLAG)

_MESSAGE = _object(
    id=_TEXT,
    type=_always("message"),
    role=_always("assistant"),
    model=_TEXT,
    content=_list(_object(type={"enum": ["text", "thinking", "tool_use"]})),
    stop_reason={
        "enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]
    },
    stop_sequence=_MAYBE_TEXT,
    usage=_object(input_tokens=_COUNT, output_tokens=_COUNT, cache_read_input_tokens=_COUNT),
)
_RESPONSE = _object(
    id=_TEXT,
    object=_always("response"),
    created_at=_COUNT,
    status={"enum": ["completed", "incomplete"]},
    model=_TEXT,
    output=_list(_object(id=_TEXT, type={"enum": ["message", "reasoning", "function_call"]}, status=_TEXT)),
    usage=_object(input_tokens=_COUNT, output_tokens=_COUNT, total_tokens=_COUNT),
    store={"type": "boolean", "const": False},
)
_DETAILS = _object(format=_TEXT, family=_TEXT, families=_list(_TEXT), quantization_level=_TEXT)
_OLLAMA_MODEL = _object(
    name=_TEXT, model=_TEXT, modified_at=_TEXT, size=_COUNT, digest=_TEXT, details=_DETAILS
)
_HEALTH: Json = {"enum": ["ok", "waiting", "leaving"]}
_OLLAMA_END: Json = {"model": _TEXT, "created_at": _TEXT, "done": _FLAG, "done_reason": _TEXT}

_OPENAI, _ANTHROPIC, _OLLAMA, _TOKENS, _MESH = (
    "OpenAI's API",
    "Anthropic's API",
    "Ollama's API",
    "Tokens",
    "The mesh",
)

OPERATIONS: dict[str, Operation] = {
    "POST /v1/chat/completions": Operation(
        _OPENAI,
        "Answer a chat",
        ChatBody,
        _responses(
            "The answer, or its chunks.",
            _object(**_OPENAI_HEAD, choices=_list(_CHAT_CHOICE), usage=_USAGE),
            _ANSWER_ERRORS,
            _OPENAI_ERROR,
            stream=_SSE,
        ),
        _ANSWER_HEADERS,
    ),
    "POST /v1/completions": Operation(
        _OPENAI,
        "Complete a text",
        CompletionBody,
        _responses(
            "The answer, or its chunks.",
            _object(**_OPENAI_HEAD, choices=_list(_TEXT_CHOICE), usage=_USAGE),
            _ANSWER_ERRORS,
            _OPENAI_ERROR,
            stream=_SSE,
        ),
        _ANSWER_HEADERS,
    ),
    "POST /v1/responses": Operation(
        _OPENAI,
        "Answer, as items; nothing is stored",
        ResponsesBody,
        _responses("The response, or its events.", _RESPONSE, _ANSWER_ERRORS, _OPENAI_ERROR, stream=_SSE),
        _ANSWER_HEADERS,
    ),
    "GET /v1/models": Operation(
        _OPENAI,
        "What the mesh runs, and what lies on its disks",
        None,
        _responses("All models.", _object(object=_always("list"), data=_list(_MODEL)), (), _OPENAI_ERROR),
    ),
    "GET /v1/models/{name}": Operation(
        _OPENAI, "One of them", None, _responses("The model.", _MODEL, (404,), _OPENAI_ERROR)
    ),
    "POST /v1/messages": Operation(
        _ANTHROPIC,
        "Answer a conversation",
        MessagesBody,
        _responses("The message, or its events.", _MESSAGE, _ANSWER_ERRORS, _ANTHROPIC_ERROR, stream=_SSE),
        _ANSWER_HEADERS,
    ),
    "POST /v1/messages/count_tokens": Operation(
        _ANTHROPIC,
        "How many tokens a conversation is",
        CountBody,
        _responses("Their number.", _object(input_tokens=_COUNT), _MODEL_ERRORS, _ANTHROPIC_ERROR),
        (_TIMEOUT_HEADER,),
    ),
    "POST /api/chat": Operation(
        _OLLAMA,
        "Answer a chat",
        OllamaChatBody,
        _responses(
            "The answer, or its lines.",
            _object(**_OLLAMA_END, message=_object(role=_always("assistant"), content=_TEXT)),
            _ANSWER_ERRORS,
            _OLLAMA_ERROR,
            stream=_LINES,
        ),
        _ANSWER_HEADERS,
    ),
    "POST /api/generate": Operation(
        _OLLAMA,
        "Answer a prompt",
        GenerateBody,
        _responses(
            "The answer, or its lines.",
            _object(**_OLLAMA_END, response=_TEXT),
            _ANSWER_ERRORS,
            _OLLAMA_ERROR,
            stream=_LINES,
        ),
        _ANSWER_HEADERS,
    ),
    "GET /api/tags": Operation(
        _OLLAMA,
        "What the mesh runs, and what lies on its disks",
        None,
        _responses("All models.", _object(models=_list(_OLLAMA_MODEL)), (), _OLLAMA_ERROR),
    ),
    "GET /api/ps": Operation(
        _OLLAMA,
        "What live rings serve",
        None,
        _responses("Loaded models.", _object(models=_list(_OLLAMA_MODEL)), (), _OLLAMA_ERROR),
    ),
    "GET /api/version": Operation(
        _OLLAMA,
        "Which release of Ollama's API this is, and which of meshinfer",
        None,
        _responses("Both.", _object(version=_TEXT, meshinfer=_TEXT), (), _OLLAMA_ERROR),
    ),
    "POST /api/show": Operation(
        _OLLAMA,
        "What is known of a model",
        ShowBody,
        _responses(
            "The model.",
            _object(details=_DETAILS, model_info={"type": "object"}, capabilities=_list(_TEXT)),
            _BODY_ERRORS,
            _OLLAMA_ERROR,
        ),
    ),
    "POST /tokenize": Operation(
        _TOKENS,
        "The tokens of a prompt, or of a chat in its model's template",
        TokenizeBody,
        _responses(
            "The tokens.",
            _object(
                count=_COUNT,
                max_model_len=_COUNT,
                tokens=_list(_COUNT),
                token_strs={"type": ["array", "null"], "items": _TEXT},
            ),
            _MODEL_ERRORS,
            _OPENAI_ERROR,
        ),
        (_TIMEOUT_HEADER,),
    ),
    "POST /detokenize": Operation(
        _TOKENS,
        "The text of tokens",
        DetokenizeBody,
        _responses("The text.", _object(prompt=_TEXT), _MODEL_ERRORS, _OPENAI_ERROR),
        (_TIMEOUT_HEADER,),
    ),
    "GET /health": Operation(
        _MESH,
        "Whether this peer can answer, and how much it has to do",
        None,
        {
            status: {
                "description": what,
                "content": {"application/json": {"schema": _object(status=_HEALTH, peer=_TEXT, name=_TEXT)}},
            }
            for status, what in (("200", "It can."), ("503", "It cannot; `reason` says why."))
        },
    ),
    "HEAD /health": Operation(
        _MESH,
        "Whether this peer can answer",
        None,
        {"200": {"description": "It can."}, "503": {"description": "It cannot."}},
    ),
    "GET /mesh": Operation(
        _MESH,
        "What all peers see alike: plan, epoch, rings and members",
        None,
        _responses("The mesh.", _object(mesh=_TEXT, members={"type": "array"}), (), _OPENAI_ERROR),
    ),
    "POST /mesh/leave": Operation(
        _MESH,
        "Have this peer finish its answers and leave",
        None,
        _responses(
            "It leaves.",
            _object(status=_always("leaving"), peer=_TEXT, name=_TEXT),
            (403, 409),
            _OPENAI_ERROR,
            status=202,
        ),
    ),
    "GET /mesh/events": Operation(
        _MESH,
        "What happens in the mesh, to its requests, and how much there is to do, as it happens",
        None,
        _text("Events, without an end.", _SSE, (429, 503)),
    ),
    "GET /mesh/why": Operation(
        _MESH,
        "Why a ring is as it is, and what would change it",
        None,
        _responses("The reasons.", {"type": "object"}, (404, 429, 503), _OPENAI_ERROR),
    ),
    "GET /mesh/trace/{request}": Operation(
        _MESH,
        "Where a request's time went",
        None,
        _responses("Its spans.", _object(request=_TEXT, spans={"type": "array"}), (404,), _OPENAI_ERROR),
    ),
    "GET /metrics": Operation(
        _MESH, "This peer's numbers, for Prometheus", None, _text("The numbers.", "text/plain", ())
    ),
    "POST /mesh/plan": Operation(
        _MESH,
        "What a model would ask of this mesh",
        PlanBody,
        _responses(
            "The plan; `fits` tells whether there is one.",
            {"type": "object"},
            (400, 403, 404, 408, 413, 415, 422, 503),
            _OPENAI_ERROR,
        ),
    ),
    "POST /mesh/drain": Operation(
        _MESH,
        "Have this peer hand its layers to others, or hold some again",
        DrainBody,
        _responses(
            "It does.",
            _object(status={"enum": ["draining", "undrained"]}, peer=_TEXT, name=_TEXT),
            (400, 403, 408, 413, 415),
            _OPENAI_ERROR,
            status=202,
        ),
    ),
    "GET /mesh/key": Operation(
        _MESH,
        "How the mesh's key, and a change of it, is: by labels",
        None,
        _responses("Its state.", _object(mesh=_TEXT, peer=_TEXT, name=_TEXT), (), _OPENAI_ERROR),
    ),
    "POST /mesh/key": Operation(
        _MESH,
        "Begin to change the mesh's key, or forget the former one",
        KeyBody,
        _responses(
            "It does.",
            _object(mesh=_TEXT, peer=_TEXT, name=_TEXT, label=_TEXT),
            (400, 403, 408, 409, 413, 415),
            _OPENAI_ERROR,
            status=202,
        ),
    ),
    "POST /mesh/models/load": Operation(
        _MESH,
        "Have the mesh run one more model",
        LoadBody,
        _responses(
            "It answers; with `stream`, what goes on until then, a line each.",
            _object(status=_TEXT, model=_TEXT),
            (400, 403, 404, 408, 413, 415, 422, 503),
            _OPENAI_ERROR,
            stream=_LINES,
        )
        | {
            "202": {
                "description": "It is being loaded, and `wait` was false.",
                "content": {"application/json": {"schema": _object(status=_TEXT, model=_TEXT)}},
            }
        },
    ),
    "POST /mesh/models/unload": Operation(
        _MESH,
        "Have the mesh run a model no longer",
        UnloadBody,
        _responses(
            "It is unloaded.",
            _object(status=_always("unloaded"), model=_TEXT),
            (400, 403, 404, 408, 413, 415),
            _OPENAI_ERROR,
        ),
    ),
}
