"""One choice of an answer: the pieces that a peer yields, understood as thinking, text and calls."""

from dataclasses import replace
from hashlib import blake2b

from meshinfer.generation import Choice, Piece
from meshinfer.messages import Finish

from .approach import Approach
from .delta import CallBegun, Delta, End, Ended, Reasoning, Text, Usage
from .reasoning import ReasoningSplit
from .toolcalls import ToolCalls

_ENDS = {Finish.STOP: End.STOP, Finish.LENGTH: End.LENGTH}

_ID_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 9
"""Templates of Mistral's models take ids of nine letters and digits, and no others."""


def call_id(token: str, choice: int, number: int) -> str:
    """The id of a call: of 47 bits, the same whenever the same answer is told. token: the answer's own."""
    digest = blake2b(f"{token} {choice} {number}".encode(), digest_size=_ID_LENGTH).digest()
    return "".join(_ID_CHARACTERS[byte % len(_ID_CHARACTERS)] for byte in digest)


class ChoiceReader:
    """Takes the pieces of one choice and gives back its parts. token: of the answer, for ids of its calls."""

    def __init__(self, choice: int, approach: Approach, token: str) -> None:
        self._choice = choice
        thinking, calls = approach.thinking, approach.calls
        self._thoughts = (
            ReasoningSplit(
                thinking.start.text,
                thinking.end.text,
                is_open=thinking.is_open,
                others=(calls.start,) if calls else (),
            )
            if thinking
            else None
        )
        self._names = approach.names
        self._format = calls
        self._calls = (
            ToolCalls(
                choice,
                calls.start,
                calls.end,
                self._parse,
                lambda number: call_id(token, choice, number),
                is_parallel=approach.is_parallel,
            )
            if calls
            else None
        )
        # Those whose text was not shown yet.
        self._tokens: tuple[Choice, ...] = ()
        self._reasoning_tokens = 0

    def read(self, piece: Piece) -> list[Delta]:
        """What a piece adds to the choice; `Ended` is the last of it."""
        self._tokens += piece.tokens
        was_reasoning = self._is_reasoning
        thought, text = self._thoughts.feed(piece.text) if self._thoughts else ("", piece.text)
        deltas: list[Delta] = [*self._reasoning(thought), *self._spoken(text)]
        if piece.finish is not None:
            deltas += self._rest()
        if was_reasoning or self._is_reasoning:
            self._reasoning_tokens = piece.answer_tokens
        if self._is_reasoning:
            self._tokens = ()
        deltas = self._with_tokens(deltas)
        if piece.finish is not None or self.is_over:
            return [*deltas, *self._unshown(), self._ended(piece)]
        if not deltas and not self._thoughts and not self._calls:
            # The first token ends the wait for the prompt, even where it is half a character.
            return [Text(self._choice, "")]
        return deltas

    @property
    def is_over(self) -> bool:
        """Whether the choice has ended, however its pieces go on: it has the only call that it may have."""
        return self._calls is not None and self._calls.is_over

    @property
    def _is_reasoning(self) -> bool:
        return self._thoughts is not None and self._thoughts.is_reasoning

    def _rest(self) -> list[Delta]:
        thought, text = self._thoughts.finish() if self._thoughts else ("", "")
        spoken = self._spoken(text)
        return [*self._reasoning(thought), *spoken, *(self._calls.finish() if self._calls else [])]

    def _reasoning(self, thought: str) -> list[Delta]:
        return [Reasoning(self._choice, thought)] if thought else []

    def _spoken(self, text: str) -> list[Delta]:
        if self._calls is not None:
            return self._calls.feed(text)
        return [Text(self._choice, text)] if text else []

    def _with_tokens(self, deltas: list[Delta]) -> list[Delta]:
        """The same, each text with the tokens that came since the last; those of calls are not told."""
        told: list[Delta] = []
        for delta in deltas:
            if isinstance(delta, Text):
                delta = replace(delta, tokens=self._tokens)
            if isinstance(delta, Text | CallBegun):
                self._tokens = ()
            told.append(delta)
        return told

    def _unshown(self) -> list[Delta]:
        """Tokens at the end that show nothing, such as half a character."""
        has_calls = self._calls is not None and self._calls.has_calls
        if not self._tokens or has_calls:
            return []
        return [Text(self._choice, "", self._tokens)]

    def _ended(self, last: Piece) -> Ended:
        usage = Usage(last.prompt_tokens, last.answer_tokens, last.cached_tokens, self._reasoning_tokens)
        reason = _ENDS[last.finish or Finish.STOP]
        if reason is End.STOP and self._calls is not None and self._calls.has_calls:
            reason = End.TOOL_CALLS
        return Ended(self._choice, reason, usage, last.stop_text)

    def _parse(self, text: str) -> list[tuple[str, str]]:
        calls = self._format.parse(text) if self._format else []
        for name, _ in calls:
            if name not in self._names:
                raise ValueError("a call of a tool that was not offered")
        return calls
