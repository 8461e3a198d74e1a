"""What docs/api.md says of parameters is what the code does, and no parameter of OpenAI's is left out."""

import json
import re
from pathlib import Path

import pytest
from openai.types import completion_create_params
from openai.types.chat import completion_create_params as chat_create_params
from pydantic import BaseModel

from meshinfer.api.openai_request import ChatBody, CompletionBody
from meshinfer.api.refusals import CHAT, COMPLETION, HARMLESS, Refusals

DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
ROW = re.compile(r"\| `([a-z0-9_]+)` \| (honoured|refused|harmless) \| ([0-9.]*) ?\| ?(.*) \|")

TABLES = [
    ("POST /v1/chat/completions", ChatBody, CHAT, chat_create_params.CompletionCreateParamsBase),
    ("POST /v1/completions", CompletionBody, COMPLETION, completion_create_params.CompletionCreateParamsBase),
]


def table(heading: str) -> dict[str, tuple[str, str, str]]:
    """From a parameter to what is said of it."""
    section = DOCUMENT.split(f"\n## `{heading}`\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    rows = [ROW.fullmatch(line) for line in lines]
    assert all(rows), lines
    return {row[1]: (row[2], row[3], row[4]) for row in rows if row}


@pytest.mark.parametrize(("heading", "body", "refusals", "sent"), TABLES)
def test_the_table_says_what_becomes_of_every_parameter(
    heading: str, body: type[BaseModel], refusals: Refusals, sent: type
) -> None:
    expected = {
        **dict.fromkeys(body.model_fields, "honoured"),
        **dict.fromkeys(refusals, "refused"),
        **dict.fromkeys(HARMLESS, "harmless"),
    }
    said = table(heading)
    assert {name: here for name, (here, _, _) in said.items()} == expected
    for here, since, _ in said.values():
        assert bool(since) is (here != "refused")


@pytest.mark.parametrize(("heading", "body", "refusals", "sent"), TABLES)
def test_values_that_change_nothing_stand_beside_what_is_refused(
    heading: str, body: type[BaseModel], refusals: Refusals, sent: type
) -> None:
    said = table(heading)
    for name, values in refusals.items():
        words = said[name][2]
        assert words.startswith("may be ") is bool(values)
        assert all(json.dumps(value) in words for value in values)


@pytest.mark.parametrize(("heading", "body", "refusals", "sent"), TABLES)
def test_all_that_openais_client_sends_is_in_the_table(
    heading: str, body: type[BaseModel], refusals: Refusals, sent: type
) -> None:
    assert set(sent.__annotations__) - table(heading).keys() == set()
