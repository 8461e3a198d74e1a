"""The JSON that clients of Anthropic's Messages API get: answers, the events of their streams, and errors.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from collections.abc import Sequence
from typing import Any

from . import sse
from .delta import CallArguments, CallBegun, Delta, End, Ended, Reasoning, Text, Usage
from .errors import ApiError
from .joining import Call, Whole, call_arguments, ending, joined
from .wording import AnswerHead, Json

_KINDS = {
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's `type` of an error by its status; other faults of the client are `invalid_request_error`."""

_EMPTY: dict[str, Json] = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
"""Signatures prove to Anthropic that what was thought is its model's own; here nothing depends on that."""

_NO_USAGE = Usage(0, 0)


def anthropic_error(error: ApiError) -> Json:
    """The body of an error."""
    usual = "invalid_request_error" if error.status < 500 else "api_error"
    kind = _KINDS.get(error.status, usual)
    return {"type": "error", "error": {"type": kind, "message": error.message}}


class AnthropicWording:
    """Words the answers of `POST /v1/messages`.

    max_tokens: what was asked for: an answer that ended before it for want of room says so. shows_thinking:
    or else its blocks stay empty. extra: what the message tells besides, such as that nothing of the context
    was cleared.

    A stream's first event cannot know yet how long the prompt is: token counts stand in its last but one,
    where clients look for them as well.
    """

    headers = sse.HEADERS

    def __init__(
        self, head: AnswerHead, max_tokens: int, *, shows_thinking: bool = True, extra: Json | None = None
    ) -> None:
        self._head = head
        self._max_tokens = max_tokens
        self._shows_thinking = shows_thinking
        self._extra = extra or {}
        self._blocks = 0
        self._open = ""

    def opening(self) -> bytes:
        """An empty message, and a ping."""
        message = self._message([], None, None, _NO_USAGE)
        return _event("message_start", message=message) + _event("ping")

    def part(self, delta: Delta) -> bytes:
        """The events of one part: blocks open and close by what comes."""
        match delta:
            case Text(text=text):
                return self._into("text") + self._delta("text_delta", text=text) if text else b""
            case Reasoning(text=text):
                return self._think(text) if text else b""
            case CallBegun(id=call, name=name):
                return self._begin("tool_use", {"id": call, "name": name, "input": {}})
            case CallArguments(text=text):
                return self._delta("input_json_delta", partial_json=text) if text else b""
            case Ended():
                return self._end_block() + self._ended(delta)

    def pause(self, why: str) -> bytes:
        """A ping."""
        # The comment is for people; clients that watch over silence count events alone.
        return sse.comment(why) + _event("ping")

    def closing(self) -> bytes:
        """The message is over."""
        return _event("message_stop")

    def failure(self, error: ApiError) -> bytes:
        """The error, as it would be answered without a stream."""
        return sse.named_event("error", anthropic_error(error))

    def whole(self, deltas: Sequence[Delta]) -> Json:
        """The message."""
        blocks, ended = [self._block(whole) for whole in joined(deltas)], ending(deltas)
        return self._message(blocks, self._stop_reason(ended), ended.stop_text, ended.usage)

    def _block(self, whole: Whole) -> Json:
        match whole:
            case Text(text=text):
                return {"type": "text", "text": text}
            case Reasoning(text=text):
                thinking = text if self._shows_thinking else ""
                return {"type": "thinking", "thinking": thinking, "signature": ""}
            case Call(id=call, name=name, arguments=arguments):
                return {"type": "tool_use", "id": call, "name": name, "input": call_arguments(arguments)}

    def _think(self, text: str) -> bytes:
        begun = self._into("thinking")
        return begun + (self._delta("thinking_delta", thinking=text) if self._shows_thinking else b"")

    def _into(self, block: str) -> bytes:
        return b"" if self._open == block else self._begin(block, _EMPTY[block])

    def _begin(self, block: str, fields: Json) -> bytes:
        ended = self._end_block()
        self._open, self._blocks = block, self._blocks + 1
        content = {"type": block, **fields}
        return ended + _event("content_block_start", index=self._blocks - 1, content_block=content)

    def _delta(self, kind: str, **fields: str) -> bytes:
        return _event("content_block_delta", index=self._blocks - 1, delta={"type": kind, **fields})

    def _end_block(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _event("content_block_stop", index=self._blocks - 1)

    def _ended(self, ended: Ended) -> bytes:
        delta = {"stop_reason": self._stop_reason(ended), "stop_sequence": ended.stop_text}
        return _event("message_delta", delta=delta, usage=_usage_json(ended.usage), **self._extra)

    def _stop_reason(self, ended: Ended) -> str:
        match ended.reason:
            case End.TOOL_CALLS:
                return "tool_use"
            case End.STOP:
                return "end_turn" if ended.stop_text is None else "stop_sequence"
            case End.LENGTH:
                is_cut = ended.usage.answer_tokens < self._max_tokens
                return "model_context_window_exceeded" if is_cut else "max_tokens"

    def _message(self, blocks: list[Json], reason: str | None, stop: str | None, usage: Usage) -> Json:
        return {
            "id": f"msg_{self._head.token}",
            "type": "message",
            "role": "assistant",
            "model": self._head.model,
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": _usage_json(usage),
            **(self._extra if reason is not None else {}),
        }


def _event(kind: str, **fields: Any) -> bytes:
    return sse.named_event(kind, {"type": kind, **fields})


def _usage_json(usage: Usage) -> Json:
    """Token counts; tokens that were in a cache are not among `input_tokens`, as Anthropic counts."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.answer_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
