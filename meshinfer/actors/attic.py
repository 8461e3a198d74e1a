"""What a stage computed of sessions that may come back: kept for a while, and within bounds."""

from dataclasses import dataclass

from meshinfer.model.base import Kept


@dataclass(frozen=True, slots=True)
class _Entry:
    kept: Kept
    since_s: float


class Attic:
    """One entry a session, the oldest first. What has to go is returned: others give its memory back."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """The memory that all of it takes."""
        return sum(entry.kept.size_bytes for entry in self._entries.values())

    def put(self, name: str, kept: Kept, now_s: float) -> list[Kept]:
        """Keep a session; what was kept of it before goes."""
        before = self._entries.pop(name, None)
        self._entries[name] = _Entry(kept, now_s)
        return [before.kept] if before is not None else []

    def get(self, name: str) -> Kept | None:
        """What is kept of a session."""
        entry = self._entries.get(name)
        return entry.kept if entry is not None else None

    def pop(self, name: str) -> Kept | None:
        """Take out what is kept of a session."""
        entry = self._entries.pop(name, None)
        return entry.kept if entry is not None else None

    def expire(self, now_s: float) -> list[Kept]:
        """Let go of what nobody came for."""
        old = [name for name, entry in self._entries.items() if now_s - entry.since_s >= self._keep_s]
        return [self._entries.pop(name).kept for name in old]

    def shrink(self, most_bytes: int) -> list[Kept]:
        """Let go of the oldest until the rest takes at most so much."""
        gone = []
        while self._entries and self.size_bytes > most_bytes:
            gone.append(self._entries.pop(next(iter(self._entries))).kept)
        return gone
