"""Inputs made of real ones: bytes changed, cut and doubled, or one part of nested values exchanged."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from .target import MAX_INPUT_BYTES, Shape, Target

_NUMBERS = (0, 1, -1, 2, 127, 255, 256, 65_535, 65_536, 2**31, 2**32 - 1, 2**40, 2**53, 2**63 - 1, 2**64 - 1)
_HUGE = (2**63, -(2**63), 10**30, float("inf"), float("nan"), -0.0, 1e308)
_TEXTS = (
    "",
    "a",
    "../../etc/passwd",
    "/",
    "\x00",
    "é" * 40,
    "\ud800",
    "a" * 600,
    "1e9",
    "-1",
    "nan",
    "{{7*7}}",
)
_VALUES: tuple[Any, ...] = (
    *_NUMBERS, *_HUGE, *_TEXTS, None, True, False, b"", b"\x00" * 16, [], {}, [[]], {"": None}, [0] * 300,
)  # fmt: skip
_DEEP = 200
_MOST_NODES = 4000


def inputs(target: Target, random: Random) -> Iterator[bytes]:
    """Endlessly more inputs of a target; its seeds as they are come first."""
    seeds = list(target.seeds())
    yield from seeds
    while True:
        seed = random.choice(seeds)
        if target.shape is not None and random.random() < 0.6:
            yield exchanged(seed, target.shape, random)
        else:
            yield mutated(seed, random, seeds)[:MAX_INPUT_BYTES]


def mutated(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """One to four changes of bytes."""
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice((1, 1, 2, 4, 8, 40)))
        match random.randrange(7):
            case 0:
                data = data[:at] + random.randbytes(end - at) + data[end:]
            case 1:
                data = data[:at] + data[end:]
            case 2:
                data = data[:end] + data[at:end] * random.choice((1, 2, 20)) + data[end:]
            case 3:
                size = random.choice((1, 2, 4, 8))
                number = random.choice(_NUMBERS) % (1 << 8 * size)
                data = data[:at] + number.to_bytes(size, random.choice(("big", "little"))) + data[at + size :]
            case 4:
                data = data[:at]
            case 5:
                other = random.choice(others)
                data = data[:at] + other[random.randrange(len(other) + 1) :]
            case _:
                data = data[:at] + str(random.choice(_VALUES)).encode(errors="replace") + data[end:]
    return data


def exchanged(data: bytes, shape: Shape, random: Random) -> bytes:
    """One part of nested values exchanged, dropped, doubled or moved; `data` itself if it has none."""
    try:
        whole = shape.decode(data)
        places = list(_places(whole))
        if not places:
            return data
        inside, key = random.choice(places)
        match random.randrange(6):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, dict):
                inside[random.choice(_TEXTS)] = inside[key]
            case 1:
                inside.insert(key, inside[key])
            case 2:
                other, place = random.choice(places)
                inside[key] = other[place]
            case 3:
                inside[key] = _deep(inside[key], random.choice((1, 3, _DEEP)), random)
            case _:
                inside[key] = random.choice(_VALUES)
        return shape.encode(whole)
    except (ValueError, TypeError, OverflowError, RecursionError):
        # What cannot be written, such as bytes in JSON, is no input in this notation.
        return data


def _deep(value: Any, depth: int, random: Random) -> Any:
    for _ in range(depth):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def _places(whole: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of each part, up to a number."""
    waiting = [whole] if isinstance(whole, (dict, list)) else []
    count = 0
    while waiting and count < _MOST_NODES:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        for key in keys:
            count += 1
            yield inside, key
            if isinstance(inside[key], (dict, list)):
                waiting.append(inside[key])
