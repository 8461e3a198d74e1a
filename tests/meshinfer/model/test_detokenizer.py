from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from meshinfer.model.detokenizer import ByteLevelDetokenizer, WindowDetokenizer, byte_level_bytes
from meshinfer.model.language import Detokenizer
from tests.tiny import byte_alphabet

SPECIAL = "<|special|>"


def byte_level() -> Tokenizer:
    """All bytes, some words, an added token with a space, a special token."""
    tokens = [*byte_alphabet(), "he", "Ġa", "Ã©", SPECIAL]
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(SPECIAL, special=True)])
    tokenizer.add_tokens(["<tool call>", "<think>"])
    return tokenizer


def sentencepiece(strips: bool) -> Tokenizer:
    """All bytes as `<0x..>`, words with and without the mark of a space, a special token."""
    words = ["▁", "▁▁", "▁a", "b", "é", "�", "\n", SPECIAL]
    tokens = [*words, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=[]))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strips else steps)
    tokenizer.add_special_tokens([AddedToken(SPECIAL, special=True)])
    return tokenizer


BYTE_LEVEL, STRIPPING, PLAIN = byte_level(), sentencepiece(strips=True), sentencepiece(strips=False)


def hidden(tokenizer: Tokenizer) -> frozenset[int]:
    return frozenset(place for place, token in tokenizer.get_added_tokens_decoder().items() if token.special)


PIECES = [BYTE_LEVEL.id_to_token(place) for place in range(BYTE_LEVEL.get_vocab_size())]
TABLE = byte_level_bytes(PIECES, hidden(BYTE_LEVEL))


def window_over(tokenizer: Tokenizer) -> Detokenizer:
    return WindowDetokenizer(tokenizer.decode, tokenizer.id_to_token, hidden(tokenizer))


FRESH: dict[str, tuple[Tokenizer, Callable[[], Detokenizer]]] = {
    "byte level": (BYTE_LEVEL, lambda: ByteLevelDetokenizer(TABLE)),
    "window, byte level": (BYTE_LEVEL, lambda: window_over(BYTE_LEVEL)),
    "window, stripping": (STRIPPING, lambda: window_over(STRIPPING)),
    "window, plain": (PLAIN, lambda: window_over(PLAIN)),
}


def id_of(tokenizer: Tokenizer, name: str) -> int:
    number = tokenizer.token_to_id(name)
    assert number is not None
    return number


def pieces_of(detokenizer: Detokenizer, tokens: list[int]) -> list[str]:
    return [*(detokenizer.add(token) for token in tokens), detokenizer.finish()]


@pytest.mark.parametrize("kind", FRESH)
@given(data=st.data())
def test_the_pieces_together_are_the_text_of_all_tokens(kind: str, data: st.DataObject) -> None:
    tokenizer, fresh = FRESH[kind]
    # Up to three ids beyond the vocabulary: models pad theirs.
    token = st.integers(0, tokenizer.get_vocab_size() + 2)
    tokens = data.draw(st.lists(token, max_size=24) | st.lists(st.integers(0, 8), max_size=12))
    assert "".join(pieces_of(fresh(), tokens)) == tokenizer.decode(tokens)


@pytest.mark.parametrize("kind", FRESH)
@given(text=st.text(max_size=12))
def test_of_whole_characters_none_comes_in_halves(kind: str, text: str) -> None:
    tokenizer, fresh = FRESH[kind]
    name = "<0x{:02X}>" if tokenizer is not BYTE_LEVEL else None
    tokens = [
        id_of(tokenizer, name.format(byte) if name else byte_alphabet()[byte]) for byte in text.encode()
    ]
    pieces = pieces_of(fresh(), tokens)
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text
    assert "".join(pieces) == tokenizer.decode(tokens)


@pytest.mark.parametrize("kind", FRESH)
def test_a_half_character_at_the_end_is_replaced_when_the_answer_ends(kind: str) -> None:
    tokenizer, fresh = FRESH[kind]
    first = byte_alphabet()[0xC3] if tokenizer is BYTE_LEVEL else "<0xC3>"
    detokenizer = fresh()
    assert detokenizer.add(id_of(tokenizer, first)) == ""
    assert detokenizer.finish() == "\ufffd"


@pytest.mark.parametrize("kind", FRESH)
def test_special_tokens_show_nothing_even_within_a_character(kind: str) -> None:
    tokenizer, fresh = FRESH[kind]
    alphabet = byte_alphabet()
    names = (
        [alphabet[0xC3], SPECIAL, alphabet[0xA9]]
        if tokenizer is BYTE_LEVEL
        else ["<0xC3>", SPECIAL, "<0xA9>"]
    )
    tokens = [id_of(tokenizer, name) for name in names]
    assert "".join(pieces_of(fresh(), tokens)) == "é"


def test_bytes_that_stay_broken_do_not_hold_the_text_for_ever() -> None:
    detokenizer = window_over(BYTE_LEVEL)
    broken = id_of(BYTE_LEVEL, byte_alphabet()[0xFF])
    assert any(detokenizer.add(broken) for _ in range(70))
