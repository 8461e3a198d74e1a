from typing import Any

import pytest

from meshinfer.api.values import (
    MAX_BIASES,
    MAX_STOP_CHARACTERS,
    MAX_STOPS,
    describe,
    read_biases,
    read_prompts,
    read_stops,
    read_text,
)


def text_part(text: object) -> dict[str, object]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("content", "text"), [("a", "a"), ("", ""), ([], ""), ([text_part("a"), text_part("b")], "ab")]
)
def test_parts_of_a_text_are_joined(content: object, text: str) -> None:
    assert read_text(content) == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not null"),
        ({"type": "text"}, "not an object"),
        (["a"], r"\[0\] should be an object"),
        ([text_part("a"), text_part(5)], r"\[1\]\.text should be a string, not 5"),
        ([{"type": "image_url"}], r"\[0\] is of type 'image_url', which is not supported"),
        ([{}], "of type null"),
    ],
)
def test_content_that_is_no_text_is_refused(content: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_text(content)


@pytest.mark.parametrize(
    ("value", "stops"), [(None, ()), ("a", ("a",)), ([], ()), (["a", "bc"], ("a", "bc"))]
)
def test_stops_are_one_string_or_several(value: object, stops: tuple[str, ...]) -> None:
    assert read_stops(value) == stops


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "not 5"),
        ([None], "not null"),
        ("", "empty"),
        (["a", ""], "empty"),
        (["a"] * (MAX_STOPS + 1), "holds 17 strings"),
        ("a" * (MAX_STOP_CHARACTERS + 1), "of 1025 characters"),
    ],
)
def test_stops_that_cannot_be_are_refused(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_stops(value)


@pytest.mark.parametrize(
    ("value", "prompts"),
    [
        ("a", ("a",)),
        (["a"], ("a",)),
        ([1, 2], ((1, 2),)),
        ([[1, 2]], ((1, 2),)),
        ([7], ((7,),)),
        (["a", "b"], ("a", "b")),
        ([[1], "b"], ((1,), "b")),
    ],
)
def test_a_prompt_is_a_text_or_token_ids_or_an_array_of_these(value: object, prompts: object) -> None:
    assert read_prompts(value) == prompts


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        ([], "is empty"),
        ([""], "is empty"),
        ([[]], "is empty"),
        (["a", ""], r"\[1\] is empty"),
        (["a", 5], r"\[1\] should be a string or an array of token ids, not 5"),
        (["a"] * 17, "holds 17 prompts, at most 16 are taken"),
        ([1, "b"], "token ids only, not 'b'"),
        ([True], "not true"),
        ([-1], "holds -1"),
        ([1 << 40], "no token id"),
        ([1.5, 2], "not 1.5"),
        (None, "not null"),
        ({}, "not an object"),
        ([[["a"]]], "not an array"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_prompts(value)


def test_biases_are_read_from_token_ids_in_quotes() -> None:
    assert read_biases({"5": 1, "0": -100, "17": 0.5}) == ((5, 1.0), (0, -100.0), (17, 0.5))
    assert read_biases(None) == ()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "should be an object"),
        ({"a": 1}, "'a', which is no token id"),
        ({"-1": 1}, "no token id"),
        ({"01": 1}, "no token id"),
        ({"٣": 1}, "no token id"),
        ({"9999999999": 1}, "no token id"),
        ({"1": "a"}, "of token 1 should be a number"),
        ({"1": True}, "of token 1 should be a number"),
        ({"1": 101}, "not 101"),
        ({"1": float("nan")}, "not nan"),
        ({"1": 10**400}, "not a huge number"),
        ({str(token): 0 for token in range(MAX_BIASES + 1)}, "holds 1025 biases"),
    ],
)
def test_biases_that_cannot_be_are_refused(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_biases(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (10**400, "a huge number"),
        (1.5, "1.5"),
        ("ab", "'ab'"),
        ("a" * 41, "a string of 41 characters"),
        ([1, 2], "an array of 2"),
        ({}, "an object"),
    ],
)
def test_values_are_shown_in_the_words_of_json(value: object, shown: str) -> None:
    assert describe(value) == shown
