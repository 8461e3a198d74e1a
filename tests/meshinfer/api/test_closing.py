import asyncio

import pytest

from meshinfer.api.closing import Closing
from meshinfer.api.errors import ApiError


async def test_it_refuses_questions_and_waits_for_answers() -> None:
    closing = Closing()
    assert closing.state == ""
    with closing.answering():
        async with asyncio.TaskGroup() as group:
            closed = group.create_task(closing.close(patience_s=60))
            await asyncio.sleep(0)
            assert closing.state == "this peer leaves: it finishes 1 answer"
            with pytest.raises(ApiError) as refused, closing.answering():
                pass
            assert (refused.value.status, refused.value.code) == (503, "stopping")
            assert refused.value.headers == {"Retry-After": "5"}
            assert not closing.ending.is_set()
            closed.cancel()


async def test_the_last_answer_ends_the_wait() -> None:
    closing = Closing()
    async with asyncio.TaskGroup() as group:
        with closing.answering(), closing.answering():
            closed = group.create_task(closing.close(patience_s=60))
            await asyncio.sleep(0)
            assert closing.state == "this peer leaves: it finishes 2 answers"
    assert closed.done()
    assert closing.ending.is_set()
    assert closing.state == "this peer leaves: it lets others take over its layers"


async def test_answers_that_take_too_long_are_ended() -> None:
    closing = Closing()
    with closing.answering():
        await closing.close(patience_s=0)
        assert closing.ending.is_set()
