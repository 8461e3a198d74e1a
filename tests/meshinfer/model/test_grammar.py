import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.errors import RequestError, StageFailed
from meshinfer.messages import Constraint, ConstraintKind
from meshinfer.model.grammar import Grammars
from meshinfer.model.vocabulary import Vocabulary
from tests.meshinfer.model.words import (
    CALL,
    END,
    VOCABULARY,
    allowed,
    drawn,
    grammars,
    regex,
    schema,
    text_of,
)

GRAMMARS = grammars()

PERSON = schema(
    type="object",
    properties={
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "is_here": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    required=["name", "age"],
    additionalProperties=False,
)

scalars = st.sampled_from(
    [
        {"type": "string", "maxLength": 6},
        {"type": "integer", "minimum": -5, "maximum": 500},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["red", 2, None]},
        {"const": "é"},
        {"type": "string", "pattern": "^[a-c]{1,3}$"},
    ]
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    lists = inner.map(lambda each: {"type": "array", "items": each, "minItems": 1, "maxItems": 2})
    objects = st.dictionaries(st.sampled_from(["name", "b", "ü"]), inner, max_size=3).map(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties)[:1],
            "additionalProperties": False,
        }
    )
    choices = st.lists(inner, min_size=1, max_size=2).map(lambda options: {"anyOf": options})
    return lists | objects | choices


schemas = st.recursive(scalars, nested, max_leaves=5)


@settings(max_examples=80)
@given(schemas, st.integers(0, 1 << 30))
def test_whatever_is_drawn_under_a_schema_parses_and_is_valid(of: dict[str, Any], seed: int) -> None:
    matcher = GRAMMARS.matcher(schema(**of)).result()
    answer = drawn(matcher, seed)
    jsonschema.validate(json.loads(text_of(answer)), of)


@settings(max_examples=30)
@given(st.integers(0, 1 << 30), st.data())
def test_an_answer_that_goes_on_elsewhere_meets_the_same_masks(seed: int, data: st.DataObject) -> None:
    answer = drawn(GRAMMARS.matcher(PERSON).result(), seed)
    begun = data.draw(st.integers(0, len(answer)))
    step_by_step, replayed = (GRAMMARS.matcher(PERSON).result() for _ in range(2))
    for token in answer[:begun]:
        assert token in allowed(step_by_step.mask((END,)))
        step_by_step.take((token,))
    replayed.take(answer[:begun])
    for token in answer[begun:]:
        assert step_by_step.mask((END,)) == replayed.mask((END,))
        step_by_step.take((token,))
        replayed.take((token,))
    assert (step_by_step.is_over(), step_by_step.length) == (replayed.is_over(), replayed.length)


def test_blanks_come_to_an_end() -> None:
    for seed in range(5):
        answer = drawn(GRAMMARS.matcher(PERSON).result(), seed, fond_of=" \n")
        assert json.loads(text_of(answer))["age"] >= 0


def test_any_object_is_an_object() -> None:
    constraint = Constraint(ConstraintKind.JSON)
    first = GRAMMARS.matcher(constraint).result().mask((END,))
    assert all(VOCABULARY.bytes_of(token).startswith(b"{") for token in allowed(first))
    for seed in range(10):
        assert isinstance(json.loads(text_of(drawn(GRAMMARS.matcher(constraint).result(), seed))), dict)


def test_a_regular_expression_matches_the_whole_answer() -> None:
    matcher = GRAMMARS.matcher(regex("(yes|no)!?")).result()
    assert {text_of((token,)) for token in allowed(matcher.mask((END,)))} == {"y", "n"}
    matcher.take(b"no")
    assert allowed(matcher.mask((END,))) == [ord("!"), END]
    matcher.take(b"!")
    assert matcher.is_over()


