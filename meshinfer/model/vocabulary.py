"""What each token of a model stands for, in bytes of UTF-8."""

import re
from dataclasses import dataclass
from typing import Any

from .detokenizer import byte_level_bytes

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All tokens of a tokenizer.

    pieces: their names, by id; None where there is none. table: by id as well; a special one stands for its
    name, one that is not there for nothing. special: those that are no text. is_byte_level: whether tokens
    are written in GPT-2's alphabet.
    """

    pieces: tuple[str | None, ...]
    table: tuple[bytes, ...]
    special: frozenset[int]
    is_byte_level: bool

    def piece_of(self, token: int) -> str | None:
        """A token's name; None, where there is no such token."""
        return self.pieces[token] if 0 <= token < len(self.pieces) else None

    def bytes_of(self, token: int) -> bytes:
        """What a token stands for; nothing, where there is no such token."""
        return self.table[token] if 0 <= token < len(self.table) else b""


def read_vocabulary(tokenizer: Any) -> Vocabulary:
    """Read it of a transformers tokenizer.

    SentencePiece writes spaces as `▁` and bytes as `<0x0A>`. Tokenizers of other kinds, such as WordPiece,
    belong to models that write no text.
    """
    pieces: list[str | None] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = frozenset(number for number, token in tokenizer.added_tokens_decoder.items() if token.special)
    is_byte_level = _is_byte_level(tokenizer)
    table = (
        byte_level_bytes(pieces, special) if is_byte_level else [_sentence_piece(piece) for piece in pieces]
    )
    for token, piece in enumerate(pieces):
        if token in special and piece is not None:
            table[token] = piece.encode()
    return Vocabulary(tuple(pieces), tuple(table), special, is_byte_level)


def _sentence_piece(piece: str | None) -> bytes:
    if piece is None:
        return b""
    byte = _BYTE_TOKEN.fullmatch(piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace("▁", " ").encode()


def _is_byte_level(tokenizer: Any) -> bool:
    """Whether every token is some bytes of UTF-8, in GPT-2's alphabet (slow tokenizers do not tell)."""
    from tokenizers.decoders import ByteLevel

    backend = getattr(tokenizer, "backend_tokenizer", None)
    return isinstance(getattr(backend, "decoder", None), ByteLevel)
