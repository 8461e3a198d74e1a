"""`Idempotency-Key`: the same key and question give the same text, whichever peer is asked.

Peers share no store, and need none for that: where a request names no seed, it is drawn from key and
question, and sampling is a pure function of it. What a peer keeps (`kept_answers.py`) only spares computing
it again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b

from meshinfer.generation import Conversation, Prompt

from .errors import invalid
from .question import Question
from .tools import ToolChoice

HEADER = "Idempotency-Key"

_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A question under a key. digest: 32 bytes, of both; the same on every peer."""

    key: str
    digest: bytes

    @property
    def seed(self) -> int:
        """What sampling begins with where the request names nothing else: 63 bits."""
        return int.from_bytes(self.digest[:8], "big") >> 1

    @property
    def token(self) -> str:
        """What makes the answer's id."""
        return self.digest[8:20].hex()


def read_key(headers: Mapping[str, str]) -> str | None:
    """The key of a request, if it has one.

    Raises:
        ApiError: it is too long, or cannot be read; status 400, naming the header and not repeating the key.
    """
    key = headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        text = f"{HEADER} takes 1 to 255 printable ASCII characters; there are {len(key)}"
        raise invalid(text if len(key) > 255 or not key else f"{text}, and some are no such", HEADER)
    return key


def claim(key: str, question: Question) -> Claim:
    """Put a question under a key: all of it that decides on the answer, and not how that is sent."""
    deciding = [
        key,
        question.dialect,
        _canonical(question.prompt),
        question.model,
        question.max_tokens,
        asdict(question.sampling),
        question.is_seeded,
        question.stop,
        # Named only where it is set: all other answers stay what they were before there was a choice.
        *(["ignore_eos"] if question.ignores_stops else []),
        *_more(question),
    ]
    canonical = json.dumps(deciding, sort_keys=True, separators=(",", ":")).encode("ascii")
    return Claim(key, blake2b(canonical, digest_size=32, person=b"meshinfer-answer").digest())


def _more(question: Question) -> list[object]:
    """What else decides, by its name, where it is set."""
    constraint = question.constraint
    named: dict[str, object] = {
        "prompts": [_canonical(prompt) for prompt in question.other_prompts],
        "n": question.choices if question.choices > 1 else None,
        "constraint": [constraint.kind.value, constraint.text] if constraint else None,
        "logprobs": [question.top_logprobs] if question.top_logprobs is not None else None,
        "echo": question.is_echoed,
        "tools": [asdict(tool) for tool in question.tools],
        "tool_choice": _choice(question.tool_choice) if question.tools else None,
    }
    return [[name, value] for name, value in named.items() if value]


def _canonical(prompt: Prompt) -> object:
    if not isinstance(prompt, Conversation):
        return prompt
    if not prompt.tools and not prompt.options and not prompt.hints:
        return prompt.messages
    return [prompt.messages, prompt.tools, prompt.options, *([prompt.hints] if prompt.hints else [])]


def _choice(choice: ToolChoice) -> list[object]:
    return [choice.mode.value, choice.name, choice.is_parallel]