def test_special_tokens_are_for_grammars_that_name_them() -> None:
    anything = GRAMMARS.matcher(regex("(.|\n)*")).result()
    assert VOCABULARY.special.isdisjoint(allowed(anything.mask(())))
    named = GRAMMARS.matcher(Constraint(ConstraintKind.LARK, 'start: "x" <|call|> /[0-9]+/')).result()
    named.take(b"x")
    assert allowed(named.mask((END,))) == [CALL]
    named.take((CALL,))
    assert allowed(named.mask((END,))) == list(b"0123456789")


@pytest.mark.parametrize(
    ("constraint", "named"),
    [
        (schema(type="object", properties={"x": {"not": {"type": "null"}}}), '"not"'),
        (schema(type="array", uniqueItems=True), '"uniqueItems"'),
        (schema(type="string", format="zip code"), "zip code"),
        (schema(type="strange"), "strange"),
        (schema(**{"$ref": "https://example.com/schema"}), "https://example.com/schema"),
        (Constraint(ConstraintKind.SCHEMA, "[1]"), "not list"),
        (Constraint(ConstraintKind.SCHEMA, "{"), "JSON schema: Expecting"),
        (Constraint(ConstraintKind.SCHEMA, "[" * 100_000), "JSON schema"),
        (regex("(ab"), "unclosed group"),
        (Constraint(ConstraintKind.LARK, "start: missing"), '"missing"'),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(constraint: Constraint, named: str) -> None:
    assert named in GRAMMARS.fault(constraint)
    with pytest.raises(RequestError) as refused:
        GRAMMARS.matcher(constraint).result()
    assert (named in str(refused.value), refused.value.param) == (True, "response_format")
    assert GRAMMARS.fault(PERSON) == ""


def test_a_schema_cannot_loosen_what_is_kept_to() -> None:
    of = {"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True, "whitespace_pattern": " *"}}
    assert '"uniqueItems"' in GRAMMARS.fault(schema(**of))


def test_what_is_asked_for_twice_is_compiled_once_and_old_ones_make_way() -> None:
    made = grammars()
    waiting = [made.matcher(PERSON) for _ in range(3)]
    assert len({id(each.result()) for each in waiting}) == 3
    assert len(made._compiled) == 1
    for number in range(40):
        assert made.fault(regex(f"{number}")) == ""
    assert len(made._compiled) == 32


def test_matchers_of_one_constraint_do_not_meet() -> None:
    one, other = (GRAMMARS.matcher(regex("ab|cd")).result() for _ in range(2))
    one.take(b"a")
    other.take(b"c")
    assert (allowed(one.mask(())), allowed(other.mask(()))) == ([ord("b")], [ord("d")])


def test_what_is_forced_is_written_as_the_model_is_used_to_it() -> None:
    usual = Grammars(VOCABULARY, lambda text: (256,) if text == "name" else tuple(text.encode()))
    assert allowed(usual.matcher(regex("name[0-9]")).result().mask(())) == [256]


@pytest.mark.parametrize("encoded", [(CALL,), (262,), ()])
def test_a_text_that_is_encoded_to_something_else_is_cut_by_the_longest_words(
    encoded: tuple[int, ...],
) -> None:
    other = Grammars(VOCABULARY, lambda text: encoded)
    assert allowed(other.matcher(regex("name!")).result().mask(())) == [256]


def test_a_vocabulary_that_the_library_cannot_read_is_no_reason_not_to_load_a_model() -> None:
    nothing = Grammars(Vocabulary((), (), frozenset({-1}), is_byte_level=True), lambda text: ())
    assert "cannot read the model's vocabulary" in nothing.fault(PERSON)


def test_what_no_token_can_write_fails_and_says_so() -> None:
    letters = Vocabulary(("a", None, "b"), (b"a", b"", b"b"), frozenset(), is_byte_level=False)
    matcher = Grammars(letters, lambda text: ()).matcher(regex("[ac][cd]")).result()
    matcher.take((0,))
    with pytest.raises(StageFailed, match="behind 1 tokens of the answer, its constraint allows no token"):
        matcher.mask((1,))
