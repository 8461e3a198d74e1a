import json
from pathlib import Path

import pytest

from meshinfer.model.base import ModelFiles
from meshinfer.model.language import Markers, Tokenizer
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import make_templated_model

QWEN = "{{ messages }}{% for tool_call in [] %}<tool_call>{{ tool_call.name }}{% endfor %}"
QWEN_CODER = "{{ messages }}<tool_call>\n<function=x>"
MISTRAL = "{{ messages }}[TOOL_CALLS]"
TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}},
}
NO_CALLS = [
    "",
    "add(1)",
    "[]x",
    "7",
    '["add"]',
    '{"arguments": {}}',
    '{"name": 7}',
    '{"name": "add", "arguments": [1]}',
    '{"name": "add", "arguments": "no JSON"}',
    '{"name": "add", "arguments": {"a": NaN}}',
    "[" * 99_999,
]


def tokenizer_with(path: Path, template: str, *added: str) -> Tokenizer:
    make_templated_model(path, template, *added)
    return load_tokenizer(ModelFiles("tiny", f"dir:{path}", path))


def test_a_model_without_either_has_no_markers(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(tmp_path, "{{ messages }}")
    assert tokenizer.markers == Markers()
    with pytest.raises(ValueError, match="no format for tool calls"):
        tokenizer.parse_call('{"name": "add"}', [])


def test_markers_are_those_of_the_models_format(tmp_path: Path) -> None:
    assert tokenizer_with(tmp_path / "one", QWEN).markers == Markers("", "", "<tool_call>", "</tool_call>")
    assert tokenizer_with(tmp_path / "two", MISTRAL).markers == Markers("", "", "[TOOL_CALLS]", "")
    thinking = tokenizer_with(tmp_path / "three", QWEN, "<think>", "</think>")
    assert thinking.markers == Markers("<think>", "</think>", "<tool_call>", "</tool_call>")


@pytest.mark.parametrize(
    ("template", "text", "calls"),
    [
        (QWEN, '\n{"name": "add", "arguments": {"a": 1, "é": []}}\n', [("add", {"a": 1, "é": []})]),
        (QWEN, '{"name": "add"}', [("add", {})]),
        (QWEN, '{"name": "add", "arguments": "{\\"a\\": 1}"}', [("add", {"a": 1})]),
        (MISTRAL, 'add[ARGS]{"a": 1}sub[ARGS]{}', [("add", {"a": 1}), ("sub", {})]),
        (QWEN_CODER, "<function=add>\n<parameter=a>\n7\n</parameter>\n</function>", [("add", {"a": 7})]),
    ],
)
def test_calls_are_read_in_the_models_format(
    tmp_path: Path, template: str, text: str, calls: list[tuple[str, object]]
) -> None:
    read = tokenizer_with(tmp_path, template).parse_call(text, [TOOL])
    assert [(name, json.loads(arguments)) for name, arguments in read] == calls


@pytest.mark.parametrize("text", NO_CALLS)
def test_what_is_no_call_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="tool call"):
        tokenizer_with(tmp_path, QWEN).parse_call(text, [])


def test_markers_that_are_special_tokens_are_kept_on_demand(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(tmp_path, QWEN, "<think>", "</think>")
    tokens = tokenizer.encode("<think>the</think> end")
    for keeps, expected in ((True, "<think>the</think> end"), (False, "the end")):
        detokenizer = tokenizer.detokenizer(keeps_special=keeps)
        assert "".join([*map(detokenizer.add, tokens), detokenizer.finish()]) == expected
    assert tokenizer.token_bytes(tokens[0]) == b"<think>"
