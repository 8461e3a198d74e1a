"""The parts of an answer, put together again: what APIs that tell it in one make their JSON of."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .delta import CallArguments, CallBegun, Delta, Ended, Reasoning, Text


@dataclass(frozen=True, slots=True)
class Call:
    """A whole call of a tool. arguments: JSON, of an object where the answer was not cut short."""

    id: str
    name: str
    arguments: str


Whole = Text | Reasoning | Call


def joined(deltas: Iterable[Delta]) -> list[Whole]:
    """The parts of one choice, each run of text in one; nothing that is empty."""
    return [whole for key, run in groupby(deltas, _key) for whole in _whole(key, run)]


def ending(deltas: Iterable[Delta]) -> Ended:
    """How the first choice ended."""
    return next(delta for delta in deltas if isinstance(delta, Ended))


def call_arguments(text: str) -> dict[str, Any]:
    """The arguments of a call as an object; empty where the answer was cut short before they were whole."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _key(delta: Delta) -> object:
    match delta:
        case CallBegun(number=number) | CallArguments(number=number):
            return number
        case _:
            return type(delta)


def _whole(key: object, run: Iterator[Delta]) -> Iterator[Whole]:
    first = next(run)
    text = getattr(first, "text", "") + "".join(getattr(delta, "text", "") for delta in run)
    match first:
        case Text():
            if text:
                yield Text(first.choice, text)
        case Reasoning():
            if text:
                yield Reasoning(first.choice, text)
        case CallBegun(id=call, name=name):
            yield Call(call, name, text)
        case _:
            pass
