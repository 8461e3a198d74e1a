from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.actors.mail import LocalModel
from meshinfer.api.approach import approach_to
from meshinfer.api.question import Question
from meshinfer.api.tools import Tool, ToolChoice, ToolMode
from meshinfer.errors import RequestError
from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind
from tests.meshinfer.api.thinking import CODER, MARKS, PLAIN, QWEN, model_with

USER: dict[str, object] = {"role": "user", "content": "hi"}
ASKED = Question("chat", Conversation((USER,)))
TOOLS = (Tool("f"), Tool("g"))
REQUIRED = ToolChoice(ToolMode.REQUIRED)
JSON = Constraint(ConstraintKind.JSON)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return model_with(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return model_with(tmp_path_factory.mktemp("qwen"), QWEN, *MARKS)


def written(model: LocalModel, tokens: tuple[int, ...]) -> str:
    detokenizer = model.tokenizer.detokenizer(keeps_special=True)
    return "".join(map(detokenizer.add, tokens)) + detokenizer.finish()


def test_a_chat_without_more_is_nothing_but_its_prompt(plain: LocalModel) -> None:
    approach = approach_to(ASKED, plain)
    assert approach.prompts == (plain.tokenizer.encode_chat([USER]),)
    assert (approach.calls, approach.thinking, approach.constraint) == (None, None, None)
    assert not approach.keeps_special


def test_tools_that_a_template_does_not_know_are_described(plain: LocalModel) -> None:
    approach = approach_to(replace(ASKED, tools=TOOLS), plain)
    assert '"name": "f"' in written(plain, approach.prompts[0])
    assert approach.calls is not None
    assert approach.names == {"f", "g"}
    assert approach.constraint is None


def test_tools_that_a_template_knows_go_there(qwen: LocalModel) -> None:
    approach = approach_to(replace(ASKED, tools=TOOLS), qwen)
    assert written(qwen, approach.prompts[0]).startswith('<tools>[{"type": "function"')
    assert approach.keeps_special


def test_tools_that_may_not_be_called_are_not_mentioned(qwen: LocalModel, plain: LocalModel) -> None:
    for model in qwen, plain:
        asked = replace(ASKED, tools=TOOLS, tool_choice=ToolChoice(ToolMode.NONE))
        assert approach_to(asked, model) == approach_to(ASKED, model)


def test_a_tool_that_is_named_is_the_only_one_to_be_called(qwen: LocalModel) -> None:
    asked = replace(ASKED, tools=TOOLS, tool_choice=ToolChoice(ToolMode.NAMED, "g"))
    approach = approach_to(asked, qwen)
    assert approach.names == {"g"}
    assert not approach.is_parallel
    assert approach.constraint is not None
    assert '\\"f\\"' not in approach.constraint.text


@pytest.mark.parametrize(
    ("asked", "is_held"),
    [
        (replace(ASKED, tools=TOOLS), False),
        (replace(ASKED, tools=TOOLS, tool_choice=REQUIRED), True),
        (replace(ASKED, tools=TOOLS, constraint=JSON), True),
        (replace(ASKED, tools=(Tool("f", is_strict=True),)), True),
        (replace(ASKED, constraint=JSON), True),
    ],
)
def test_an_answer_is_held_to_what_was_asked(plain: LocalModel, asked: Question, is_held: bool) -> None:
    assert (approach_to(asked, plain).constraint is not None) is is_held


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (replace(ASKED, tools=TOOLS, tool_choice=REQUIRED), "tool_choice"),
        (replace(ASKED, tools=TOOLS, constraint=JSON), "response_format"),
    ],
)
def test_calls_that_are_no_json_cannot_be_forced(tmp_path: Path, asked: Question, param: str) -> None:
    with pytest.raises(RequestError, match="a form that is no JSON, which cannot be forced") as refused:
        approach_to(asked, model_with(tmp_path, CODER))
    assert refused.value.param == param


def test_what_is_held_to_a_form_cannot_go_on_behind_it(plain: LocalModel) -> None:
    with pytest.raises(RequestError, match="ends where it is whole") as refused:
        approach_to(replace(ASKED, constraint=JSON, ignores_stops=True), plain)
    assert refused.value.param == "ignore_eos"


def test_it_is_seen_whether_the_template_began_the_thinking(qwen: LocalModel) -> None:
    thinks = approach_to(ASKED, qwen).thinking
    quiet = approach_to(
        replace(ASKED, prompt=Conversation((USER,), options={"enable_thinking": False})), qwen
    ).thinking
    assert thinks is not None
    assert quiet is not None
    assert (thinks.is_open, quiet.is_open) == (True, False)


def test_a_mark_that_somebody_quotes_begins_no_thinking(tmp_path: Path) -> None:
    model = model_with(tmp_path, PLAIN, *MARKS)
    asked = replace(ASKED, prompt=Conversation(({"role": "user", "content": "what is <think>"},)))
    thinking = approach_to(asked, model).thinking
    assert thinking is not None
    assert not thinking.is_open


def test_no_effort_at_all_switches_thinking_off(qwen: LocalModel) -> None:
    def asked(**options: object) -> Question:
        return replace(ASKED, prompt=Conversation((USER,), options=options))

    assert approach_to(asked(reasoning_effort="none"), qwen) == approach_to(
        asked(enable_thinking=False), qwen
    )
    with pytest.raises(RequestError, match="knows no option 'reasoning_effort'"):
        approach_to(asked(reasoning_effort="low"), qwen)


def test_what_a_template_does_not_know_has_the_name_that_the_client_gave_it(plain: LocalModel) -> None:
    prompt = Conversation((USER,), options={"enable_thinking": True})
    with pytest.raises(RequestError, match="leave think out") as refused:
        approach_to(replace(ASKED, dialect="ollama-chat", prompt=prompt), plain)
    assert refused.value.param == "think"


def test_earlier_calls_are_written_out_where_the_template_knows_none(plain: LocalModel) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = (
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "5"},
    )
    text = written(plain, approach_to(replace(ASKED, prompt=Conversation(messages)), plain).prompts[0])
    assert '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>' in text
    assert "<tool_response>\n5\n</tool_response>" in text


def test_prompts_of_completions_go_as_they_are_and_may_come_back(plain: LocalModel) -> None:
    tokens = plain.tokenizer.encode("there")
    asked = Question("completion", "hello", "prompt", other_prompts=(tokens,), is_echoed=True)
    approach = approach_to(asked, plain)
    assert approach.prompts == (plain.tokenizer.encode("hello"), tokens)
    assert approach.echoes == ("hello", "there")
    assert approach_to(replace(asked, is_echoed=False), plain).echoes == ("", "")


def test_hints_are_told_to_a_template_that_knows_them(qwen: LocalModel, plain: LocalModel) -> None:
    thinking = {"enable_thinking": True}
    asked = replace(ASKED, tools=TOOLS)
    hinted = replace(asked, prompt=Conversation((USER,), hints=thinking))
    told = replace(asked, prompt=Conversation((USER,), options=thinking))
    assert approach_to(hinted, qwen).prompts == approach_to(told, qwen).prompts
    assert approach_to(hinted, plain).prompts == approach_to(asked, plain).prompts
