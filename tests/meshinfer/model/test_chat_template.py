import json
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import RequestError
from meshinfer.model.base import ModelFiles
from meshinfer.model.language import Tokenizer
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import make_tiny_model

TWO = [{"name": "default", "template": "{{ tools }}"}, {"name": "tool_use", "template": "{{ thinking }}"}]
ALL_AT_ONCE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }}:{{ message.content }}"
    "{% for call in message.tool_calls or [] %}{{ call.function.name }}"
    "{% for key, value in call.function.arguments.items() %}({{ key }}={{ value }}){% endfor %}{% endfor %} "
    "{% endfor %}{% if enable_thinking is defined and not enable_thinking %}no thinking{% endif %}"
)
SETS_ITS_OWN = (
    "{% if more is defined %}{% set tools = more %}{% endif %}{% if not tools is defined %}"
    "{% set tools = none %}{% endif %}{% set enable_thinking = enable_thinking | default(true) %}"
    "{% set thinking = false %}{{ thinking }}{{ enable_thinking }}{{ tools }}"
)
"""As Llama 3.1 and others begin: `thinking` is the template's own."""
AS_TEXT = "{% for call in messages[0].tool_calls %}{{ 'calls ' + call.function.arguments }}{% endfor %}"
CALL = {"type": "function", "id": "1", "function": {"name": "add", "arguments": '{"a": 1, "b": "x"}'}}
ASSISTANT: dict[str, object] = {"role": "assistant", "content": "", "tool_calls": [CALL]}
USER: dict[str, object] = {"role": "user", "content": "hi"}
TOOL: dict[str, object] = {"type": "function", "function": {"name": "add"}}


def tokenizer_with(path: Path, template: object) -> Tokenizer:
    make_tiny_model(path, layers=1, hidden=16)
    file = path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    return load_tokenizer(ModelFiles("tiny", f"dir:{path}", path))


def written(tokenizer: Tokenizer, messages: list[dict[str, object]], **more: Any) -> str:
    return tokenizer.decode(tokenizer.encode_chat(messages, **more))


def test_a_template_gets_tools_and_options(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(tmp_path, ALL_AT_ONCE)
    assert written(tokenizer, [USER]) == "user:hi no thinking"
    assert written(tokenizer, [USER], options={"enable_thinking": True}) == "user:hi "
    assert written(tokenizer, [USER], tools=[TOOL]).startswith('[{"type": "function", ')


@pytest.mark.parametrize(
    ("template", "text"), [(ALL_AT_ONCE, "assistant:add(a=1)(b=x) no thinking"), (AS_TEXT, None)]
)
def test_arguments_come_as_the_template_takes_them(tmp_path: Path, template: str, text: str | None) -> None:
    expected = text or 'calls {"a": 1, "b": "x"}'
    assert written(tokenizer_with(tmp_path, template), [ASSISTANT]) == expected


@pytest.mark.parametrize("arguments", ["no JSON", "", {"a": 2}, None])
def test_arguments_that_are_no_text_of_json_are_left_to_the_template(
    tmp_path: Path, arguments: object
) -> None:
    template = "{% for call in messages[0].tool_calls %}{{ call.function.arguments }}{% endfor %}"
    call = {"function": {"name": "add", "arguments": arguments}}
    shown = written(tokenizer_with(tmp_path, template), [{"role": "assistant", "tool_calls": [call]}])
    assert shown == {"": "{}"}.get(str(arguments), str(arguments))


@pytest.mark.parametrize("call", ["add", {}, {"function": "add"}])
def test_a_call_in_another_shape_is_the_templates_matter(tmp_path: Path, call: object) -> None:
    with pytest.raises(RequestError, match="template refuses"):
        tokenizer_with(tmp_path, ALL_AT_ONCE).encode_chat([{"role": "assistant", "tool_calls": [call]}])


@pytest.mark.parametrize(
    ("template", "known"),
    [
        (ALL_AT_ONCE, {"tools", "enable_thinking"}),
        ("{{ messages }} tools {{ thinking }} enable_thinking", {"thinking"}),
        ("{{ 'thinking' }}{% for tools in messages %}{{ tools.enable_thinking }}{% endfor %}", set()),
        (SETS_ITS_OWN, {"tools", "enable_thinking"}),
        ("{% generation %}{{ 'tools' }}{{ thinking }}{%- endgeneration -%}", {"thinking"}),
        ("{% another %}{{ thinking }}{% endanother %}", {"thinking"}),
        (TWO, {"tools", "thinking"}),
        (None, set()),
    ],
)
def test_an_option_is_known_where_the_template_looks_at_it(
    tmp_path: Path, template: object, known: set[str]
) -> None:
    tokenizer = tokenizer_with(tmp_path, template)
    options = ("tools", "enable_thinking", "thinking", "reasoning_effort")
    assert {option for option in options if tokenizer.knows(option)} == known


def test_what_the_template_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(tmp_path, "{{ messages[0].content }} {{ tokenize }}")
    with pytest.raises(RequestError, match="knows no tools") as refused:
        tokenizer.encode_chat([USER], [TOOL])
    assert refused.value.param == "tools"
    for option in ("reasoning_effort", "tokenize", "chat_template"):
        with pytest.raises(RequestError, match=f"no option '{option}': leave it out"):
            tokenizer.encode_chat([USER], options={option: "high"})
