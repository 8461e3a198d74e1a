"""How OpenAI's API words completions."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from meshinfer.generation import Choice

from .delta import Delta, Ended, Text
from .openai_logprobs import completion_logprobs
from .openai_wording import OpenAiWords, common_json
from .question import Question
from .wording import AnswerHead, Json


class CompletionWording(OpenAiWords):
    """Words one completion."""

    def __init__(self, head: AnswerHead, question: Question, has_usage: bool = False) -> None:
        super().__init__({**common_json(head, "cmpl"), "object": "text_completion"}, question, has_usage)
        # Characters of each choice that were told.
        self._told: Counter[int] = Counter()

    def opening(self) -> bytes:
        """Nothing: a completion begins with its text."""
        return b""

    def part(self, delta: Delta) -> bytes:
        """A chunk for whatever a client can see."""
        match delta:
            case Text(choice, text):
                return self._event({"choices": [_choice(choice, text, self._logprobs([delta]), None)]})
            case Ended(choice, reason):
                self._ended.append(delta)
                return self._event({"choices": [_choice(choice, "", None, reason.value)]})
            case _:
                return b""

    def whole(self, deltas: Sequence[Delta]) -> Json:
        """All choices, and the token counts."""
        ended = sorted((d for d in deltas if isinstance(d, Ended)), key=lambda each: each.choice)
        choices = []
        for last in ended:
            texts = [d for d in deltas if isinstance(d, Text) and d.choice == last.choice]
            text = "".join(part.text for part in texts)
            choices.append(_choice(last.choice, text, self._logprobs(texts), last.reason.value))
        return {**self._common, "choices": choices, "usage": self._usage(ended)}

    def _logprobs(self, texts: Sequence[Text]) -> Json | None:
        asked = self._question.top_logprobs
        if asked is None:
            return None
        tokens: list[Choice] = []
        offsets: list[int] = []
        for part in texts:
            tokens += part.tokens
            begin = self._told[part.choice]
            lengths = accumulate((len(token.text) for token in part.tokens), initial=begin)
            offsets += list(lengths)[: len(part.tokens)]
            self._told[part.choice] += len(part.text)
        return completion_logprobs(tokens, offsets, has_top=asked > 0)


def _choice(number: int, text: str, logprobs: Json | None, finish: str | None) -> Json:
    return {"index": number, "text": text, "logprobs": logprobs, "finish_reason": finish}
