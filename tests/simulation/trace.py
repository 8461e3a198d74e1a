"""What happened in a run, in one number: the same seed must give the same again."""

from collections.abc import Callable
from hashlib import blake2b

Show = Callable[[str], None]


class Trace:
    """Takes in everything that happens, with its time; show: prints the rarer things for people."""

    def __init__(self, show: Show | None = None) -> None:
        self._hash = blake2b(digest_size=16)
        self._show = show
        self.notes = 0

    def note(self, now_s: float, what: str, data: bytes = b"") -> None:
        """Take in one thing that nobody wants to read: a datagram, a frame."""
        self.notes += 1
        self._hash.update(b"%r %b %d " % (now_s, what.encode(), len(data)))
        self._hash.update(data)

    def tell(self, now_s: float, what: str) -> None:
        """Take in one thing that somebody may want to read."""
        self.note(now_s, what)
        if self._show is not None:
            self._show(f"{now_s:10.4f} {what}")

    @property
    def digest(self) -> str:
        """The number, as hex digits."""
        return self._hash.hexdigest()
