"""What the HTTP API answers when it cannot do what was asked, in the shape of OpenAI's API."""

import math
from typing import Any

from meshinfer.errors import (
    ConfigError,
    DeadlineExceeded,
    MeshError,
    ModelError,
    NoRing,
    NoRoom,
    Overloaded,
    PromptTooLong,
    RequestError,
    RingBroken,
    StageFailed,
    UnknownModel,
    WrongModel,
)

NO_RING_RETRY_S = 5.0
"""A ring re-forms within seconds, unless a peer has to load weights."""


class ApiError(Exception):
    """A request that fails with an HTTP status and a text for whoever sent it.

    param: the field at fault, such as `messages[0].content`. retry_after_s: when to come back.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        """OpenAI's `type`: whose fault it is."""
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer carries besides the usual."""
        if self.retry_after_s is None:
            return {}
        return {"Retry-After": str(math.ceil(self.retry_after_s))}


def error_json(error: ApiError) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that would fail again in the same way."""
    return ApiError(400, message, param=param, code=code)


def from_mesh(error: MeshError, prompt_field: str = "messages") -> ApiError:
    """Say over HTTP what left the peer. prompt_field: what this endpoint calls the prompt."""
    text = str(error)
    match error:
        case PromptTooLong():
            return invalid(text, prompt_field, "context_length_exceeded")
        case WrongModel():
            return ApiError(404, text, param="model", code="model_not_found")
        case RequestError():
            return invalid(text, error.param)
        case NoRoom():
            return ApiError(503, text, code="no_room")
        case ModelError():
            return ApiError(404 if isinstance(error, UnknownModel) else 422, text, code="model_unusable")
        case ConfigError():
            return invalid(text)
        case NoRing():
            return ApiError(503, text, code="no_ring", retry_after_s=NO_RING_RETRY_S)
        case Overloaded():
            return ApiError(429, text, code="overloaded", retry_after_s=error.retry_after_s)
        case DeadlineExceeded():
            return ApiError(504, text, code="deadline_exceeded")
        case RingBroken():
            return ApiError(502, text, code="ring_broken")
        case StageFailed():
            return ApiError(500, text, code="stage_failed")
        case _:
            return ApiError(500, text)
