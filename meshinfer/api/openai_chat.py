"""How OpenAI's API words chat completions."""

from collections.abc import Sequence

from meshinfer.generation import Choice

from .delta import CallArguments, CallBegun, Delta, Ended, Reasoning, Text
from .openai_logprobs import chat_logprobs
from .openai_wording import OpenAiWords, common_json
from .question import Question
from .wording import AnswerHead, Json


class ChatWording(OpenAiWords):
    """Words one chat completion."""

    def __init__(self, head: AnswerHead, question: Question, has_usage: bool = False) -> None:
        common = {**common_json(head, "chatcmpl"), "object": "chat.completion.chunk"}
        super().__init__(common, question, has_usage)

    def opening(self) -> bytes:
        """Who speaks, for each choice."""
        delta = {"role": "assistant", "content": ""}
        return b"".join(self._chunk(number, delta) for number in range(self._question.choices))

    def part(self, delta: Delta) -> bytes:
        """A chunk for whatever a client can see."""
        match delta:
            case Text(choice, text, tokens):
                return self._chunk(choice, {"content": text}, tokens=tokens) if text or tokens else b""
            case Reasoning(choice, text):
                return self._chunk(choice, {"reasoning_content": text})
            case CallBegun(choice):
                return self._chunk(choice, {"tool_calls": [{"index": delta.number, **_call(delta, "")}]})
            case CallArguments(choice, number, text):
                more = {"index": number, "function": {"arguments": text}}
                return self._chunk(choice, {"tool_calls": [more]})
            case Ended(choice, reason):
                self._ended.append(delta)
                return self._chunk(choice, {}, finish=reason.value)

    def whole(self, deltas: Sequence[Delta]) -> Json:
        """All choices, and the token counts."""
        ended = [delta for delta in deltas if isinstance(delta, Ended)]
        by_number = sorted(ended, key=lambda each: each.choice)
        choices = [self._choice([d for d in deltas if d.choice == last.choice], last) for last in by_number]
        return {
            **self._common,
            "object": "chat.completion",
            "choices": choices,
            "usage": self._usage(ended),
        }

    def _choice(self, deltas: Sequence[Delta], last: Ended) -> Json:
        tokens = [token for delta in deltas if isinstance(delta, Text) for token in delta.tokens]
        return {
            "index": last.choice,
            "message": _message(deltas),
            "logprobs": self._logprobs(tokens),
            "finish_reason": last.reason.value,
        }

    def _chunk(
        self, choice: int, delta: Json, *, finish: str | None = None, tokens: Sequence[Choice] = ()
    ) -> bytes:
        logprobs = self._logprobs(tokens) if tokens else None
        body = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._event({"choices": [body]})

    def _logprobs(self, tokens: Sequence[Choice]) -> Json | None:
        return chat_logprobs(tokens) if self._question.top_logprobs is not None else None


def _message(deltas: Sequence[Delta]) -> Json:
    text = "".join(delta.text for delta in deltas if isinstance(delta, Text))
    thought = "".join(delta.text for delta in deltas if isinstance(delta, Reasoning))
    calls = [_call(delta, _arguments(deltas, delta)) for delta in deltas if isinstance(delta, CallBegun)]
    return {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
        **({"reasoning_content": thought} if thought else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _arguments(deltas: Sequence[Delta], call: CallBegun) -> str:
    parts = (delta for delta in deltas if isinstance(delta, CallArguments) and delta.number == call.number)
    return "".join(part.text for part in parts)


def _call(call: CallBegun, arguments: str) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
