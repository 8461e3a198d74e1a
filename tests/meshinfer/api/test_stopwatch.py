from collections.abc import AsyncGenerator

from meshinfer.api.delta import Delta, End, Ended, Text, Usage
from meshinfer.api.stopwatch import timed


async def given(*deltas: Delta) -> AsyncGenerator[Delta]:
    for delta in deltas:
        yield delta


async def test_each_choice_tells_how_long_it_took() -> None:
    # When it begins, and then at each part.
    clock = iter([10.0, 10.5, 11.0, 12.0, 14.0])
    parts = given(
        Text(0, "a"), Text(1, "b"), Ended(0, End.STOP, Usage(3, 2)), Ended(1, End.STOP, Usage(3, 2))
    )
    told = [delta async for delta in timed(parts, lambda: next(clock))]
    assert told[:2] == [Text(0, "a"), Text(1, "b")]
    assert told[2:] == [
        Ended(0, End.STOP, Usage(3, 2, prompt_s=0.5, answer_s=1.5)),
        Ended(1, End.STOP, Usage(3, 2, prompt_s=1.0, answer_s=3.0)),
    ]
