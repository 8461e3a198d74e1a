"""Stop strings: text flows through until one of them is complete."""

from collections.abc import Iterable


class StopStrings:
    """Lets an answer's text through, in pieces of any size, up to the first stop string.

    The stop string that is complete first wins; of several that end at the same character, the one that
    begins first. It is not emitted, nor is what follows. Held back is only what may begin a stop string.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self._stopped_by: str | None = None

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended the answer; None until one does."""
        return self._stopped_by

    def feed(self, text: str) -> tuple[str, bool]:
        """Take a piece; return what may be shown and whether the answer ends here."""
        if self._stopped_by is not None:
            return "", True
        # The held text alone holds no stop string, so a complete one ends within the new piece.
        held, self._held = self._held + text, ""
        found = self._first_stop(held)
        if found is not None:
            begin, self._stopped_by = found
            return held[:begin], True
        keep = self._possible_beginning(held)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep], False

    def flush(self) -> str:
        """The answer ended by itself: return what was held back."""
        held, self._held = self._held, ""
        return held

    def _first_stop(self, text: str) -> tuple[int, str] | None:
        """Where the stop string that is complete first begins, and which it is."""
        found = [(text.find(stop), stop) for stop in self._stops]
        ends = [(begin + len(stop), begin, stop) for begin, stop in found if begin >= 0]
        return min(ends)[1:] if ends else None

    def _possible_beginning(self, text: str) -> int:
        """The length of the longest end of `text` that begins a stop string."""
        return max((_overlap(text, stop) for stop in self._stops), default=0)


def _overlap(text: str, stop: str) -> int:
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
