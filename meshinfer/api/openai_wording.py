"""What the answers of OpenAI's API have in common, whether chats or completions."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from . import sse
from .delta import Ended, Usage
from .errors import ApiError, error_json
from .question import Question
from .wording import AnswerHead, Json


class OpenAiWords:
    """Words answers to one question. has_usage: whether a stream ends with token counts."""

    headers = sse.HEADERS

    def __init__(self, common: Json, question: Question, has_usage: bool) -> None:
        self._common = common
        self._question = question
        self._has_usage = has_usage
        self._ended: list[Ended] = []

    def pause(self, why: str) -> bytes:
        """A comment, which clients skip."""
        return sse.comment(why)

    def closing(self) -> bytes:
        """The token counts, where they are wanted, and the mark of the end."""
        if not self._has_usage:
            return sse.DONE
        return self._event({"choices": [], "usage": self._usage(self._ended)}) + sse.DONE

    def failure(self, error: ApiError) -> bytes:
        """The error, as it would be answered without a stream."""
        # No `[DONE]` follows: clients take it for the end of a whole answer.
        return sse.event(error_json(error))

    def _usage(self, ended: Iterable[Ended]) -> Json:
        return usage_json(ended, self._question.choices)

    def _event(self, fields: Json) -> bytes:
        usage = {"usage": None} if self._has_usage else {}
        return sse.event({**self._common, **usage, **fields})


def common_json(head: AnswerHead, prefix: str) -> Json:
    """What all chunks of an answer begin with."""
    return {
        "id": f"{prefix}-{head.token}",
        "created": head.created,
        "model": head.model,
        "system_fingerprint": head.fingerprint or None,
    }


def usage_json(ended: Iterable[Ended], choices: int) -> Json:
    """Token counts of all choices. choices: how many each prompt has; they share it, and it counts once."""
    in_order = sorted(ended, key=lambda each: each.choice)
    by_prompt = groupby(in_order, lambda each: each.choice // choices)
    firsts: list[Usage] = [next(of_one).usage for _, of_one in by_prompt]
    usages: Sequence[Usage] = [each.usage for each in in_order]
    prompt_tokens = sum(usage.prompt_tokens for usage in firsts)
    answer_tokens = sum(usage.answer_tokens for usage in usages)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer_tokens,
        "total_tokens": prompt_tokens + answer_tokens,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in firsts)},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.reasoning_tokens for usage in usages)},
    }
