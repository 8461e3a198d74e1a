from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from meshinfer.model.vocabulary import read_vocabulary
from tests.tiny import byte_alphabet


def wrapped(pieces: list[str], decoder: Any, added: list[str]) -> Any:
    tokenizer = Tokenizer(models.BPE(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[]))
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken("<｜end▁é｜>", special=True)])
    tokenizer.add_tokens(added)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_of_a_byte_level_vocabulary_every_byte_is_known() -> None:
    tokenizer = wrapped([*byte_alphabet(), "Ġhé"], decoders.ByteLevel(), ["two words"])
    words = read_vocabulary(tokenizer)
    assert words.is_byte_level
    assert [words.bytes_of(byte) for byte in range(256)] == [bytes([byte]) for byte in range(256)]
    assert [words.bytes_of(token) for token in range(256, 259)] == [
        b" h\xe9",
        "<｜end▁é｜>".encode(),
        b"two words",
    ]
    assert words.special == {257}


def test_of_a_sentencepiece_vocabulary_spaces_and_bytes_are_known() -> None:
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer = wrapped(["▁a▁b", "é", "<0xE2>"], decoders.Sequence(steps), ["▁▁"])
    words = read_vocabulary(tokenizer)
    assert not words.is_byte_level
    assert [words.bytes_of(token) for token in range(5)] == [
        b" a b",
        "é".encode(),
        b"\xe2",
        "<｜end▁é｜>".encode(),
        b"  ",
    ]


@pytest.mark.parametrize("token", [-1, 4, 1 << 40])
def test_what_is_no_token_stands_for_nothing(token: int) -> None:
    words = read_vocabulary(wrapped(["a", "b", "c"], decoders.ByteLevel(), []))
    assert (words.bytes_of(token), words.piece_of(token)) == (b"", None)
