"""Answers that are held to a grammar: in any ring, beside others in a lane, and when they go on elsewhere."""

import itertools
import json
from dataclasses import dataclass, field, replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.errors import StageFailed
from meshinfer.messages import Constraint, ConstraintKind, Opening, Sampling, SessionId, TokenLogprobs
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.language import Tokenizer
from meshinfer.model.tokenizer import load_tokenizer
from tests.meshinfer.model.rings import Ring, SmallModel
from tests.meshinfer.model.test_grammar import schemas
from tests.meshinfer.model.words import regex, schema
from tests.tiny import END, make_tiny_model

# Below what prepares mlx.
from meshinfer.model.shard import Shard  # isort: skip

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "ages": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
    },
    "required": ["name", "ages"],
    "additionalProperties": False,
}
WARM = Sampling(temperature=1.0, top_p=0.9, repetition_penalty=1.1, frequency_penalty=0.1, seed=5)


@dataclass(frozen=True)
class Speaking:
    """A model with its tokenizer."""

    model: SmallModel
    tokenizer: Tokenizer

    def ring(self, *cuts: int) -> Ring:
        bounds = [0, *cuts, self.model.card.layer_count]
        pairs = itertools.pairwise(bounds)
        files, card = self.model.files, self.model.card
        return Ring([Shard.load(files, card, range(*pair), tokenizer=self.tokenizer) for pair in pairs])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Speaking:
    files = ModelFiles("tiny", "dir:/", make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=4))
    return Speaking(SmallModel(files, read_card(files)), load_tokenizer(files))


@dataclass
class Reader:
    """One session: what it asks for, and what it got. is_over: its answer is whole."""

    name: SessionId
    tokenizer: Tokenizer
    opening: Opening
    prompt: tuple[int, ...]
    answer: list[int] = field(default_factory=list)
    is_over: bool = False

    @property
    def text(self) -> str:
        return self.tokenizer.decode(tuple(self.answer))

    def begin(self, ring: Ring) -> None:
        ring.prefill(self.name, self.prompt[:-1], self.opening, 4)

    def take(self, token: int, ended: tuple[SessionId, ...]) -> None:
        self.is_over = token == END or self.name in ended
        if token != END:
            self.answer.append(token)


def reader(
    tiny: Speaking, number: int, constraint: Constraint | None, sampling: Sampling = WARM, most: int = 600
) -> Reader:
    prompt = tiny.tokenizer.encode(f"Say something, number {number}: ")
    opening = Opening(sampling, len(prompt), most, (END,), constraint=constraint)
    return Reader(SessionId(f"s{number}"), tiny.tokenizer, opening, prompt)


def turn(ring: Ring, lane: list[Reader]) -> None:
    """One step of a lane."""
    fed = [(each, each.answer[-1] if each.answer else each.prompt[-1]) for each in lane]
    result = ring.turn([ring.next_row(each.name, (token,), each.opening, True) for each, token in fed])
    assert not result.faults
    for each, token in zip(lane, result.tokens, strict=True):
        assert token is not None
        each.take(token, result.ended)


def answered(ring: Ring, one: Reader) -> Reader:
    one.begin(ring)
    while not one.is_over:
        turn(ring, [one])
    ring.release(one.name)
    return one


@pytest.mark.parametrize("sampling", [Sampling(), WARM])
@pytest.mark.parametrize("cuts", [(2,), (1, 3)])
def test_a_ring_answers_token_for_token_as_the_whole_model_does(
    tiny: Speaking, cuts: tuple[int, ...], sampling: Sampling
) -> None:
    whole, parted = tiny.ring(), tiny.ring(*cuts)
    for number in range(3):
        expected = answered(whole, reader(tiny, number, schema(**PERSON), sampling))
        assert answered(parted, reader(tiny, number, schema(**PERSON), sampling)).answer == expected.answer
        jsonschema.validate(json.loads(expected.text), PERSON)


@settings(max_examples=15)
@given(schemas, st.integers(0, 1 << 62))
def test_answers_of_a_model_parse_and_are_valid(tiny: Speaking, of: dict[str, object], seed: int) -> None:
    ring = tiny.ring(2)
    sampling = Sampling(temperature=1.5, seed=seed)
    one = answered(ring, reader(tiny, 0, Constraint(ConstraintKind.SCHEMA, json.dumps(of)), sampling))
    jsonschema.validate(json.loads(one.text), of)


def test_answers_with_and_without_a_grammar_are_computed_together(tiny: Speaking) -> None:
    ring = tiny.ring(1, 3)
    greedy, other = Sampling(), replace(WARM, seed=9)
    asked: list[tuple[Constraint | None, Sampling]] = [
        (schema(**PERSON), WARM),
        (None, greedy),
        (schema(**PERSON), greedy),
        (regex("(ha){3,9}!"), other),
        (None, other),
    ]
    alone = tiny.ring()
    for each in (lane := [reader(tiny, number, *how, most=12) for number, how in enumerate(asked)]):
        each.begin(ring)
    for _ in range(12):
        turn(ring, [each for each in lane if not each.is_over])
    for number, how in enumerate(asked):
        one = reader(tiny, number, *how)
        one.begin(alone)
        while len(one.answer) < len(lane[number].answer):
            turn(alone, [one])
        assert one.answer == lane[number].answer
    assert lane[3].is_over
    assert lane[3].text.startswith("hahaha")


