import asyncio

import pytest

from meshinfer.errors import DeadlineExceeded, RequestError
from meshinfer.generation import Deadline


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
