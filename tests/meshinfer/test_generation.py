import asyncio

import pytest

from meshinfer.actors.mail import LocalModel, Sampled
from meshinfer.errors import DeadlineExceeded, MeshError, RequestError
from meshinfer.generation import (
    Asked,
    Choice,
    Conversation,
    Deadline,
    Piece,
    decode,
    encode,
    opening_for,
    pieces,
)
from meshinfer.messages import Constraint, ConstraintKind, Finish, TokenLogprobs
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import END, SPECIAL_TOKENS, START, make_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    path = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    files = ModelFiles("tiny", f"dir:{path}", path)
    return LocalModel(files, read_card(files), load_tokenizer(files))


async def some() -> str:
    return "some"


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("asked_s", "granted_s"), [(None, 60.0), (5.0, 5.0), (61.0, 60.0)])
async def test_a_request_gets_the_time_it_asks_for_but_no_more_than_there_is(
    asked_s: float | None, granted_s: float
) -> None:
    deadline = Deadline.within(asked_s, most_s=60.0)
    assert deadline.granted_s == granted_s
    assert await deadline.bound(some) == "some"


@pytest.mark.parametrize("asked_s", [0.0, -1.0, float("nan")])
async def test_no_time_at_all_is_refused(asked_s: float) -> None:
    with pytest.raises(RequestError, match="deadline_s is") as refused:
        Deadline.within(asked_s, most_s=60.0)
    assert refused.value.param == "deadline_s"


async def test_waiting_ends_at_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded, match=r"not whole within 0\.001 s"):
        await Deadline.within(0.001, most_s=60.0).bound(forever)


async def test_behind_the_deadline_even_what_is_there_comes_too_late() -> None:
    with pytest.raises(DeadlineExceeded):
        await Deadline(5.0, asyncio.get_running_loop().time()).bound(some)


async def test_the_first_token_makes_a_piece_even_where_it_is_half_a_character(tiny: LocalModel) -> None:
    sink: asyncio.Queue[Sampled | MeshError] = asyncio.Queue()
    one, two = (len(SPECIAL_TOKENS) + byte for byte in "é".encode())
    for token in (one, two, one, two):
        sink.put_nowait(Sampled(token, None))
    sink.put_nowait(Sampled(END, Finish.STOP))
    deadline = Deadline.within(None, most_s=60.0)
    assert [piece async for piece in pieces(tiny, 3, Asked(""), sink, deadline)] == [
        Piece("", None, 3, 1),
        Piece("é", None, 3, 2),
        Piece("é", None, 3, 4),
        Piece("", Finish.STOP, 3, 5),
    ]


@pytest.mark.parametrize(("ignores_stops", "stops"), [(False, (END,)), (True, ())])
def test_stop_tokens_can_be_ignored(tiny: LocalModel, ignores_stops: bool, stops: tuple[int, ...]) -> None:
    opening = opening_for(tiny, (5, 6), Asked("", 4, ignores_stops=ignores_stops), 9)
    assert (opening.stop_tokens, opening.prompt_tokens, opening.max_tokens) == (stops, 2, 4)


ONE, TWO = (len(SPECIAL_TOKENS) + byte for byte in "é".encode())
A, B, C = (len(SPECIAL_TOKENS) + byte for byte in b"abc")
LIKELY = TokenLogprobs(-0.5)


async def answered(
    tiny: LocalModel, *sampled: Sampled, stop: tuple[str, ...] = (), keeps_special: bool = False
) -> list[Piece]:
    sink: asyncio.Queue[Sampled | MeshError] = asyncio.Queue()
    for each in sampled:
        sink.put_nowait(each)
    deadline = Deadline.within(None, most_s=60.0)
    asked = Asked("", stop=stop, keeps_special=keeps_special)
    return [piece async for piece in pieces(tiny, 3, asked, sink, deadline)]


async def test_tokens_come_with_the_piece_in_which_their_text_begins(tiny: LocalModel) -> None:
    told = TokenLogprobs(-1.0, ((ONE, -0.25), (END, -2.0)))
    made = await answered(
        tiny, *(Sampled(token, None, told, 2) for token in (A, ONE, TWO)), Sampled(END, Finish.STOP, told, 2)
    )
    top = (Choice(ONE, "\ufffd", b"\xc3", -0.25), Choice(END, "<|end|>", b"<|end|>", -2.0))
    assert made == [
        Piece("a", None, 3, 1, 2, (Choice(A, "a", b"a", -1.0, top),)),
        Piece(
            "é",
            None,
            3,
            3,
            2,
            (Choice(ONE, "\ufffd", b"\xc3", -1.0, top), Choice(TWO, "\ufffd", b"\xa9", -1.0, top)),
        ),
        Piece("", Finish.STOP, 3, 4, 2),
    ]


