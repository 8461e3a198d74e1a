"""Whether a mesh that came to rest is as it was: memory, files, threads, sessions."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import psutil

from tests.mesh.chaos.reader import read_answer
from tests.mesh.processes import PeerProcess, json_of, until

REST_S = 60.0
"""How long what a request took may still be held after its end."""

_GROWTH_BYTES = 80_000_000
_MORE_FILES = 8
_MORE_THREADS = 8
"""What was not yet there in the first seconds: threads of pools, connections of links that were made anew."""

_SESSION_KEYS = ("answers", "sessions", "running", "waiting")
_WARM_UP = {"prompt": "Hello", "max_tokens": 8, "temperature": 0.0, "stream": True}


@dataclass(frozen=True, slots=True)
class Vitals:
    """What one process takes."""

    rss_bytes: int
    files: int
    threads: int

    def __str__(self) -> str:
        return f"{self.rss_bytes / 1e6:.0f} MB, {self.files} files, {self.threads} threads"


def vitals_of(peer: PeerProcess) -> Vitals:
    """Take the vitals of a process now."""
    process = psutil.Process(peer.process.pid)
    with process.oneshot():
        return Vitals(process.memory_info().rss, process.num_fds(), process.num_threads())


@dataclass(slots=True)
class Watch:
    """Compares each process with itself, when it had answered for the first time."""

    first: dict[int, Vitals] = field(default_factory=dict)

    def begin(self, peers: Iterable[PeerProcess]) -> list[str]:
        """Have new peers answer something and take their vitals; return what went wrong."""
        complaints = []
        for peer in peers:
            if peer.process.pid in self.first:
                continue
            warm = read_answer(peer.url, _WARM_UP)
            if not warm.is_whole:
                complaints.append(f"{peer.name} shows a live ring and gives no answer: {warm.trouble}")
            self.first[peer.process.pid] = vitals_of(peer)
        return complaints

    def check(self, peers: Iterable[PeerProcess]) -> list[str]:
        """Return what is not as it was, once nothing runs any more."""
        return [text for peer in peers for text in (_sessions_left(peer), self._growth(peer)) if text]

    def lines(self, peers: Iterable[PeerProcess]) -> list[str]:
        """What each takes now, and took at first, for people."""
        return [f"{peer.name}: {self.first.get(peer.process.pid, '?')} → {vitals_of(peer)}" for peer in peers]

    def _growth(self, peer: PeerProcess) -> str:
        first = self.first.get(peer.process.pid)
        if first is None:
            return ""

        def is_back() -> bool:
            now = vitals_of(peer)
            return (
                now.rss_bytes <= first.rss_bytes + _GROWTH_BYTES
                and now.files <= first.files + _MORE_FILES
                and now.threads <= first.threads + _MORE_THREADS
            )

        try:
            until(is_back, "vitals", REST_S)
        except AssertionError:
            return f"{peer.name} took {first} when it was new, and takes {vitals_of(peer)} at rest"
        return ""


def _sessions_left(peer: PeerProcess) -> str:
    """What is still open; what is merely kept, in case it comes back, may stay."""

    def left() -> dict[str, int]:
        work = json_of(peer.get("/health"))["work"]
        return {key: work[key] for key in _SESSION_KEYS if work[key]}

    try:
        until(lambda: not left(), "no session", REST_S)
    except AssertionError:
        open_there = ", ".join(f"{key} {number}" for key, number in left().items())
        return f"{peer.name} still has {open_there} after {REST_S:.0f} s without a request"
    return ""
