"""Tool calls, told from an answer's text by the marks that its model puts around them."""

from collections.abc import Callable

from .delta import CallArguments, CallBegun, Delta, Text
from .marking import certain_length, first_mark

Parse = Callable[[str], list[tuple[str, str]]]
"""What stands between the marks → name and arguments, as a JSON object, of each call; ValueError if it is
none.
"""

NewId = Callable[[int], str]
"""A call's number within its choice → its id."""


class ToolCalls:
    """Takes the text of one choice in pieces of any size, and gives it back as text and calls.

    What stands between the marks and is no call is text, marks and all. White space between a text and a
    call, or behind a call, belongs to neither. How the answer is cut into pieces changes nothing of what
    comes out, taken together.
    """

    def __init__(
        self, choice: int, start: str, end: str, parse: Parse, new_id: NewId, *, is_parallel: bool = True
    ) -> None:
        """Begin an answer.

        start, end: the marks; without an end a call goes on to the answer's end. is_parallel: whether there
        may be more than one call; if not, nothing comes out behind the first.
        """
        self._choice = choice
        self._start = start
        self._end = end
        self._parse = parse
        self._new_id = new_id
        self._is_parallel = is_parallel
        self._held = ""
        self._is_call = False
        # From here on an end of the call that is held is looked for: before it stand ends that were none.
        self._place = 0
        self._calls = 0
        # Behind a call, white space is skipped until something else comes.
        self._is_fresh = False

    @property
    def has_calls(self) -> bool:
        """Whether a call came."""
        return self._calls > 0

    @property
    def is_over(self) -> bool:
        """Whether the only call that there may be is whole: what follows is not wanted."""
        return self.has_calls and not self._is_parallel

    def feed(self, text: str) -> list[Delta]:
        """Take a piece; return what is certain by now."""
        self._held += text
        deltas: list[Delta] = []
        while not self.is_over and self._step(deltas):
            pass
        return deltas

    def finish(self) -> list[Delta]:
        """The answer is over: what was held back. Many models end a last call by ending the answer."""
        held, self._held = self._held, ""
        if self.is_over:
            return []
        if not self._is_call:
            return self._text(held)
        self._is_call = False
        calls = self._parsed(held[len(self._start) :])
        return self._told(calls) if calls else self._text(held)

    def _step(self, deltas: list[Delta]) -> bool:
        """Go on to the next mark; False where what is held has no more."""
        return self._read_call(deltas) if self._is_call else self._read_text(deltas)

    def _read_text(self, deltas: list[Delta]) -> bool:
        if (found := first_mark(self._held, (self._start,))) is not None:
            text, self._held = self._held[: found[0]], self._held[found[0] :]
            deltas += self._text(text.rstrip())
            self._is_call, self._place = True, len(self._start)
            return True
        # The white space at its end may stand before a call.
        certain = len(self._held[: certain_length(self._held, (self._start,))].rstrip())
        text, self._held = self._held[:certain], self._held[certain:]
        deltas += self._text(text)
        return False

    def _read_call(self, deltas: list[Delta]) -> bool:
        """Read a call that is held from its start on.

        Its arguments may quote the end's mark. So what ends there and is no call may go on to the next end,
        unless another call begins before that.
        """
        has_failed = self._place > len(self._start)
        marks = (self._end, self._start) if has_failed else (self._end,)
        found = first_mark(self._held, marks, self._place)
        if found is None:
            return False
        place, mark = found
        if mark == self._start and mark != self._end:
            text, self._held = self._held[:place], self._held[place:]
            deltas += self._text(text.rstrip())
            self._place = len(self._start)
            return True
        behind = place + len(mark)
        calls = self._parsed(self._held[len(self._start) : place])
        if calls:
            deltas += self._told(calls)
            self._held = self._held[behind:]
            self._is_call, self._is_fresh = False, True
        else:
            self._place = behind
        return True

    def _parsed(self, text: str) -> list[tuple[str, str]]:
        try:
            return self._parse(text)
        except ValueError:
            return []

    def _told(self, calls: list[tuple[str, str]]) -> list[Delta]:
        deltas: list[Delta] = []
        for name, arguments in calls if self._is_parallel else calls[:1]:
            number = self._calls
            self._calls += 1
            deltas.append(CallBegun(self._choice, number, self._new_id(number), name))
            deltas.append(CallArguments(self._choice, number, arguments))
        return deltas

    def _text(self, text: str) -> list[Delta]:
        if self._is_fresh:
            text = text.lstrip()
            self._is_fresh = not text
        return [Text(self._choice, text)] if text else []
