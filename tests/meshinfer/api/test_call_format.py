from pathlib import Path

import pytest

from meshinfer.api.call_format import CallShape, call_format, read_mark
from meshinfer.api.tools import Tool
from tests.meshinfer.api.thinking import CODER, MARKS, MISTRAL, PLAIN, QWEN, model_with

TOOL = Tool("f", "does it")
CALL = '\n{"name": "f", "arguments": {"a": 1}}\n'


@pytest.mark.parametrize(
    ("template", "start", "end", "shape", "is_native"),
    [
        (QWEN, "<tool_call>", "</tool_call>", CallShape.OBJECT, True),
        (MISTRAL, "[TOOL_CALLS]", "", CallShape.LIST, True),
        (CODER, "<tool_call>", "</tool_call>", CallShape.OTHER, True),
        (PLAIN, "<tool_call>", "</tool_call>", CallShape.OBJECT, False),
        # Marks are of no use where the template leaves the tools out.
        ("{{ messages }}[TOOL_CALLS]", "<tool_call>", "</tool_call>", CallShape.OBJECT, False),
    ],
)
def test_the_form_of_calls_is_found_out(
    tmp_path: Path, template: str, start: str, end: str, shape: CallShape, is_native: bool
) -> None:
    form = call_format(model_with(tmp_path, template).tokenizer, [TOOL])
    assert (form.start, form.end, form.shape, form.is_native) == (start, end, shape, is_native)


@pytest.mark.parametrize("template", [QWEN, PLAIN])
def test_calls_are_parsed_in_that_form(tmp_path: Path, template: str) -> None:
    form = call_format(model_with(tmp_path, template).tokenizer, [TOOL])
    assert form.parse(CALL) == [("f", '{"a": 1}')]
    with pytest.raises(ValueError, match=r"."):
        form.parse("oops")


def test_marks_are_taken_apart_into_special_tokens_and_text(tmp_path: Path) -> None:
    tokenizer = model_with(tmp_path, QWEN, *MARKS).tokenizer
    (special,) = tokenizer.encode("<tool_call>")
    assert read_mark(tokenizer, "<tool_call>").parts == (special,)
    assert read_mark(tokenizer, "<tool_call>thought").parts == (special, "thought")
    assert read_mark(tokenizer, "[x]").parts == ("[x]",)
    assert read_mark(tokenizer, "").parts == ()
    assert read_mark(tokenizer, "<think>").has_special
    assert not read_mark(tokenizer, "think").has_special
