"""What is fuzzed: a pure function of bytes, with what it may raise and what real inputs look like."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

MAX_INPUT_BYTES = 8192
"""Longer inputs find little more, and cost much."""


class Shape(NamedTuple):
    """A notation of nested values. Both functions may raise ValueError, TypeError or RecursionError."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


JSON = Shape(json.loads, lambda value: json.dumps(value).encode())
MSGPACK = Shape(msgspec.msgpack.decode, msgspec.msgpack.encode)


@dataclass(frozen=True, slots=True)
class Target:
    """`run` takes any bytes and returns, or raises one of `allowed`: whatever else it does is a finding.

    seeds: real encodings, from which inputs are made. shape: in which notation they are, so that parts of
    them can be exchanged; None where they are in none.
    """

    name: str
    run: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    shape: Shape | None = None


def of_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """A function of texts as one of bytes, as tools' outputs are read: what is no UTF-8 is replaced."""
    return lambda data: read(data.decode(errors="replace"))
