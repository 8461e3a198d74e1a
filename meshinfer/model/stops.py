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
        self._is_stopped = False

    def feed(self, text: str) -> tuple[str, bool]:
        """Take a piece; return what may be shown and whether the answer ends here."""
        if self._is_stopped:
            return "", True
        # The held text alone holds no stop string, so a complete one ends within the new piece.
        held, self._held = self._held + text, ""
        begin = self._first_stop(held)
        if begin is not None:
            self._is_stopped = True
            return held[:begin], True
        keep = self._possible_beginning(held)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep], False

    def flush(self) -> str:
        """The answer ended by itself: return what was held back."""
        held, self._held = self._held, ""
        return held

    def _first_stop(self, text: str) -> int | None:
        """Where the stop string that is complete first begins."""
        found = [(text.find(stop), len(stop)) for stop in self._stops]
        ends = [(begin + length, begin) for begin, length in found if begin >= 0]
        return min(ends)[1] if ends else None

    def _possible_beginning(self, text: str) -> int:
        """The length of the longest end of `text` that begins a stop string."""
        return max((_overlap(text, stop) for stop in self._stops), default=0)


def _overlap(text: str, stop: str) -> int:
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
