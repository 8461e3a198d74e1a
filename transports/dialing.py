"""Dial until somebody answers, less and less often; or several addresses of one peer, a little apart."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from .base import Address, Link, Transport
from .errors import DialFailed
from .ways import Way


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


async def dial_first(transport: Transport, ways: Sequence[Way], stagger_s: float) -> tuple[Way, Link]:
    """Dial several ways to one peer, the best first; return the first that answers, and its link.

    Each is dialled `stagger_s` after the one before, or once that failed: behind a cable that was pulled
    nobody answers, and the next one must not wait for that. Cancelling stops all.

    Raises:
        DialFailed: none answers; is_refused if the machine refused at each of them.
    """
    waiting, failures = list(ways), list[DialFailed]()
    dials: dict[asyncio.Task[Link], Way] = {}
    try:
        while waiting or dials:
            if waiting:
                way = waiting.pop(0)
                dial = transport.dial(way.address, way.source, way.interface)
                dials[asyncio.create_task(dial, name=f"dial {way.address}")] = way
            timeout_s = stagger_s if waiting else None
            done, _ = await asyncio.wait(dials, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for dialled in sorted(done, key=list(dials).index):
                try:
                    link = dialled.result()
                except DialFailed as failure:
                    failures.append(failure)
                    del dials[dialled]
                else:
                    return dials.pop(dialled), link
    finally:
        await _give_up(list(dials))
    if len(failures) == 1:
        raise failures[0]
    tried = "; ".join(str(failure) for failure in failures) or "it has no address"
    is_refused = bool(failures) and all(failure.is_refused for failure in failures)
    raise DialFailed(", ".join(way.address for way in ways), tried, is_refused=is_refused)


async def _give_up(dials: list[asyncio.Task[Link]]) -> None:
    """Cancel dials that nobody needs, and close what came of them all the same."""
    for dial in dials:
        dial.cancel()
    if dials:
        await asyncio.wait(dials)
    for dial in dials:
        if not dial.cancelled() and dial.exception() is None:
            await dial.result().close()
