import pytest

from meshinfer.errors import StageFailed
from tests.meshinfer.model.words import END, STOP, allowed, grammars, regex, schema

GRAMMARS = grammars()


@pytest.mark.parametrize("stops", [(), (END,), (END, STOP)])
def test_stop_tokens_may_come_where_the_answer_is_whole_and_only_there(stops: tuple[int, ...]) -> None:
    matcher = GRAMMARS.matcher(regex("a+b?")).result()
    assert allowed(matcher.mask(stops)) == [ord("a")]
    matcher.take(b"a")
    assert allowed(matcher.mask(stops)) == [ord("a"), ord("b"), *stops]
    assert not matcher.is_over()
    matcher.take(b"b")
    assert matcher.is_over()
    assert matcher.length == 2


def test_a_stop_token_that_is_a_letter_ends_where_it_may() -> None:
    matcher = GRAMMARS.matcher(regex("ax?")).result()
    assert allowed(matcher.mask((ord("x"), 10_000, -1))) == [ord("a")]
    matcher.take(b"a")
    assert allowed(matcher.mask((ord("x"), 10_000, -1))) == [ord("x")]


def test_an_answer_that_leaves_its_constraint_fails_without_being_quoted() -> None:
    matcher = GRAMMARS.matcher(schema(const="secret")).result()
    matcher.take(b'"sec')
    with pytest.raises(StageFailed, match="left its constraint within 2 tokens behind the first 4") as left:
        matcher.take(b"!!")
    assert "secret" not in str(left.value)
    assert not matcher.is_over()
    with pytest.raises(StageFailed):
        matcher.mask((END,))
