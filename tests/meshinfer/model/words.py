"""Small vocabularies for tests of grammars, and answers drawn from what their masks allow."""

import json
import random
from collections.abc import Sequence
from typing import Any

from meshinfer.messages import Constraint, ConstraintKind
from meshinfer.model.grammar import Grammars
from meshinfer.model.language import Matcher
from meshinfer.model.vocabulary import Vocabulary

_WORDS = ("name", '"name"', '": ', ", ", "true", "\n  ", " the", "é", '"}', "<|call|>", "<|end|>", "<|stop|>")
CALL, END, STOP = range(256 + len(_WORDS) - 3, 256 + len(_WORDS))
VOCABULARY = Vocabulary(
    pieces=(*(f"byte {byte}" for byte in range(256)), *_WORDS),
    table=(*(bytes([byte]) for byte in range(256)), *map(str.encode, _WORDS)),
    special=frozenset({CALL, END, STOP}),
    is_byte_level=True,
)
"""All bytes, some words, and three special tokens."""


def grammars() -> Grammars:
    """Fresh ones, for this vocabulary, whose texts are encoded by the longest words."""
    return Grammars(VOCABULARY, lambda text: ())


def schema(**of: Any) -> Constraint:
    """A constraint by a JSON schema."""
    return Constraint(ConstraintKind.SCHEMA, json.dumps(of))


def regex(text: str) -> Constraint:
    """A constraint by a regular expression."""
    return Constraint(ConstraintKind.REGEX, text)


def allowed(mask: bytes) -> list[int]:
    """The tokens of a mask."""
    return [token for token in range(8 * len(mask)) if mask[token // 8] >> token % 8 & 1]


def text_of(tokens: Sequence[int]) -> str:
    """What some tokens stand for."""
    return b"".join(map(VOCABULARY.bytes_of, tokens)).decode()


def drawn(matcher: Matcher, seed: int, fond_of: str = '"}]') -> list[int]:
    """A whole answer, drawn from what is allowed; often from tokens that begin with one of `fond_of`.

    Strings of even draws would hardly ever end.
    """
    chance, answer = random.Random(seed), list[int]()
    while not matcher.is_over():
        may = allowed(matcher.mask((END,)))
        liked = [token for token in may if VOCABULARY.bytes_of(token)[:1] in set(map(str.encode, fond_of))]
        token = chance.choice(liked if liked and chance.random() < 0.5 else may)
        if token == END:
            break
        answer.append(token)
        matcher.take((token,))
    return answer