def test_an_answer_that_goes_on_in_another_ring_keeps_its_grammar(tiny: Speaking) -> None:
    expected = answered(tiny.ring(), reader(tiny, 1, schema(**PERSON)))
    for begun in range(1, len(expected.answer), 7):
        again = reader(tiny, 1, schema(**PERSON))
        again.answer = expected.answer[:begun]
        prompt = again.prompt
        again.prompt = (*prompt, *again.answer)
        again.opening = replace(
            again.opening, prompt_tokens=len(prompt) + begun, max_tokens=600 - begun, answered_tokens=begun
        )
        assert answered(tiny.ring(3), again).answer == expected.answer


def test_an_answer_that_goes_on_out_of_what_was_kept_keeps_its_grammar(tiny: Speaking) -> None:
    expected = answered(tiny.ring(), reader(tiny, 2, schema(**PERSON)))
    ring, begun = tiny.ring(2), reader(tiny, 2, schema(**PERSON))
    begun.begin(ring)
    for _ in range(6):
        turn(ring, [begun])
    kept = [shard.take(begun.name) for shard in ring.shards]
    tokens = (*begun.prompt, *begun.answer)
    opening = replace(
        begun.opening, prompt_tokens=len(tokens), answered_tokens=6, max_tokens=begun.opening.max_tokens - 6
    )
    other = tiny.ring(2)
    for shard, part in zip(other.shards, kept, strict=True):
        shard.resume(begun.name, opening, tokens[:-1], part, ())
    other.lengths[begun.name] = len(tokens) - 1
    while not begun.is_over:
        turn(other, [begun])
    assert begun.answer == expected.answer


def test_an_answer_ends_where_nothing_can_follow_or_with_a_stop_token(tiny: Speaking) -> None:
    ring = tiny.ring()
    whole = answered(ring, reader(tiny, 0, regex("(ha){2}")))
    assert (whole.text, whole.is_over) == ("haha", True)
    may_go_on = answered(ring, reader(tiny, 0, regex("a{1,400}"), Sampling(logit_bias=((END, 100.0),))))
    assert may_go_on.text == "a"


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [(schema(type="array", uniqueItems=True), "uniqueItems"), (regex("ab"), "left its constraint")],
)
def test_a_session_whose_grammar_fails_takes_no_other_with_it(
    tiny: Speaking, constraint: Constraint, reason: str
) -> None:
    ring = tiny.ring()
    good, bad = reader(tiny, 0, regex("(ha){9}")), reader(tiny, 1, constraint)
    # As if another peer had sampled them.
    bad.prompt = (*bad.prompt, *tiny.tokenizer.encode("no"))
    bad.opening = replace(bad.opening, prompt_tokens=len(bad.prompt), answered_tokens=2)
    for each in (good, bad):
        each.begin(ring)
    rows = [ring.next_row(each.name, (each.prompt[-1],), each.opening, True) for each in (good, bad)]
    result = ring.turn(rows)
    assert [session for session, _ in result.faults] == [bad.name]
    assert reason in result.faults[0][1]
    assert result.tokens[0] is not None
    assert result.tokens[1] is None


def test_without_a_tokenizer_nothing_can_be_constrained(tiny: Speaking) -> None:
    ring = Ring([Shard.load(tiny.model.files, tiny.model.card, range(4))])
    with pytest.raises(StageFailed, match="no tokenizer"):
        reader(tiny, 0, regex("a")).begin(ring)


def test_log_probabilities_are_the_models_own_whatever_is_allowed(tiny: Speaking) -> None:
    whole, parted = tiny.ring(), tiny.ring(2)
    drawn: list[int | None] = []
    told: list[TokenLogprobs] = []
    for ring, constraint, top in ((whole, None, 3), (parted, regex("zz"), 3), (parted, None, 0)):
        one = reader(tiny, 4, constraint, Sampling(logit_bias=((40, 5.0),)))
        one.opening = replace(one.opening, top_logprobs=top)
        one.begin(ring)
        result = ring.turn([ring.next_row(one.name, (one.prompt[-1],), one.opening, True)])
        drawn.append(result.tokens[0])
        told += [each for each in result.logprobs if each is not None]
        ring.release(one.name)
    (token, forced, _), (free, bound, bare) = drawn, told
    assert (free.top, bare.top, bare.chosen) == (bound.top, (), free.chosen)
    assert [value for _, value in free.top] == sorted((value for _, value in free.top), reverse=True)
    assert dict(free.top).get(token or 0, free.chosen) == free.chosen
    assert forced != token
    assert bound.chosen < free.top[-1][1]
