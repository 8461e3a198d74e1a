from dataclasses import replace

import pytest

from meshinfer.api.errors import ApiError
from meshinfer.api.idempotency import claim, read_key
from meshinfer.api.question import Question
from meshinfer.api.tools import Tool, ToolChoice, ToolMode
from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind, Sampling

MESSAGES = ({"role": "user", "content": "h\u00e9llo"},)
CHAT = Question(
    "chat",
    MESSAGES,
    sampling=Sampling(0.7, logit_bias=((5, 1.0),)),
)


@pytest.mark.parametrize(
    "key", ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted, with spaces"', "~" * 255]
)
def test_a_key_is_printable_ascii(key: str) -> None:
    assert read_key({"Idempotency-Key": key}) == key
    assert read_key({}) is None


@pytest.mark.parametrize("key", ["", "a" * 256, "k\u00e9y", "tab\there", "\x00"])
def test_any_other_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ApiError, match="Idempotency-Key takes 1 to 255 printable ASCII") as refused:
        read_key({"Idempotency-Key": key})
    assert (refused.value.status, refused.value.param) == (400, "Idempotency-Key")
    assert not key or key not in refused.value.message


def test_every_peer_draws_the_same_seed() -> None:
    drawn = claim("key", CHAT)
    # Pinned: peers of one release agree on it, and so does a later one.
    assert (drawn.seed, drawn.token) == (1536199859150757323, "1cf60d0978ca9a29793d3cc9")
    assert 0 <= drawn.seed < 1 << 63


@pytest.mark.parametrize(
    "other",
    [
        replace(CHAT, dialect="completion"),
        replace(CHAT, prompt=({"role": "user", "content": "hello"},)),
        replace(CHAT, model="tiny"),
        replace(CHAT, max_tokens=5),
        replace(CHAT, stop=("x",)),
        replace(CHAT, sampling=replace(CHAT.sampling, temperature=0.8)),
        replace(CHAT, sampling=replace(CHAT.sampling, seed=1), is_seeded=True),
        replace(CHAT, is_seeded=True),
        replace(CHAT, ignores_stops=True),
        replace(CHAT, choices=2),
        replace(CHAT, other_prompts=("x",)),
        replace(CHAT, constraint=Constraint(ConstraintKind.JSON)),
        replace(CHAT, top_logprobs=0),
        replace(CHAT, is_echoed=True),
        replace(CHAT, tools=(Tool("f"),)),
        replace(CHAT, prompt=Conversation(MESSAGES, options={"enable_thinking": False})),
    ],
)
def test_another_question_is_another_claim(other: Question) -> None:
    assert claim("key", other).digest != claim("key", CHAT).digest


def test_how_a_tool_may_be_called_is_part_of_the_question() -> None:
    tools = replace(CHAT, tools=(Tool("f"),))
    digests = {
        claim("key", replace(tools, tool_choice=choice)).digest
        for choice in (ToolChoice(), ToolChoice(ToolMode.REQUIRED), ToolChoice(is_parallel=False))
    }
    assert len(digests) == 3
    assert claim("key", replace(CHAT, tool_choice=ToolChoice(is_parallel=False))) == claim("key", CHAT)


def test_a_conversation_of_messages_alone_is_these_messages() -> None:
    assert claim("key", replace(CHAT, prompt=Conversation(MESSAGES))) == claim("key", CHAT)


def test_another_key_is_another_claim() -> None:
    assert claim("other", CHAT).seed != claim("key", CHAT).seed


def test_hints_make_another_question() -> None:
    messages = ({"role": "user", "content": "hi"},)
    bare, hinted = (
        claim("key", replace(CHAT, prompt=Conversation(messages, hints=hints)))
        for hints in ({}, {"enable_thinking": False})
    )
    assert bare.digest != hinted.digest
