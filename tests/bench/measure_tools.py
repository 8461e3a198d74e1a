"""How often a small model's calls and JSON come out as they must: every time, since a grammar holds them.

    python -m tests.bench.measure_tools [--count 100] [--peers 2]

Starts real peers with SmolLM2 (135M parameters; its chat template knows no tools), and asks through OpenAI's
own client, at temperature 1, each time with another question and seed: for some call of two tools, for a call
of one that is named, and for JSON of a schema. An answer counts where it is whole, and its JSON fits.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
from openai import OpenAI
from openai.types.chat import ChatCompletion

from tests.mesh.processes import ring
from tests.smollm2 import smollm2

Schema = dict[str, Any]

CITIES = ("Paris", "Oslo", "Lima", "Kyiv", "Quito", "Hanoi", "Accra", "Perth", "Turin", "Osaka")
MAX_TOKENS = 2000
"""Enough for the 8 calls that an answer may hold at most."""
AT_ONCE = 8

WEATHER: Schema = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
}
TRAIN: Schema = {
    "type": "object",
    "properties": {
        "from": {"$ref": "#/$defs/station"},
        "to": {"$ref": "#/$defs/station"},
        "classes": {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 2},
    },
    "required": ["from", "to"],
    "$defs": {"station": {"type": "string", "minLength": 1, "maxLength": 40}},
}
PERSON: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 60},
        "born": {"type": "integer", "minimum": 1800, "maximum": 2020},
        "is_alive": {"type": "boolean"},
        "works": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "title": {"type": "string", "maxLength": 60},
                    "year": {"type": ["integer", "null"]},
                },
                "required": ["title", "year"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["name", "born", "is_alive", "works"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, Schema] = {"get_weather": WEATHER, "find_train": TRAIN}


def main() -> None:
    """Ask, count and print."""
    parser = argparse.ArgumentParser(description="Whether forced calls and JSON come out as they must.")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--peers", type=int, default=2)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        ring(options.peers, smollm2("float32").path, Path(scratch)) as peers,
        OpenAI(base_url=f"{peers[-1].url}/v1", api_key="none", timeout=3600, max_retries=0) as client,
    ):
        for what, ask in ASKED.items():
            tell(what, partial(ask, client, client.models.list().data[0].id), options.count)


def tell(what: str, ask: Callable[[int], str], count: int) -> None:
    """Ask so often; print how many answers were as they must be, and what was wrong with the others."""
    began_s = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = [fault for fault in pool.map(ask, range(count)) if fault]
    took_s = time.monotonic() - began_s
    print(f"{what}: {count - len(faults)} of {count} ({took_s:.0f} s)", flush=True)
    for fault in faults:
        print(f"    {fault}", flush=True)


def some_call(client: OpenAI, model: str, number: int) -> str:
    """Let the model choose between two tools; every fourth time it may call as often as it likes."""
    answer = _call(client, model, number, "required", is_parallel=number % 4 == 0)
    return _calls_fault(answer, SCHEMAS)


def named_call(client: OpenAI, model: str, number: int) -> str:
    """Have it call one of them."""
    choice = {"type": "function", "function": {"name": "find_train"}}
    return _calls_fault(_call(client, model, number, choice), {"find_train": TRAIN})


def json_of_a_schema(client: OpenAI, model: str, number: int) -> str:
    """Have it answer in JSON."""
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": f"Tell me of somebody who was born in {_city(number)}."}],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}},
        max_tokens=MAX_TOKENS,
        seed=number,
    )
    if (reason := answer.choices[0].finish_reason) != "stop":
        return f"ended by {reason}"
    return _json_fault(answer.choices[0].message.content or "", PERSON)


ASKED: dict[str, Callable[[OpenAI, str, int], str]] = {
    "some call of two tools (required)": some_call,
    "a call of one tool (named)": named_call,
    "JSON of a schema (json_schema)": json_of_a_schema,
}


def _city(number: int) -> str:
    return CITIES[number % len(CITIES)]


def _call(
    client: OpenAI, model: str, number: int, choice: Any, *, is_parallel: bool = True
) -> ChatCompletion:
    tools: Any = [
        {"type": "function", "function": {"name": name, "description": f"To {name}.", "parameters": schema}}
        for name, schema in SCHEMAS.items()
    ]
    content = f"I go to {_city(number)} in {number} days: how do I get there, and what will the weather be?"
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": content}],
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=is_parallel,
        max_tokens=MAX_TOKENS,
        seed=number,
    )


def _calls_fault(answer: ChatCompletion, schemas: dict[str, Schema]) -> str:
    """What is wrong with an answer that should be calls; empty if nothing is."""
    choice = answer.choices[0]
    if choice.finish_reason != "tool_calls" or not choice.message.tool_calls or choice.message.content:
        return f"ended by {choice.finish_reason} with text {choice.message.content!r}"
    for call in choice.message.tool_calls:
        if call.type != "function" or call.function.name not in schemas:
            return f"calls {call}"
        if fault := _json_fault(call.function.arguments, schemas[call.function.name]):
            return fault
    return ""


def _json_fault(text: str, schema: Schema) -> str:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{error}".splitlines()[0]
    return ""


if __name__ == "__main__":
    main()
