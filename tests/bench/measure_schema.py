"""Count how many answers under a JSON schema parse and are valid: all of them should.

    python -m tests.bench.measure_schema [MODEL] [--answers 100] [--readers 4]

A peer in this process runs the model, SmolLM2 by default, and is asked for several schemas with many seeds at
temperature 1, several readers at once. Then masks are timed, token by token, over the answers that came.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import jsonschema

from meshinfer import Constraint, ConstraintKind, Finish, Peer, PeerConfig, Sampling
from meshinfer.errors import MeshError
from meshinfer.model.language import Tokenizer

MAX_TOKENS = 512
NAME = {"type": "string", "minLength": 1, "maxLength": 24}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Describe a person.": {
        "type": "object",
        "properties": {
            "name": NAME,
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "email": {"type": "string", "pattern": "^[a-z]{2,12}@[a-z]{2,12}\\.(com|org)$"},
            "is_married": {"type": "boolean"},
        },
        "required": ["name", "age", "email", "is_married"],
        "additionalProperties": False,
    },
    "List three cities with their weather.": {
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {
            "type": "object",
            "properties": {
                "city": NAME,
                "weather": {"enum": ["sunny", "cloudy", "rainy"]},
                "degrees": {"type": "integer", "minimum": -40, "maximum": 50},
            },
            "required": ["city", "weather", "degrees"],
            "additionalProperties": False,
        },
    },
    "What is the weather in Paris? Call the function.": {
        "type": "object",
        "properties": {
            "name": {"const": "get_weather"},
            "arguments": {
                "type": "object",
                "properties": {"city": NAME, "unit": {"anyOf": [{"const": "celsius"}, {"type": "null"}]}},
                "required": ["city", "unit"],
                "additionalProperties": False,
            },
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    },
    "Draw a small tree of folders.": {
        "$defs": {
            "folder": {
                "type": "object",
                "properties": {
                    "name": NAME,
                    "files": {"type": "array", "items": NAME, "maxItems": 2},
                    "size": {"type": "number", "minimum": 0, "maximum": 9},
                },
                "required": ["name", "files"],
                "additionalProperties": False,
            }
        },
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/folder"}, "trash": {"$ref": "#/$defs/folder"}},
        "required": ["root", "trash"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: its text, why it ended, and what is wrong with it; nothing is, where `fault` is empty."""

    schema: dict[str, Any]
    text: str
    finish: Finish | None
    fault: str


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--readers", type=int, default=4, help="at once")
    options = parser.parse_args()
    asyncio.run(_measure(options.model, options.answers, options.readers))


async def _measure(model: str, count: int, readers: int) -> None:
    async with Peer(PeerConfig(model=model, is_mdns_on=False, name="measured")) as peer:
        await peer.until_live()
        answers = await ask(peer, count, readers)
        tokenizer = peer.served_model().tokenizer
    good = [answer for answer in answers if not answer.fault]
    for answer in answers:
        if answer.fault:
            print(f"{answer.fault}\n  after {answer.finish} in {answer.text!r}")
    print(f"{len(good)} of {len(answers)} parse and validate")
    masks_us = [mask_us for answer in good for mask_us in _masks_us(tokenizer, answer)]
    most_us = statistics.quantiles(masks_us, n=100)[-1]
    print(f"a mask takes {statistics.median(masks_us):.0f} us, 1 in 100 over {most_us:.0f} us")


def _masks_us(tokenizer: Tokenizer, answer: Answer) -> Iterator[float]:
    """How long each mask of an answer takes, in microseconds of this thread."""
    matcher = tokenizer.matcher(_constraint(answer.schema)).result()
    for token in tokenizer.encode(answer.text):
        began_s = time.thread_time()
        matcher.mask((0,))
        yield (time.thread_time() - began_s) * 1e6
        matcher.take((token,))


def _constraint(schema: dict[str, Any]) -> Constraint:
    return Constraint(ConstraintKind.SCHEMA, json.dumps(schema))


async def ask(peer: Peer, count: int, readers: int) -> list[Answer]:
    """Ask for `count` answers, some at once: each schema in turn, and another seed each time."""
    places = asyncio.Semaphore(readers)
    questions = list(SCHEMAS.items())

    async def one(number: int) -> Answer:
        async with places:
            prompt, schema = questions[number % len(questions)]
            return await _answer(peer, prompt, schema, number)

    return await asyncio.gather(*(one(number) for number in range(count)))


async def _answer(peer: Peer, prompt: str, schema: dict[str, Any], seed: int) -> Answer:
    text, finish = "", None
    pieces = peer.generate(
        [{"role": "user", "content": f"{prompt} Answer in JSON."}],
        max_tokens=MAX_TOKENS,
        sampling=Sampling(temperature=1.0, seed=seed),
        constraint=_constraint(schema),
    )
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                text, finish = text + piece.text, piece.finish
        jsonschema.validate(json.loads(text), schema)
    except (MeshError, ValueError, jsonschema.ValidationError) as error:
        return Answer(schema, text, finish, f"{type(error).__name__}: {error}")
    return Answer(schema, text, finish, "")


if __name__ == "__main__":
    main()
