"""What counts as a right answer under chaos."""

import pytest

from tests.mesh.chaos.reader import Heard, verdict


def heard(text: str, *, tokens: int = 4, finish: str = "length", trouble: str = "") -> Heard:
    return Heard(0.0, 200, text, finish, tokens, trouble)


TRUTH = heard("fox jumps over it")


def test_the_undisturbed_answer_is_right() -> None:
    assert verdict(heard(TRUTH.text), TRUTH, is_origin_lost=False) == ""


def test_the_beginning_of_it_is_right_only_of_a_peer_that_was_killed() -> None:
    part = heard("fox jumps", tokens=0, finish="", trouble="ReadError: gone")
    assert verdict(part, TRUTH, is_origin_lost=True) == ""
    assert verdict(part, TRUTH, is_origin_lost=False) == "ReadError: gone"


@pytest.mark.parametrize("is_origin_lost", [True, False])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            heard("fox sleeps"), "differs from the undisturbed answer at character 4 of 17", id="other"
        ),
        pytest.param(heard("fox jumps over it all"), "at character 17 of 17", id="longer"),
        pytest.param(heard("fox jumps"), "it ended with 9 characters", id="shorter, and called whole"),
        pytest.param(
            heard(TRUTH.text, tokens=5), "5 tokens, length; undisturbed: 17, 4, length", id="tokens"
        ),
        pytest.param(heard(TRUTH.text, finish="stop"), "4 tokens, stop", id="finish"),
    ],
)
def test_anything_else_is_wrong_whoever_was_killed(answer: Heard, words: str, is_origin_lost: bool) -> None:
    assert words in verdict(answer, TRUTH, is_origin_lost=is_origin_lost)


def test_the_longest_pause_counts_from_the_question() -> None:
    slow = Heard(1.0, came_s=[4.0, 4.5, 5.0])
    assert slow.longest_pause_s == 3.0
    assert slow.first_after(4.2) == 4.5
    assert slow.first_after(5.0) is None
