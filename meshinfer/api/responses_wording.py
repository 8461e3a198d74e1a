"""The JSON that clients of OpenAI's Responses API get: a response, and the events of its stream.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Iterator, Sequence
from typing import Any

from meshinfer.generation import Choice

from . import sse
from .delta import CallArguments, CallBegun, Delta, End, Ended, Reasoning, Text, Usage
from .errors import ApiError
from .responses_items import CallItem, Event, Item, Status, TextItem
from .wording import AnswerHead, Json

_ERROR_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""What OpenAI calls the errors of a response that has begun; the others are `server_error`."""


class ResponsesWording:
    """Words the answers of `POST /v1/responses`.

    echo: the fields of the request that each response tells again.

    Every event of a stream carries its number. Items open and close one after the other.
    """

    headers = sse.HEADERS

    def __init__(self, head: AnswerHead, echo: Json) -> None:
        self._head = head
        self._echo = echo
        self._said = 0
        self._items: list[Json] = []
        self._open: Item | None = None
        self._open_kind: object = None
        self._ended: Ended | None = None

    def opening(self) -> bytes:
        """The response, in which there is nothing yet."""
        response = self._response("in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def part(self, delta: Delta) -> bytes:
        """The events of one part: items open and close by what comes."""
        return b"".join(self._event(kind, **fields) for kind, fields in self._take(delta))

    def pause(self, why: str) -> bytes:
        """A comment, which clients skip."""
        return sse.comment(why)

    def closing(self) -> bytes:
        """The whole response."""
        response = self._final()
        return self._event(f"response.{response['status']}", response=response)

    def failure(self, error: ApiError) -> bytes:
        """The response, failed."""
        code = _ERROR_CODES.get(error.status, "server_error")
        response = {**self._response("failed"), "error": {"code": code, "message": error.message}}
        return self._event("response.failed", response=response)

    def whole(self, deltas: Sequence[Delta]) -> Json:
        """The response."""
        for delta in deltas:
            for _ in self._take(delta):
                pass
        return self._final()

    def _take(self, delta: Delta) -> Iterator[Event]:
        match delta:
            case Text(text=text, tokens=tokens):
                if text or tokens:
                    yield from self._more(Text, text, tokens)
            case Reasoning(text=text):
                if text:
                    yield from self._more(Reasoning, text)
            case CallBegun(id=call, name=name):
                yield from self._end("completed")
                yield from self._begin(delta, CallItem(self._head.token, len(self._items), call, name))
            case CallArguments(text=text):
                if text and self._open is not None:
                    yield from self._open.add(text)
            case Ended():
                self._ended = delta
                yield from self._end("incomplete" if delta.reason is End.LENGTH else "completed")

    def _more(self, kind: type, text: str, tokens: Sequence[Choice] = ()) -> Iterator[Event]:
        if self._open_kind is not kind:
            yield from self._end("completed")
            item = TextItem(self._head.token, len(self._items), is_reasoning=kind is Reasoning)
            yield from self._begin(kind, item)
        if self._open is not None:
            yield from self._open.add(text, tokens)

    def _begin(self, kind: object, item: Item) -> Iterator[Event]:
        self._open, self._open_kind = item, kind
        yield from item.begin()

    def _end(self, status: Status) -> Iterator[Event]:
        if self._open is not None:
            yield from self._open.end(status)
            self._items.append(self._open.json(status))
            self._open, self._open_kind = None, None

    def _final(self) -> Json:
        ended = self._ended
        assert ended is not None, "a stream closes behind its last part"
        is_cut = ended.reason is End.LENGTH
        response = self._response("incomplete" if is_cut else "completed")
        if is_cut:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        return {**response, "usage": _usage_json(ended.usage)}

    def _response(self, status: str) -> Json:
        return {
            "id": f"resp_{self._head.token}",
            "object": "response",
            "created_at": self._head.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._head.model,
            "output": list(self._items),
            "usage": None,
            **self._echo,
        }

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._said += 1
        return sse.named_event(kind, {"type": kind, "sequence_number": self._said - 1, **fields})


def _usage_json(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.answer_tokens,
    }
