import pytest
from starlette.requests import Request

from meshinfer.api.error_shapes import shaped_error
from meshinfer.api.errors import ApiError

ERROR = ApiError(404, "no such model", param="model", code="model_not_found")
OPENAI = {
    "error": {
        "message": "no such model",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
}
ANTHROPIC = {"type": "error", "error": {"type": "not_found_error", "message": "no such model"}}
OLLAMA = {"error": "no such model"}


def request(path: str, root: str = "", header: str = "x") -> Request:
    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": root + path,
            "root_path": root,
            "query_string": b"",
            "headers": [(header.encode(), b"1"), (b"host", b"app")],
        }
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("/v1/chat/completions"), OPENAI),
        (request("/v1/responses"), OPENAI),
        (request("/nothing"), OPENAI),
        (request("/apivery"), OPENAI),
        (request("/v1/messages"), ANTHROPIC),
        (request("/v1/messages/count_tokens"), ANTHROPIC),
        (request("/v1/models", header="anthropic-version"), ANTHROPIC),
        (request("/api/chat"), OLLAMA),
        (request("/api/nothing"), OLLAMA),
        (request("/api/chat", root="/llm"), OLLAMA),
        (request("/v1/models", root="/api/llm"), OPENAI),
    ],
)
def test_an_error_has_the_shape_of_the_api_that_was_asked(asked: Request, expected: object) -> None:
    assert shaped_error(asked, ERROR) == expected
