"""From token ids to text, piece by piece, such that the pieces together are the text of all tokens at once.

mlx-lm's own streaming detokenizers drop a leading space and show special tokens.
"""

import codecs
import re
from collections.abc import Callable, Sequence, Set

_REPLACEMENT = "\ufffd"
# A character has at most four bytes: what is broken after so many tokens will not heal.
_MOST_WAITING = 64
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


class ByteLevelDetokenizer:
    """For byte-level BPE, where every token is some bytes of UTF-8.

    token_bytes: by token id. What is not there, and the `hidden` ones, show nothing.
    """

    def __init__(self, token_bytes: Sequence[bytes], hidden: Set[int] = frozenset()) -> None:
        self._token_bytes, self._hidden = token_bytes, hidden
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """Take a token; return the text that became certain (often empty)."""
        if token in self._hidden or not 0 <= token < len(self._token_bytes):  # the vocabulary may be padded
            return ""
        return self._utf8.decode(self._token_bytes[token])

    def finish(self) -> str:
        """Return what was held back, with broken characters replaced."""
        return self._utf8.decode(b"", final=True)


class WindowDetokenizer:
    """For any other tokenizer: decodes a window of the last tokens anew with each one.

    The window begins with tokens whose text is out already: decoders treat the first token of a text
    differently (a leading space goes). Text waits while it ends within a character, or in single bytes,
    which a SentencePiece decoder reads as a whole run.

    decode: without the `hidden` ones, mostly the special tokens. piece: a token's name in the vocabulary,
        None beyond its end (models pad theirs).
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        piece: Callable[[int], str | None],
        hidden: Set[int],
    ) -> None:
        self._decode, self._piece, self._hidden = decode, piece, hidden
        self._shown: list[int] = []
        self._waiting: list[int] = []

    def add(self, token: int) -> str:
        """Take a token; return the text that became certain (often empty)."""
        piece = self._piece(token)
        if token in self._hidden or piece is None:
            return ""
        self._waiting.append(token)
        if _BYTE_TOKEN.fullmatch(piece):
            return ""
        window = self._decode(self._shown + self._waiting)
        if window.endswith(_REPLACEMENT) and len(self._waiting) < _MOST_WAITING:
            return ""
        return self._show(window)

    def finish(self) -> str:
        """Return what was held back, with broken characters replaced."""
        return self._show(self._decode(self._shown + self._waiting)) if self._waiting else ""

    def _show(self, window: str) -> str:
        fresh = window[len(self._decode(self._shown)) if self._shown else 0 :]
        # Tokens without text stay, or the next one would stand first and lose its space.
        self._shown = self._waiting if self._decode(self._waiting) else self._shown + self._waiting
        self._waiting = []
        return fresh


def byte_level_bytes(pieces: Sequence[str | None], hidden: Set[int]) -> list[bytes]:
    """The bytes of each token, from GPT-2's printable alphabet; `hidden` ones have none."""
    values = _byte_of_character()
    return [
        b"" if piece is None or token in hidden else _bytes_of(piece, values)
        for token, piece in enumerate(pieces)
    ]


def _bytes_of(piece: str, values: dict[str, int]) -> bytes:
    try:
        return bytes(values[character] for character in piece)
    except KeyError:  # an added token is written as it is
        return piece.encode()


def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for what follows U+00FF."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + place): byte for place, byte in enumerate(others)}
