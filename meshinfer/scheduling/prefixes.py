"""Sessions that are over, and whose caches are kept for later ones that begin with the same tokens.

All stages keep the same ones, since the head alone decides, and what it decides rides along the ring.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meshinfer.messages import Prefix, SessionId

_TOKEN_BYTES = array("q").itemsize
_WORTH_TOKENS = 16
"""Fewer tokens are prefilled as quickly."""

_TAKEN_SHARE = 0.75
"""Where a session begins with most of another one, it is that one's next turn: nobody else is likely to."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """tokens: packed. marks: where caches that cannot be cut have a copy, ascending."""

    tokens: bytes
    marks: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.tokens) // _TOKEN_BYTES


class Prefixes:
    """The least recently used come first. is_trimmable: a prefix may end anywhere, else at marks only."""

    def __init__(self, max_entries: int, *, is_trimmable: bool) -> None:
        self._max_entries = max_entries
        self._is_trimmable = is_trimmable
        self._entries: dict[SessionId, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def sessions(self) -> tuple[SessionId, ...]:
        """What is kept, the least recently used first."""
        return tuple(self._entries)

    @property
    def tokens(self) -> int:
        """The KV cache that all of it takes."""
        return sum(entry.length for entry in self._entries.values())

    def is_worth_keeping(self, length: int) -> bool:
        """Whether a session of so many tokens can be of use."""
        return self._max_entries > 0 and length >= _WORTH_TOKENS

    def add(self, session: SessionId, tokens: Sequence[int], marks: Iterable[int] = ()) -> list[SessionId]:
        """Keep a session that is over; return those that have to go for it."""
        self._entries[session] = _Entry(_packed(tokens), tuple(marks))
        return [self._pop_oldest() for _ in range(len(self._entries) - self._max_entries)]

    def find(self, prompt: Sequence[int]) -> Prefix | None:
        """The longest beginning of `prompt`, short of its last token, that is kept; it counts as used now."""
        wanted = _packed(prompt)[:-_TOKEN_BYTES]
        found = {session: self._usable(entry, wanted) for session, entry in self._entries.items()}
        best = max(found, key=lambda session: found[session], default=None)
        if best is None or found[best] < _WORTH_TOKENS:
            return None
        entry = self._entries.pop(best)
        self._entries[best] = entry
        return Prefix(best, found[best], is_taken=found[best] >= _TAKEN_SHARE * entry.length)

    def remove(self, session: SessionId) -> bool:
        """Forget a session; return whether it was kept."""
        return self._entries.pop(session, None) is not None

    def shrink(self, most_tokens: int, *, but: SessionId | None = None) -> list[SessionId]:
        """Let go of the least recently used until the rest takes so much at most; never of `but`."""
        gone = []
        for session in [each for each in self._entries if each != but]:
            if self.tokens <= most_tokens:
                break
            del self._entries[session]
            gone.append(session)
        return gone

    def _pop_oldest(self) -> SessionId:
        session = next(iter(self._entries))
        del self._entries[session]
        return session

    def _usable(self, entry: _Entry, wanted: bytes) -> int:
        common = _common(entry.tokens, wanted)
        if self._is_trimmable or common == entry.length:
            return common
        return max((mark for mark in entry.marks if mark <= common), default=0)


def _packed(tokens: Sequence[int]) -> bytes:
    return array("q", tokens).tobytes()


def _common(one: bytes, other: bytes) -> int:
    """How many tokens two sequences have in common at their start: by halves, each compared in C."""
    low, high = 0, min(len(one), len(other)) // _TOKEN_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        begin, end = low * _TOKEN_BYTES, middle * _TOKEN_BYTES
        if one[begin:end] == other[begin:end]:
            low = middle
        else:
            high = middle - 1
    return low
