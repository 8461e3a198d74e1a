"""Dial until somebody answers, less and less often."""

import asyncio
from collections.abc import Callable
from random import Random

from .base import Address, Link, Transport
from .errors import DialFailed


class Backoff:
    """How long to wait before the next attempt: doubling, within limits, and never in step with others.

    Each delay is drawn from the upper half of a span that doubles from `first_s` to `most_s`: peers that
    lost the same neighbour don't all come back at the same instant.
    """

    def __init__(self, random: Random, first_s: float = 0.1, most_s: float = 10.0) -> None:
        if not 0 < first_s <= most_s:
            raise ValueError(f"back-off from {first_s:g} s to {most_s:g} s: the first must be the smaller")
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._span_s = first_s

    def next_delay_s(self) -> float:
        """Draw the next delay, in seconds."""
        span_s = self._span_s
        self._span_s = min(2 * span_s, self._most_s)
        return self._random.uniform(span_s / 2, span_s)

    def reset(self) -> None:
        """Begin again with short delays: an attempt succeeded."""
        self._span_s = self._first_s


async def dial_until(
    transport: Transport, address: Address, backoff: Backoff, on_failure: Callable[[DialFailed], None]
) -> Link:
    """Dial `address` until it answers, with back-off between attempts. Cancelling stops it at once.

    on_failure: told of each attempt that failed. Resetting the back-off is the caller's: a link that is
    refused after its greeting is no success yet.
    """
    while True:
        try:
            link = await transport.dial(address)
        except DialFailed as failure:
            on_failure(failure)
            await asyncio.sleep(backoff.next_delay_s())
        else:
            return link
