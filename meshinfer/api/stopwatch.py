"""How long an answer takes, for the APIs that tell."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from .delta import Delta, Ended


async def timed(
    deltas: AsyncGenerator[Delta], now_s: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Delta]:
    """The same parts, of which the last of each choice tells when its first came, and when itself did."""
    began_s = now_s()
    first_s: dict[int, float] = {}
    async with aclosing(deltas):
        async for delta in deltas:
            here_s = now_s()
            token_s = first_s.setdefault(delta.choice, here_s)
            if isinstance(delta, Ended):
                usage = replace(delta.usage, prompt_s=token_s - began_s, answer_s=here_s - token_s)
                delta = replace(delta, usage=usage)
            yield delta
