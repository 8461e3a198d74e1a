"""The contract of a model's language: text and chats to tokens, and tokens to text, calls and constraints."""

import concurrent.futures
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshinfer.messages import Constraint


class Detokenizer(Protocol):
    """Turns one answer's token ids into text, piece by piece; never half a character."""

    def add(self, token: int) -> str:
        """Take a token; return the text that became certain (often empty)."""
        ...

    def finish(self) -> str:
        """Return what was held back, with broken characters replaced."""
        ...


@dataclass(frozen=True, slots=True)
class Markers:
    """What a model puts around its thinking and around its tool calls; empty where it has none.

    A model may end its calls with nothing but the answer's end: call_end is empty, and call_start is not.
    The markers may be special tokens: a detokenizer shows them if it keeps those.
    """

    think_start: str = ""
    think_end: str = ""
    call_start: str = ""
    call_end: str = ""


class Matcher(Protocol):
    """One answer's way through its constraint. Used on one thread only."""

    @property
    def length(self) -> int:
        """How many tokens of the answer it has taken."""
        ...

    def take(self, tokens: Sequence[int]) -> None:
        """Go on by some tokens of the answer.

        Raises:
            StageFailed: the constraint does not allow them.
        """
        ...

    def mask(self, stop_tokens: Sequence[int]) -> bytes:
        """Which tokens may follow: a bit for each id, the lowest first; ids beyond the end may not.

        Stop tokens may where the answer is whole, and nowhere else.

        Raises:
            StageFailed: no token may follow.
        """
        ...

    def is_over(self) -> bool:
        """Whether the answer is whole, and nothing can follow it."""
        ...


class Tokenizer(Protocol):
    """A model's tokenizer and chat template.

    What encodes and decodes is safe from any one thread at a time, all else from any number.
    """

    @property
    def markers(self) -> Markers:
        """What stands around thinking and tool calls."""
        ...

    def knows(self, option: str) -> bool:
        """Whether the chat template looks at an option, such as `enable_thinking` or `tools`."""
        ...

    def parse_call(self, text: str, tools: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
        """Read what a model wrote between its tool-call markers: (name, JSON of the arguments) of each call.

        tools: those that it was given, in OpenAI's shape; some formats leave types to them.

        Raises:
            ValueError: it is no tool call, or this model makes none.
        """
        ...

    def token_bytes(self, token: int) -> bytes:
        """What a token stands for in a text: UTF-8, perhaps a part of a character.

        The name of a special token; nothing, where there is no such token.
        """
        ...

    def grammar_fault(self, constraint: Constraint) -> str:
        """Why a constraint cannot be done for this model; empty if it can. Takes up to a second."""
        ...

    def matcher(self, constraint: Constraint) -> "concurrent.futures.Future[Matcher]":
        """Begin to make what an answer is constrained by; the future's result is for one answer alone.

        Its exception is a RequestError where the constraint cannot be done.
        """
        ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a bare text, with the model's own beginning-of-text where it has one."""
        ...

    def encode_chat(
        self,
        messages: list[dict[str, object]],
        tools: list[dict[str, object]] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> tuple[int, ...]:
        """Token ids of a chat in the model's template, ready for the assistant's turn.

        messages, tools: in OpenAI's shape. options: what the template is told beside them.

        Raises:
            RequestError: the model has no chat template, the template refuses these messages, or it does not
                know the tools or an option.
        """
        ...

    def decode(self, tokens: tuple[int, ...]) -> str:
        """The text of some token ids, special tokens left out."""
        ...

    def detokenizer(self, keeps_special: bool = False) -> Detokenizer:
        """A fresh one, for one answer. keeps_special: special tokens become text too."""
        ...
