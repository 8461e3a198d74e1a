"""Dial until somebody answers, less and less often."""

import asyncio
import logging
from random import Random

from .base import Address, Link, Transport
from .errors import DialFailed

logger = logging.getLogger(__name__)


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
    transport: Transport, address: Address, backoff: Backoff, give_up_after_s: float | None = None
) -> Link:
    """Dial `address` until it answers, with back-off between attempts. Cancelling stops it at once.

    Raises:
        DialFailed: `give_up_after_s` is over; the text is the last attempt's.
    """
    last: DialFailed | None = None
    try:
        async with asyncio.timeout(give_up_after_s):
            while True:
                try:
                    link = await transport.dial(address)
                except DialFailed as failure:
                    last = failure
                    delay_s = backoff.next_delay_s()
                    logger.debug("%s; next attempt in %.1f s", failure, delay_s)
                    await asyncio.sleep(delay_s)
                else:
                    backoff.reset()
                    return link
    except TimeoutError as error:
        reason = last.reason if last is not None else "no answer"
        raise DialFailed(address, f"gave up after {give_up_after_s:g} s: {reason}") from (last or error)
