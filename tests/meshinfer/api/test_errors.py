import pytest

from meshinfer.api.errors import ApiError, error_json, from_mesh
from meshinfer.errors import (
    DeadlineExceeded,
    MeshError,
    NoRing,
    Overloaded,
    PromptTooLong,
    RequestError,
    RingBroken,
    StageFailed,
    WrongModel,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "param", "code"),
    [
        (RequestError("x", "stop"), 400, "invalid_request_error", "stop", None),
        (PromptTooLong("x", "messages"), 400, "invalid_request_error", "prompt", "context_length_exceeded"),
        (WrongModel("x", "model"), 404, "invalid_request_error", "model", "model_not_found"),
        (NoRing("x"), 503, "server_error", None, "no_ring"),
        (Overloaded("x"), 429, "rate_limit_error", None, "overloaded"),
        (DeadlineExceeded("x"), 504, "server_error", None, "deadline_exceeded"),
        (RingBroken("x"), 502, "server_error", None, "ring_broken"),
        (StageFailed("x"), 500, "server_error", None, "stage_failed"),
        (MeshError("x"), 500, "server_error", None, None),
    ],
)
def test_what_leaves_the_peer_has_a_status_and_a_code(
    error: MeshError, status: int, kind: str, param: str | None, code: str | None
) -> None:
    answer = from_mesh(error, "prompt")
    assert answer.status == status
    assert error_json(answer) == {"error": {"message": "x", "type": kind, "param": param, "code": code}}


def test_who_may_come_back_is_told_when_in_whole_seconds() -> None:
    assert from_mesh(Overloaded("x", retry_after_s=0.2)).headers == {"Retry-After": "1"}
    assert from_mesh(RequestError("x")).headers == {}
    assert ApiError(503, "x", retry_after_s=1.5).headers == {"Retry-After": "2"}
