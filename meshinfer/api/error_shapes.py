"""Errors in the shape of the API that was asked: Anthropic's and Ollama's clients read their own."""

from starlette.requests import Request

from .anthropic_wording import anthropic_error
from .errors import ApiError, error_json
from .ollama_wording import ollama_error
from .wording import Json

_ANTHROPIC_PATHS = ("/v1/messages",)
_ANTHROPIC_HEADER = "anthropic-version"
_OLLAMA_PATHS = ("/api/",)


def shaped_error(request: Request, error: ApiError) -> Json:
    """The body of an error, as whoever asked expects it; OpenAI's where nothing says otherwise."""
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    if path.startswith(_ANTHROPIC_PATHS) or _ANTHROPIC_HEADER in request.headers:
        return anthropic_error(error)
    return ollama_error(error) if path.startswith(_OLLAMA_PATHS) else error_json(error)
