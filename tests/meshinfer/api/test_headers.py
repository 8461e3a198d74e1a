import pytest
from starlette.datastructures import Headers

from meshinfer.api.errors import ApiError
from meshinfer.api.headers import read_timeout


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, None), ({"x-request-timeout": "5"}, 5.0), ({"x-request-timeout": "0.5"}, 0.5)],
)
def test_a_timeout_is_a_number_of_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert read_timeout(Headers(headers)) == seconds


@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "soon", "nan", "inf", "1e9", "٣", "5s", "9" * 400])
def test_a_timeout_that_is_no_number_above_0_is_refused_by_name(text: str) -> None:
    with pytest.raises(ApiError, match="X-Request-Timeout should be a number of seconds above 0") as refused:
        read_timeout({"X-Request-Timeout": text})
    assert (refused.value.status, refused.value.param) == (400, "X-Request-Timeout")
