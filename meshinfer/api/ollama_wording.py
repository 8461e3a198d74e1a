"""The JSON that clients of Ollama's API get: answers, the lines of their streams, and errors.

https://docs.ollama.com/api
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from .delta import CallArguments, CallBegun, Delta, End, Ended, Reasoning, Text
from .errors import ApiError
from .joining import Call, call_arguments, ending, joined
from .wording import AnswerHead, Json

_NS_PER_S = 1_000_000_000

_HEADERS = (
    (b"content-type", b"application/x-ndjson"),
    (b"cache-control", b"no-cache"),
    # nginx would collect the lines otherwise.
    (b"x-accel-buffering", b"no"),
)


def ollama_error(error: ApiError) -> Json:
    """The body of an error, and the last line of a stream that fails."""
    return {"error": error.message}


class _Words:
    """What chats and generated texts have in common. Calls are told whole: they wait for their arguments."""

    headers = _HEADERS

    def __init__(self, head: AnswerHead) -> None:
        self._common = {"model": head.model, "created_at": rfc3339(head.created)}
        self._call: CallBegun | None = None
        self._arguments: list[str] = []

    def opening(self) -> bytes:
        """Nothing: a stream begins with its first line."""
        return b""

    def part(self, delta: Delta) -> bytes:
        """A line, where a client can see something of it."""
        match delta:
            case Text(text=text):
                fields = self._fields(text, "", []) if text else None
            case Reasoning(text=text):
                fields = self._fields("", text, []) if text else None
            case CallBegun():
                return self._end_call() + self._begin_call(delta)
            case CallArguments(text=text):
                self._arguments.append(text)
                return b""
            case Ended():
                return self._end_call() + self._line(**self._fields("", "", []), **_end_json(delta))
        return self._end_call() + (self._line(**fields, done=False) if fields else b"")

    def pause(self, why: str) -> bytes:
        """A line with no text: lines have no comments, and blank ones break clients."""
        return self._line(**self._fields("", "", []), done=False)

    def closing(self) -> bytes:
        """Nothing: the last line tells that it is the last."""
        return b""

    def failure(self, error: ApiError) -> bytes:
        """The error, as it would be answered without a stream."""
        return _line(ollama_error(error))

    def whole(self, deltas: Sequence[Delta]) -> Json:
        """The answer."""
        parts = joined(deltas)
        text = "".join(part.text for part in parts if isinstance(part, Text))
        thinking = "".join(part.text for part in parts if isinstance(part, Reasoning))
        calls = [_call_json(part) for part in parts if isinstance(part, Call)]
        return {**self._common, **self._fields(text, thinking, calls), **_end_json(ending(deltas))}

    def _begin_call(self, begun: CallBegun) -> bytes:
        self._call, self._arguments = begun, []
        return b""

    def _end_call(self) -> bytes:
        if self._call is None:
            return b""
        call = Call(self._call.id, self._call.name, "".join(self._arguments))
        self._call = None
        return self._line(**self._fields("", "", [_call_json(call)]), done=False)

    def _line(self, **fields: object) -> bytes:
        return _line({**self._common, **fields})

    def _fields(self, text: str, thinking: str, calls: list[Json]) -> Json:
        raise NotImplementedError


class OllamaChatWording(_Words):
    """Words the answers of `POST /api/chat`."""

    def _fields(self, text: str, thinking: str, calls: list[Json]) -> Json:
        extra: Json = {"thinking": thinking} if thinking else {}
        if calls:
            extra["tool_calls"] = calls
        return {"message": {"role": "assistant", "content": text, **extra}}


class OllamaTextWording(_Words):
    """Words the answers of `POST /api/generate`, which has no tools."""

    def _fields(self, text: str, thinking: str, calls: list[Json]) -> Json:
        return {"response": text, **({"thinking": thinking} if thinking else {})}


def loaded_json(model: str, created: int, *, is_chat: bool) -> Json:
    """What they get who ask for nothing but whether a model is loaded."""
    fields = {"message": {"role": "assistant", "content": ""}} if is_chat else {"response": ""}
    common = {"model": model, "created_at": rfc3339(created)}
    return {**common, **fields, "done": True, "done_reason": "load"}


def rfc3339(time_s: float) -> str:
    """A time in seconds since 1970, as Ollama writes it."""
    return datetime.fromtimestamp(time_s, UTC).isoformat().replace("+00:00", "Z")


def _line(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _call_json(call: Call) -> Json:
    return {"id": call.id, "function": {"name": call.name, "arguments": call_arguments(call.arguments)}}


def _end_json(ended: Ended) -> Json:
    """How it ended, and what it took. What a load takes is within the time of the prompt."""
    usage = ended.usage
    prompt_ns, answer_ns = (round(_NS_PER_S * each) for each in (usage.prompt_s, usage.answer_s))
    return {
        "done": True,
        # Calls of tools end an answer by themselves, as Ollama sees it.
        "done_reason": "length" if ended.reason is End.LENGTH else "stop",
        "total_duration": prompt_ns + answer_ns,
        "load_duration": 0,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": prompt_ns,
        "eval_count": usage.answer_tokens,
        "eval_duration": answer_ns,
    }