@pytest.mark.parametrize(
    ("stop", "text", "tokens", "stop_text"),
    [((), "abc", [A, B, C], None), (("bc", "zz"), "a", [A], "bc"), (("c", "abc"), "", [], "abc")],
)
async def test_tokens_behind_a_stop_string_are_not_told_and_the_string_is(
    tiny: LocalModel, stop: tuple[str, ...], text: str, tokens: list[int], stop_text: str | None
) -> None:
    made = await answered(
        tiny, Sampled(A, None, LIKELY), Sampled(B, None, LIKELY), Sampled(C, Finish.LENGTH, LIKELY), stop=stop
    )
    assert "".join(piece.text for piece in made) == text
    assert [choice.token for piece in made for choice in piece.tokens] == tokens
    assert made[-1].stop_text == stop_text


async def test_half_a_character_at_the_end_is_told_all_the_same(tiny: LocalModel) -> None:
    (_, last) = await answered(tiny, Sampled(A, None, LIKELY), Sampled(ONE, Finish.LENGTH, LIKELY))
    assert (last.text, [choice.data for choice in last.tokens]) == ("\ufffd", [b"\xc3"])


async def test_a_last_token_that_completes_a_grammar_is_text(tiny: LocalModel) -> None:
    (_, last) = await answered(tiny, Sampled(A, None), Sampled(B, Finish.STOP))
    assert (last.text, last.finish, last.tokens) == ("b", Finish.STOP, ())


@pytest.mark.parametrize(("keeps", "text"), [(True, "<|start|>a"), (False, "a")])
async def test_special_tokens_are_text_on_demand_but_not_the_one_that_ends(
    tiny: LocalModel, keeps: bool, text: str
) -> None:
    sampled = (Sampled(START, None), Sampled(A, None), Sampled(END, Finish.STOP))
    made = await answered(tiny, *sampled, keeps_special=keeps)
    assert "".join(piece.text for piece in made) == text


def test_a_conversation_is_encoded_with_what_its_template_is_told(tiny: LocalModel) -> None:
    messages = ({"role": "user", "content": "hi"},)
    assert encode(tiny, Conversation(messages)) == encode(tiny, messages)
    with pytest.raises(RequestError, match="no tools"):
        encode(tiny, Conversation(messages, tools=({"type": "function"},)))
    with pytest.raises(RequestError, match="no option 'enable_thinking'"):
        encode(tiny, Conversation(messages, options={"enable_thinking": True}))


def test_hints_are_left_out_where_the_template_does_not_know_them(tiny: LocalModel) -> None:
    hello = ({"role": "user", "content": "hi"},)
    hinted = Conversation(hello, hints={"enable_thinking": False})
    assert encode(tiny, hinted) == encode(tiny, Conversation(hello))
    with pytest.raises(RequestError, match="enable_thinking"):
        encode(tiny, Conversation(hello, options={"enable_thinking": False}))


def test_tokens_become_text_again_and_those_that_do_not_exist_are_refused(tiny: LocalModel) -> None:
    assert decode(tiny, tiny.tokenizer.encode("hello")) == "hello"
    with pytest.raises(RequestError, match="outside the model's vocabulary") as refused:
        decode(tiny, (tiny.card.vocab_size,))
    assert refused.value.param == "tokens"


def test_a_session_is_opened_with_its_grammar_and_what_is_told(tiny: LocalModel) -> None:
    constraint = Constraint(ConstraintKind.JSON)
    opening = opening_for(tiny, (5,), Asked("", 4, constraint=constraint, top_logprobs=0), 9)
    assert (opening.constraint, opening.top_logprobs) == (constraint, 0)
    with pytest.raises(RequestError, match="stops cannot be ignored"):
        opening_for(tiny, (5,), Asked("", 4, constraint=constraint, ignores_stops=True), 9)


@pytest.mark.parametrize("top", [-1, 21])
def test_more_alternatives_than_there_are_told_are_refused(tiny: LocalModel, top: int) -> None:
    with pytest.raises(RequestError, match=f"top_logprobs is {top}") as refused:
        opening_for(tiny, (5,), Asked("", 4, top_logprobs=top), 9)
    assert refused.value.param == "top_logprobs"
