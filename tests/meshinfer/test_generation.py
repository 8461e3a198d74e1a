import asyncio

import pytest

from meshinfer.actors.mail import LocalModel, Sampled
from meshinfer.errors import DeadlineExceeded, MeshError, RequestError
from meshinfer.generation import Deadline, Piece, opening_for, pieces
from meshinfer.messages import Finish, Sampling
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import END, SPECIAL_TOKENS, make_tiny_model


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
    assert [piece async for piece in pieces(tiny, 3, (), sink, deadline)] == [
        Piece("", None, 3, 1),
        Piece("é", None, 3, 2),
        Piece("é", None, 3, 4),
        Piece("", Finish.STOP, 3, 5),
    ]


@pytest.mark.parametrize(("ignores_stops", "stops"), [(False, (END,)), (True, ())])
def test_stop_tokens_can_be_ignored(tiny: LocalModel, ignores_stops: bool, stops: tuple[int, ...]) -> None:
    opening = opening_for(tiny, (5, 6), Sampling(), 4, 9, ignores_stops=ignores_stops)
    assert (opening.stop_tokens, opening.prompt_tokens, opening.max_tokens) == (stops, 2, 4)
