"""What a model thinks before it answers, told from its answer by the marks that it puts around it."""

from .marking import certain_length, first_mark


class ReasoningSplit:
    """Takes an answer in pieces of any size, and gives them back as reasoning and as what comes behind it.

    An answer thinks at its beginning or not at all: marks further on are text like any other. White space
    around the marks belongs to neither side. How the answer is cut into pieces changes nothing of what comes
    out, taken together.
    """

    def __init__(self, start: str, end: str, *, is_open: bool = False, others: tuple[str, ...] = ()) -> None:
        """Begin an answer.

        start, end: the marks; both empty where the model does not think aloud. is_open: the prompt ends with
        `start`. others: marks that end the reasoning too, and are no part of it; such as that of a tool call.
        """
        self._start = start
        self._ends = (end, *others)
        self._end = end
        self._is_reasoning = is_open and bool(end)
        self._is_undecided = bool(start) and not self._is_reasoning
        # Whether white space is skipped until something else comes.
        self._is_fresh = self._is_reasoning
        self._held = ""

    @property
    def is_reasoning(self) -> bool:
        """Whether the answer proper has not begun."""
        return self._is_reasoning

    def feed(self, text: str) -> tuple[str, str]:
        """Take a piece; return what is certain by now: reasoning, and the answer's text behind it."""
        self._held += text
        if self._is_undecided and not self._decide():
            return "", ""
        thought = self._think() if self._is_reasoning else ""
        return thought, "" if self._is_reasoning else self._speak()

    def finish(self) -> tuple[str, str]:
        """The answer is over: what was held back."""
        self._is_undecided = False
        held, self._held = self._held, ""
        if self._is_reasoning:
            return self._trimmed(held).rstrip(), ""
        return "", held.lstrip() if self._is_fresh else held

    def _decide(self) -> bool:
        """Whether it is known by now if the answer begins with reasoning."""
        begun = self._held.lstrip()
        if begun.startswith(self._start):
            self._held = begun[len(self._start) :]
            self._is_reasoning = self._is_fresh = True
        elif self._start.startswith(begun):
            return False
        self._is_undecided = False
        return True

    def _think(self) -> str:
        if (found := first_mark(self._held, self._ends)) is not None:
            place, mark = found
            thought, self._held = self._held[:place], self._held[place:]
            if mark == self._end:
                self._held = self._held[len(mark) :]
            thought = self._trimmed(thought).rstrip()
            self._is_reasoning, self._is_fresh = False, True
            return thought
        # The white space at its end may be the last of it.
        certain = len(self._held[: certain_length(self._held, self._ends)].rstrip())
        thought, self._held = self._held[:certain], self._held[certain:]
        return self._trimmed(thought)

    def _speak(self) -> str:
        text, self._held = self._held, ""
        return self._trimmed(text)

    def _trimmed(self, text: str) -> str:
        if self._is_fresh:
            text = text.lstrip()
            self._is_fresh = not text
        return text
