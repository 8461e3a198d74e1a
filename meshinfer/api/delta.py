"""An answer in parts, whatever API asked for it: the pieces that a peer yields, understood.

An answer has one or more choices, each a text of its own; parts of several choices come mixed, those of one
in order, and `Ended` last. A choice's parts are first its reasoning, if it has any, then text or calls.
"""

from dataclasses import dataclass
from enum import Enum

from meshinfer.generation import Choice


class End(Enum):
    """Why a choice ended: by itself or at a stop string, at its length, or because it calls tools."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a choice took, in tokens. cached_tokens of the prompt's were not computed anew.

    answer_tokens: all that was sampled; reasoning_tokens of them are no answer yet. prompt_s: from the
    question to its first token, waiting included; answer_s: from there to the end.
    """

    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    prompt_s: float = 0.0
    answer_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Text:
    """More of a choice's text; may be empty, where the first token is half a character.

    tokens: those that it is made of, where log-probabilities were asked for.
    """

    choice: int
    text: str
    tokens: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """More of what a model thinks before it answers."""

    choice: int
    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A choice begins to call a tool. number: 0 for a choice's first call; id: unique among all answers."""

    choice: int
    number: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of the JSON object that a call hands to its tool."""

    choice: int
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A choice is whole. stop_text: the stop string that ended it, if one did."""

    choice: int
    reason: End
    usage: Usage
    stop_text: str | None = None


Delta = Text | Reasoning | CallBegun | CallArguments | Ended
