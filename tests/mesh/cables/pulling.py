"""A fast cable is pulled in the middle of an answer, and put back."""

from dataclasses import dataclass
from itertools import pairwise

from tests.mesh.cables.hosts import Hosts
from tests.mesh.processes import PeerProcess

PROMPT = "Once upon a time, in a house by the sea, " * 12
TOKENS = 160
PULLED_AT = 30
"""The piece of the answer after which the cable is pulled."""

LEAST_BYTES = 300_000
"""The activations of a prompt and an answer over two hops, with much to spare."""

LEAST_SPARE_BYTES = 50_000
"""Of the rest of an answer, over one hop."""

_ANSWERS = 5
"""At most so many are waited for, until one went by the fast cables."""

MOST_BESIDE = 0.1
"""Share of what goes by the fast cables that may go by the slow ones: gossip, and what looks after links."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of it. before, without, after: bytes on the (fast, slow) cables while an answer was written:
    with all cables, from the moment when one was pulled, and after it was back. wrong: empty if all is well.
    """

    cable: str
    is_muted: bool
    before: tuple[int, int]
    without: tuple[int, int]
    after: tuple[int, int]
    wrong: tuple[str, ...]


class _Counting:
    """What goes by the cables from now on: as their interfaces count it, and as peers do, who leave out what
    they send to measure them."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._began, self._told = hosts.wiring.sent_bytes(), hosts.traffic()

    def of(self, name: str) -> int:
        """Bytes of traffic on one cable."""
        return self._hosts.traffic()[name] - self._told[name]

    def kinds(self) -> tuple[int, int]:
        """Bytes of traffic on the fast and on the slow cables, never more than went through the former."""
        now, told = self._hosts.wiring.sent_bytes(), self._hosts.traffic()
        by_kind = [
            # A path that was lost took its count along.
            [
                (max(0, told[name] - self._told[name]), now[name] - self._began[name])
                for name in now
                if kind in name
            ]
            for kind in ("fast", "slow")
        ]
        fast, slow = by_kind
        return sum(min(each) for each in fast), sum(each[0] for each in slow)


def _beside(sent: tuple[int, int]) -> list[str]:
    """What is wrong with how much went by fast and by slow cables while an answer was written."""
    fast, slow = sent
    if fast < LEAST_BYTES or slow > MOST_BESIDE * fast:
        return [f"{fast:,} bytes went by fast cables, {slow:,} by slow ones"]
    return []


def _answered(hosts: Hosts, asked: PeerProcess, truth: str) -> tuple[tuple[int, int], list[str]]:
    """What went by which cables while an answer was written, and what is wrong with it.

    A peer that stood still for a second, with all of a busy machine, looks like a cable that does not work:
    what it was sent goes by another one as well. So this is about the first answer of which that is not so.
    """
    left = _ANSWERS
    while True:
        left -= 1
        counting = _Counting(hosts)
        if asked.answer(PROMPT, TOKENS).text != truth:
            return counting.kinds(), ["the answer differs"]
        trouble = _beside(sent := counting.kinds())
        if not trouble or not left:
            return sent, trouble


def pull(hosts: Hosts, truth: str, number: int) -> Pulled:
    """Pull a cable of the ring while it answers; odd numbers don't let its ends notice. truth: the answer."""
    hosts.wait_for_ways("fast")
    ring = hosts.ring
    one, other = list(pairwise(ring))[number % (len(ring) - 1)]
    cable, spare = (f"{kind}-{min(one, other)}{max(one, other)}" for kind in ("fast", "slow"))
    asked, is_muted = hosts.peers[ring[number % len(ring)]], bool(number % 2)
    wrong: list[str] = []

    before, trouble = _answered(hosts, asked, truth)
    wrong += [f"with all cables: {text}" for text in trouble]

    text, count, counting = "", 0, _Counting(hosts)
    with asked.stream(PROMPT, TOKENS) as pieces:
        for piece in pieces:
            text += piece
            count += 1
            if count == PULLED_AT:
                counting = _Counting(hosts)
                (hosts.wiring.mute if is_muted else hosts.wiring.down)(cable)
    without = counting.kinds()
    if text != truth:
        wrong.append("the answer without a cable differs")
    if counting.of(spare) < LEAST_SPARE_BYTES:
        wrong.append(f"only {counting.of(spare):,} bytes went by {spare} while {cable} was pulled")
    if hosts.ring != ring:
        wrong.append("the ring was made anew")

    (hosts.wiring.unmute if is_muted else hosts.wiring.up)(cable)
    hosts.wait_for_ways("fast")
    after, trouble = _answered(hosts, asked, truth)
    wrong += [f"after the cable was put back: {text}" for text in trouble]
    return Pulled(cable, is_muted, before, without, after, tuple(wrong))
