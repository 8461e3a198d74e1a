from collections.abc import Sequence

from meshinfer.api.delta import Delta, End, Ended, Text, Usage
from meshinfer.api.openai_completion import CompletionWording
from meshinfer.api.question import Question
from meshinfer.api.wording import AnswerHead
from meshinfer.generation import Choice
from tests.meshinfer.api.test_openai_chat import streamed

HEAD = AnswerHead("0a", 7, "m", "fp_1")
ONE = Question("completion", "hi", "prompt")
PLAIN: Sequence[Delta] = (Text(0, "a"), Text(0, "b"), Ended(0, End.STOP, Usage(3, 2)))
HALF = Choice(6, "\ufffd", b"\xe2", -1.5)


def test_a_streamed_completion_is_text_from_the_start() -> None:
    chunks = streamed(CompletionWording(HEAD, ONE), PLAIN)
    choices = [chunk["choices"][0] for chunk in chunks]
    told = [(choice["text"], choice["finish_reason"]) for choice in choices]
    assert told == [("a", None), ("b", None), ("", "stop")]


def test_a_whole_completion_is_one_text() -> None:
    answer = CompletionWording(HEAD, ONE).whole(PLAIN)
    assert (answer["id"], answer["object"]) == ("cmpl-0a", "text_completion")
    assert answer["choices"] == [{"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}]


def test_each_prompt_counts_once() -> None:
    question = Question("completion", "a", "prompt", other_prompts=("b",), choices=2)
    ended = [Ended(number, End.STOP, Usage(3 + number // 2, 1, number // 2)) for number in (3, 0, 2, 1)]
    usage = CompletionWording(HEAD, question).whole(ended)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 4, 11)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 1}


def test_log_probabilities_are_lists_side_by_side() -> None:
    question = Question("completion", "hi", "prompt", top_logprobs=1)
    first = Choice(5, "ab", b"ab", -0.5, (Choice(7, "c", b"c", -0.25),))
    deltas: Sequence[Delta] = (
        Text(0, "hi"),
        Text(0, "ab", (first, HALF)),
        Text(0, "\u20ac", (HALF,)),
        Ended(0, End.STOP, Usage(3, 2)),
    )
    (choice,) = CompletionWording(HEAD, question).whole(deltas)["choices"]
    assert choice["logprobs"] == {
        "tokens": ["ab", "bytes:\\xe2", "bytes:\\xe2"],
        "token_logprobs": [-0.5, -1.5, -1.5],
        "top_logprobs": [{"c": -0.25, "ab": -0.5}, {"bytes:\\xe2": -1.5}, {"bytes:\\xe2": -1.5}],
        "text_offset": [2, 4, 4],
    }
    chunks = streamed(CompletionWording(HEAD, question), deltas)
    offsets = [chunk["choices"][0]["logprobs"] for chunk in chunks[:3]]
    assert [told["text_offset"] for told in offsets] == [[], [2, 4], [4]]


def test_without_alternatives_there_are_none() -> None:
    question = Question("completion", "hi", "prompt", top_logprobs=0)
    deltas: Sequence[Delta] = (Text(0, "\ufffd", (HALF,)), Ended(0, End.STOP, Usage(3, 2)))
    (choice,) = CompletionWording(HEAD, question).whole(deltas)["choices"]
    assert choice["logprobs"]["top_logprobs"] is None
