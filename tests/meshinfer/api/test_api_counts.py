import pytest
from starlette.types import Message, Receive, Scope, Send

from meshinfer.api.api_counts import ApiCounts, CountAnswers
from meshinfer.metrics import Reading


async def never() -> Message:
    raise AssertionError


async def drop(message: Message) -> None:
    pass


async def test_an_answer_is_counted_once_it_is_whole_and_a_client_that_went_away_as_gone() -> None:
    counts = ApiCounts()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            return
        raise RuntimeError

    counting = CountAnswers(app, counts)
    await counting({"type": "http", "method": "GET"}, never, drop)
    with pytest.raises(RuntimeError):
        await counting({"type": "http", "method": "POST"}, never, drop)
    assert counts.readings() == [
        Reading("meshinfer_api_requests_total", ("GET", "other", "200"), 1),
        Reading("meshinfer_api_requests_total", ("POST", "other", "gone"), 1),
    ]


async def test_whoever_has_the_whole_answer_finds_it_counted_once() -> None:
    counts, seen = ApiCounts(), list[int]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for is_more in (True, False):
            await send({"type": "http.response.body", "body": b"a", "more_body": is_more})

    async def look(message: Message) -> None:
        seen.append(len(counts.readings()))

    await CountAnswers(app, counts)({"type": "http", "method": "GET"}, never, look)
    assert seen == [0, 0, 1]
    assert counts.readings() == [Reading("meshinfer_api_requests_total", ("GET", "other", "200"), 1)]
