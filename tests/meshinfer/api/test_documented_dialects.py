"""What docs/api.md says of the other APIs' parameters is what the code does, and none is left out."""

import json
import re
from collections.abc import Iterable

import pytest
from anthropic.types.beta import message_create_params
from ollama._types import ChatRequest, GenerateRequest
from ollama._types import Options as ClientOptions
from openai.types.responses import response_create_params
from pydantic import BaseModel

from meshinfer.api import anthropic_refusals, ollama_refusals, responses_refusals, tokenize_request
from meshinfer.api.anthropic_request import CountBody, MessagesBody
from meshinfer.api.ollama_request import GenerateBody, OllamaChatBody, Options
from meshinfer.api.refusals import Refusals
from meshinfer.api.responses_request import ResponsesBody
from meshinfer.api.tokenize_request import TokenizeBody
from tests.meshinfer.api.test_documented import DOCUMENT, table

# `betas` is a header.
ANTHROPIC = message_create_params.MessageCreateParamsBase.__annotations__.keys() - {"betas"}

TABLES = [
    (
        "POST /v1/messages",
        MessagesBody,
        anthropic_refusals.REFUSED,
        anthropic_refusals.HARMLESS,
        ANTHROPIC,
    ),
    (
        "POST /v1/responses",
        ResponsesBody,
        responses_refusals.RESPONSES,
        responses_refusals.RESPONSES_HARMLESS - ResponsesBody.model_fields.keys(),
        response_create_params.ResponseCreateParamsBase.__annotations__,
    ),
    (
        "POST /api/chat",
        OllamaChatBody,
        ollama_refusals.REFUSED,
        ollama_refusals.HARMLESS,
        ChatRequest.model_fields,
    ),
    (
        "POST /api/chat: options",
        Options,
        ollama_refusals.OPTIONS,
        ollama_refusals.OPTIONS_HARMLESS,
        ClientOptions.model_fields,
    ),
    (
        "POST /api/generate",
        GenerateBody,
        ollama_refusals.REFUSED_OF_TEXTS,
        ollama_refusals.HARMLESS,
        GenerateRequest.model_fields,
    ),
    ("POST /tokenize", TokenizeBody, tokenize_request.REFUSED, frozenset(), ()),
]


@pytest.mark.parametrize(("heading", "body", "refusals", "harmless", "sent"), TABLES)
def test_the_table_says_what_becomes_of_every_parameter(
    heading: str,
    body: type[BaseModel],
    refusals: Refusals,
    harmless: frozenset[str],
    sent: Iterable[str],
) -> None:
    said = table(heading)
    assert {name: here for name, (here, _, _) in said.items()} == {
        **dict.fromkeys(body.model_fields, "honoured"),
        **dict.fromkeys(refusals, "refused"),
        **dict.fromkeys(harmless, "harmless"),
    }
    assert set(sent) <= said.keys()
    for here, since, _ in said.values():
        assert bool(since) is (here != "refused")
    for name, values in refusals.items():
        words = said[name][2]
        assert words.startswith("may be ") is bool(values)
        assert all(json.dumps(value) in words for value in values)


def test_counting_takes_what_its_paragraph_says() -> None:
    missing = MessagesBody.model_fields.keys() - CountBody.model_fields.keys()
    paragraph = DOCUMENT.partition("`POST /v1/messages/count_tokens` takes the same but")[2]
    assert set(re.findall(r"`([^`]+)`", paragraph.partition("counts")[0])) == missing
