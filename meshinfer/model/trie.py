"""A model's vocabulary as llguidance walks it: byte by byte, over a trie of all tokens."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLTokenizer

Encode = Callable[[str], Sequence[int]]


def trie_of(vocabulary: Vocabulary, encode: Encode) -> "LLTokenizer":
    """Build the trie, in some tenths of a second where there are many tokens.

    Behind the last token it has one that stands for the answer's end: which stop tokens end an answer is
    the session's matter.
    encode: how the model is used to see a text; where a grammar leaves but one text, it is written like that.
    """
    from llguidance import LLTokenizer, TokenizerWrapper

    source = _Source(vocabulary, encode)
    source.trie = LLTokenizer(TokenizerWrapper(source))
    return source.trie


def encode_bare(tokenizer: Any) -> Encode:
    """Token ids of a text alone, of a transformers tokenizer, from any thread."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return lambda text: ()
    # Once, and nobody sets them later: in a text that somebody else encodes then, nothing changes.
    backend.no_truncation()
    backend.no_padding()
    return lambda text: backend.encode(text, add_special_tokens=False).ids


class _Source:
    """A tokenizer with the attributes that llguidance asks for."""

    def __init__(self, vocabulary: Vocabulary, encode: Encode) -> None:
        self.eos_token_id = len(vocabulary.table)
        self.bos_token_id = None
        self.tokens = [*vocabulary.table, b"<|end of the answer|>"]
        self.special_token_ids = [*sorted(vocabulary.special), self.eos_token_id]
        self.trie: LLTokenizer | None = None
        self._vocabulary = vocabulary
        self._encode = encode

    def __call__(self, utf8: bytes) -> list[int]:
        """Token ids that stand for exactly these bytes: what the model must write, as llguidance sees it."""
        text = utf8.decode()
        tokens = list(self._encode(text))
        is_exact = b"".join(map(self._vocabulary.bytes_of, tokens)) == utf8
        if is_exact and self._vocabulary.special.isdisjoint(tokens):
            return tokens
        # SentencePiece puts a space before a text, and a text may spell a special token's name.
        return self.trie.greedy_tokenize(text) if self.trie is not None else []
