from meshinfer.api.openai_response import AnswerHead, wording
from meshinfer.api.question import Endpoint
from meshinfer.generation import Piece
from meshinfer.messages import Finish

HEAD = AnswerHead("0a", 7, "m", "fp_1")
FIRST, LAST = Piece("a", None, 3, 1), Piece("b", Finish.STOP, 3, 2)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_a_streamed_chat_begins_with_the_role_and_ends_with_an_empty_delta() -> None:
    words = wording(Endpoint.CHAT, HEAD, has_usage=False)
    chunks = [*words.opening(), *words.chunks(FIRST), *words.chunks(LAST)]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "a"},
        {"content": "b"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {("chatcmpl-0a", "chat.completion.chunk")}
    assert not any("usage" in chunk for chunk in chunks)


def test_a_last_piece_without_text_adds_no_empty_delta() -> None:
    words = wording(Endpoint.CHAT, HEAD, has_usage=False)
    (chunk,) = words.chunks(Piece("", Finish.LENGTH, 3, 2))
    assert chunk["choices"][0]["finish_reason"] == "length"


def test_a_stream_with_usage_has_it_in_the_last_chunk_alone() -> None:
    for endpoint in Endpoint:
        words = wording(endpoint, HEAD, has_usage=True)
        chunks = [*words.opening(), *words.chunks(FIRST), *words.chunks(LAST)]
        assert all(chunk["usage"] is None for chunk in chunks)
        last = words.usage_chunk(LAST)
        assert (last["choices"], last["usage"]) == ([], USAGE)


def test_a_streamed_completion_is_text_from_the_start() -> None:
    words = wording(Endpoint.COMPLETION, HEAD, has_usage=False)
    assert words.opening() == []
    choices = [chunk["choices"][0] for piece in (FIRST, LAST) for chunk in words.chunks(piece)]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [("a", None), ("b", "stop")]


def test_a_whole_chat_is_one_message() -> None:
    answer = wording(Endpoint.CHAT, HEAD, has_usage=False).whole("ab", LAST)
    assert answer == {
        "id": "chatcmpl-0a",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ab", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_a_whole_completion_is_one_text() -> None:
    answer = wording(Endpoint.COMPLETION, HEAD, has_usage=False).whole("ab", LAST)
    assert (answer["id"], answer["object"]) == ("cmpl-0a", "text_completion")
    assert answer["choices"] == [{"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}]
