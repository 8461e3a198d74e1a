"""Fields that are known but not honoured: refused by name, unless they ask for what happens anyway."""

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any

from .errors import ApiError, invalid

Refusals = Mapping[str, tuple[object, ...]]
"""From a field to the values that change nothing; null never does."""

HARMLESS = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "user",
    }
)
"""Notes of the client to its provider: no answer depends on them, so nothing is done with them."""

_BOTH: Refusals = {"service_tier": ("auto", "default"), "store": (False,)}

CHAT: Refusals = {
    **_BOTH,
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
    "verbosity": (),
    "web_search_options": (),
}

COMPLETION: Refusals = {**_BOTH, "suffix": ("",)}

MESSAGE: Refusals = {"annotations": ([],), "audio": (), "function_call": (), "refusal": ()}
"""Clients send back an earlier answer's message as they got it, empty fields and all."""

_INSTEAD = {"function_call": "tool_choice or tool_calls", "functions": "tools"}
"""What took the place of fields that OpenAI gave up."""


def kept_fields(
    body: Mapping[str, Any],
    honoured: Collection[str],
    refusals: Refusals,
    place: str = "",
    *,
    harmless: Collection[str] = HARMLESS,
) -> dict[str, Any]:
    """The honoured fields of `body`. place: what stands before a field's name in errors. harmless: fields
    on which no answer depends.

    Raises:
        ApiError: a field is not supported, or unknown; the text names it, and the likeliest spelling.
    """
    for name, value in body.items():
        if name in refusals:
            _check_changes_nothing(place + name, value, refusals[name])
        elif name not in honoured and name not in harmless:
            raise _unknown(name, {*honoured, *refusals}, place)
    return {name: value for name, value in body.items() if name in honoured}


def _check_changes_nothing(param: str, value: object, allowed: tuple[object, ...]) -> None:
    # By type as well: True equals 1, and is no number of answers.
    if value is None or any(type(value) is type(same) and value == same for same in allowed):
        return
    ways = ["leave it out", *(f"send {json.dumps(same)}" for same in allowed)]
    if newer := _INSTEAD.get(param.rpartition(".")[2]):
        ways.append(f"use {newer}")
    raise invalid(f"{param} is not supported by this release: {' or '.join(ways)}", param)


def _unknown(name: str, known: Collection[str], place: str) -> ApiError:
    shown = name if len(name) <= 64 else f"{name[:64]}…"
    close = difflib.get_close_matches(shown, sorted(known), 1)
    hint = f": did you mean {place}{close[0]}?" if close else ""
    return invalid(f"{place}{shown} is not a known field{hint}", place + shown, "unknown_parameter")
