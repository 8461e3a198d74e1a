"""Answers that are held to a grammar, by whole peers in one process."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import jsonschema
import pytest

from meshinfer import (
    Choice,
    Constraint,
    ConstraintKind,
    Finish,
    Peer,
    PeerConfig,
    Piece,
    RequestError,
    Sampling,
)
from tests.bench.measure_schema import ask
from tests.meshinfer.test_peer import PROMPTS, has_stages, mesh, seed_of, shown
from tests.meshinfer.test_peer import config as config
from tests.meshinfer.test_peer import tiny as tiny
from tests.smollm2 import smollm2

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 8}, "minItems": 3, "maxItems": 5},
    },
    "required": ["name", "tags"],
    "additionalProperties": False,
}
IN_SCHEMA = Constraint(ConstraintKind.SCHEMA, json.dumps(PERSON))
WARM = Sampling(temperature=1.0, seed=21)


async def written(peer: Peer, constraint: Constraint = IN_SCHEMA) -> str:
    async with asyncio.timeout(60):
        pieces = peer.generate(PROMPTS[0], max_tokens=500, sampling=WARM, constraint=constraint)
        return "".join([piece.text async for piece in pieces])


async def test_an_answer_under_a_schema_is_the_same_from_any_ring(config: PeerConfig) -> None:
    texts = set()
    for count in (1, 3):
        async with mesh(config, count) as peers:
            texts |= {await written(peer) for peer in peers}
    (text,) = texts
    jsonschema.validate(json.loads(text), PERSON)


async def test_an_answer_whose_peer_leaves_keeps_its_schema_token_for_token(config: PeerConfig) -> None:
    async with mesh(replace(config, min_peers=1), 2) as peers:
        expected = await written(peers[0])
        third = Peer(replace(config, name="p9", peers=(seed_of(peers[0]),)))
        async with third:
            await shown(third, lambda s: s.mesh.is_live and has_stages(s, 3))
            text, finish = "", None
            pieces = peers[0].generate(PROMPTS[0], max_tokens=500, sampling=WARM, constraint=IN_SCHEMA)
            async with asyncio.timeout(60), aclosing(pieces):
                async for piece in pieces:
                    text, finish = text + piece.text, piece.finish
                    if piece.answer_tokens == 6:
                        await third.__aexit__(None, None, None)
    assert (text, finish) == (expected, Finish.STOP)


async def test_readers_with_and_without_a_schema_are_answered_at_once(config: PeerConfig) -> None:
    async with mesh(config, 2) as (one, other):
        async with asyncio.timeout(60):
            alone = [piece.text async for piece in one.generate("abc", max_tokens=40, sampling=WARM)]
            texts = await asyncio.gather(
                written(one),
                written(other, Constraint(ConstraintKind.REGEX, "(yes|no)!{3}")),
                written(one, Constraint(ConstraintKind.LARK, 'start: "<" /[a-z]{2}/ ">"')),
                _text(other.generate("abc", max_tokens=40, sampling=WARM)),
            )
    jsonschema.validate(json.loads(texts[0]), PERSON)
    assert texts[1] in ("yes!!!", "no!!!")
    assert texts[2][::3] == "<>"
    assert texts[3] == "".join(alone)


async def test_what_cannot_be_done_is_refused_before_anything_is_computed(config: PeerConfig) -> None:
    undone = Constraint(ConstraintKind.SCHEMA, '{"type": "array", "uniqueItems": true}')
    async with mesh(config, 1) as (peer,):
        assert await peer.grammar_fault(None, IN_SCHEMA) == ""
        assert "uniqueItems" in await peer.grammar_fault(None, undone)
        with pytest.raises(RequestError, match="uniqueItems") as refused:
            await written(peer, undone)
        assert refused.value.param == "response_format"


async def test_log_probabilities_of_all_tokens_come_with_the_text(config: PeerConfig) -> None:
    tokens: list[Choice] = []
    async with mesh(config, 2) as (peer, _), asyncio.timeout(60):
        pieces = [piece async for piece in peer.generate(PROMPTS[0], max_tokens=20, top_logprobs=3)]
    for piece in pieces:
        tokens += piece.tokens
    assert len(tokens) == pieces[-1].answer_tokens
    assert b"".join(token.data for token in tokens).decode() == "".join(piece.text for piece in pieces)
    # Greedy: each is the likeliest, and one of three.
    assert all(token == replace(token.top[0], top=token.top) for token in tokens)
    assert {len(token.top) for token in tokens} == {3}


async def test_a_prompt_that_was_computed_before_is_told(config: PeerConfig) -> None:
    async with mesh(config, 2) as (peer, _), asyncio.timeout(60):
        (first, again) = [
            [piece async for piece in peer.generate(PROMPTS[2], max_tokens=4)][-1] for _ in range(2)
        ]
    assert first.cached_tokens == 0
    assert again.prompt_tokens - 1 == again.cached_tokens


async def _text(pieces: AsyncGenerator[Piece, None]) -> str:
    return "".join([piece.text async for piece in pieces])


@pytest.mark.mesh
@pytest.mark.long
async def test_a_small_real_model_keeps_to_a_schema(config: PeerConfig) -> None:
    """To one of them; `python -m tests.bench.measure_schema` asks for all, a hundred times."""
    real = replace(config, model=str(smollm2("q4").path), memory_bytes=2_000_000_000)
    async with mesh(real, 1) as (peer,):
        (answer,) = await ask(peer, 1, readers=1)
    assert answer.fault == ""
