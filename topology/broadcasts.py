"""News that wait to be passed on: each a bounded number of times, the least told first (SWIM §4.1)."""

import heapq
import math
from collections.abc import Hashable

from .knobs import MembershipKnobs


def transmits(knobs: MembershipKnobs, members: int) -> int:
    """How often each news is sent by each peer that learns it."""
    return max(knobs.min_transmits, knobs.retransmit_mult * math.ceil(math.log10(members + 1)))


_SPARE = 64
"""Entries that stand for nothing any more, beyond as many as there are news, before they are swept out."""


class Broadcasts:
    """Encoded news by subject; a newer one about the same subject takes the place of the older."""

    def __init__(self) -> None:
        self._news: dict[Hashable, tuple[int, bytes]] = {}
        self._heap: list[tuple[int, int, Hashable]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._news)

    def add(self, subject: Hashable, news: bytes, told: int = 0) -> None:
        """Let `news` be passed on; whatever waited about `subject` is dropped.

        told: it counts as told so often already.
        """
        self._count += 1
        self._news[subject] = (self._count, news)
        # Of those told equally often, the latest goes first.
        heapq.heappush(self._heap, (told, -self._count, subject))
        if len(self._heap) > 2 * len(self._news) + _SPARE:
            self._heap = [entry for entry in self._heap if self._news.get(entry[2], (0,))[0] == -entry[1]]
            heapq.heapify(self._heap)

    def clear(self) -> None:
        """Drop all: there is nobody to tell."""
        self._news.clear()
        self._heap.clear()

    def take(self, room_bytes: int, limit: int) -> list[bytes]:
        """News that fit into `room_bytes`, the least told first; each was told once more by that."""
        taken: list[bytes] = []
        again: list[tuple[int, int, Hashable]] = []
        while self._heap and room_bytes > 0:
            told, minus_count, subject = heapq.heappop(self._heap)
            current = self._news.get(subject)
            if current is None or current[0] != -minus_count:
                continue
            news = current[1]
            if len(news) > room_bytes:
                again.append((told, minus_count, subject))
                if len(again) > 8:
                    break
                continue
            room_bytes -= len(news)
            taken.append(news)
            if told + 1 < limit:
                again.append((told + 1, minus_count, subject))
            else:
                del self._news[subject]
        for entry in again:
            heapq.heappush(self._heap, entry)
        return taken
