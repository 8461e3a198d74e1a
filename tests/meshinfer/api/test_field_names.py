import pytest

from meshinfer.api.field_names import as_sent
from meshinfer.errors import PromptTooLong, RequestError


@pytest.mark.parametrize(
    ("dialect", "param", "expected"),
    [
        ("ollama-chat", "enable_thinking", "think"),
        ("ollama-generate", "enable_thinking", "think"),
        ("ollama-chat", "reasoning_effort", "think"),
        ("messages", "enable_thinking", "thinking"),
        ("responses", "reasoning_effort", "reasoning.effort"),
    ],
)
def test_thinking_that_a_template_does_not_know_is_refused_as_it_was_asked_for(
    dialect: str, param: str, expected: str
) -> None:
    told = as_sent(RequestError(f"knows no option {param!r}", param), dialect)
    assert told.param == expected
    assert f"leave {expected} out" in str(told)
    assert param not in str(told)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("ollama-chat", "format"),
        ("ollama-generate", "format"),
        ("messages", "output_config.format"),
        ("responses", "text.format"),
    ],
)
def test_a_format_has_the_name_that_the_client_gave_it(dialect: str, expected: str) -> None:
    told = as_sent(RequestError("answers cannot be held to this", "response_format"), dialect)
    assert (str(told), told.param) == ("answers cannot be held to this", expected)


@pytest.mark.parametrize(
    ("dialect", "error"),
    [
        ("chat", RequestError("x", "response_format")),
        ("chat", RequestError("x", "reasoning_effort")),
        ("completion", RequestError("x", "top_logprobs")),
        ("responses", PromptTooLong("x", "messages")),
        ("ollama-chat", RequestError("x")),
    ],
)
def test_what_has_one_name_everywhere_stays_as_it_is(dialect: str, error: RequestError) -> None:
    assert as_sent(error, dialect) is error
