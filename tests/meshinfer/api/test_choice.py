import re
from dataclasses import replace

import pytest

from meshinfer.actors.mail import LocalModel
from meshinfer.api.approach import Approach, approach_to
from meshinfer.api.choice import ChoiceReader, call_id
from meshinfer.api.delta import CallArguments, CallBegun, Delta, End, Ended, Reasoning, Text, Usage
from meshinfer.api.question import Question
from meshinfer.api.tools import Tool, ToolChoice
from meshinfer.generation import Choice, Conversation, Piece
from meshinfer.messages import Finish
from tests.meshinfer.api.thinking import MARKS, PLAIN, QWEN, model_with

ASKED = Question("chat", Conversation(({"role": "user", "content": "hi"},)))
TOOLS = (Tool("f"), Tool("g"))
CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return model_with(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return model_with(tmp_path_factory.mktemp("qwen"), QWEN, *MARKS)


def read(approach: Approach, *texts: str, finish: Finish = Finish.STOP) -> list[Delta]:
    reader = ChoiceReader(0, approach, "token")
    deltas: list[Delta] = []
    for number, text in enumerate(texts, 1):
        is_last = number == len(texts)
        piece = Piece(text, finish if is_last else None, 3, number, 2, stop_text="x" if is_last else None)
        deltas += reader.read(piece)
    return deltas


def test_a_bare_answer_is_its_text(plain: LocalModel) -> None:
    deltas = read(approach_to(ASKED, plain), "", "a", "b", finish=Finish.LENGTH)
    assert deltas == [
        Text(0, ""),
        Text(0, "a"),
        Text(0, "b"),
        Ended(0, End.LENGTH, Usage(3, 3, 2), "x"),
    ]


def test_thinking_calls_and_text_are_told_apart(thinker: LocalModel) -> None:
    approach = approach_to(replace(ASKED, tools=TOOLS), thinker)
    deltas = read(approach, "", "h", "m", "</think>", "\nSee:\n", CALL)
    assert deltas == [
        Reasoning(0, "h"),
        Reasoning(0, "m"),
        Text(0, "See:"),
        CallBegun(0, 0, call_id("token", 0, 0), "f"),
        CallArguments(0, 0, '{"a": 1}'),
        Ended(0, End.TOOL_CALLS, Usage(3, 6, 2, 4), "x"),
    ]


def test_an_answer_that_is_cut_off_in_its_thinking_is_nothing_else(thinker: LocalModel) -> None:
    deltas = read(approach_to(ASKED, thinker), "hm", " so", finish=Finish.LENGTH)
    assert deltas == [
        Reasoning(0, "hm"),
        Reasoning(0, " so"),
        Ended(0, End.LENGTH, Usage(3, 2, 2, 2), "x"),
    ]


def test_a_call_of_what_was_not_offered_is_text(plain: LocalModel) -> None:
    approach = approach_to(replace(ASKED, tools=(Tool("g"),)), plain)
    text, ended = read(approach, CALL)
    assert text == Text(0, CALL)
    assert isinstance(ended, Ended)
    assert ended.reason is End.STOP


def test_a_call_that_is_cut_off_is_text(plain: LocalModel) -> None:
    approach = approach_to(replace(ASKED, tools=TOOLS), plain)
    text, ended = read(approach, CALL[:-20], finish=Finish.LENGTH)
    assert text == Text(0, CALL[:-20])
    assert isinstance(ended, Ended)
    assert ended.reason is End.LENGTH


def test_behind_the_only_call_a_choice_is_over(plain: LocalModel) -> None:
    approach = approach_to(replace(ASKED, tools=TOOLS, tool_choice=ToolChoice(is_parallel=False)), plain)
    reader = ChoiceReader(0, approach, "token")
    begun, arguments, ended = reader.read(Piece(CALL, None, 3, 9))
    assert (type(begun), type(arguments)) == (CallBegun, CallArguments)
    assert ended == Ended(0, End.TOOL_CALLS, Usage(3, 9))
    assert reader.is_over


def token(text: str) -> Choice:
    return Choice(5, text, text.encode(), -1.0)


def test_tokens_are_told_with_the_text_that_they_make(thinker: LocalModel) -> None:
    reader = ChoiceReader(0, approach_to(replace(ASKED, tools=TOOLS), thinker), "token")
    deltas: list[Delta] = []
    for number, text in enumerate(("hm", "</think>", "a", " ", "b", "<", "c", CALL), 1):
        finish = Finish.STOP if text == CALL else None
        deltas += reader.read(Piece(text, finish, 3, number, tokens=(token(text),)))
    told = [(delta.text, [each.text for each in delta.tokens]) for delta in deltas if isinstance(delta, Text)]
    assert told == [("a", ["</think>", "a"]), (" b", [" ", "b"]), ("<c", ["<", "c"])]


def test_tokens_without_text_come_at_the_end(plain: LocalModel) -> None:
    reader = ChoiceReader(0, approach_to(ASKED, plain), "token")
    text, ended = reader.read(Piece("", Finish.LENGTH, 3, 1, tokens=(token("\ufffd"),)))
    assert text == Text(0, "", (token("\ufffd"),))
    assert isinstance(ended, Ended)


def test_ids_of_calls_are_of_nine_letters_and_digits_and_differ() -> None:
    ids = {call_id(token, choice, number) for token in "ab" for choice in (0, 1) for number in (0, 1)}
    assert len(ids) == 8
    assert all(re.fullmatch("[0-9a-z]{9}", each) for each in ids)
    assert call_id("a", 0, 0) == call_id("a", 0, 0)
