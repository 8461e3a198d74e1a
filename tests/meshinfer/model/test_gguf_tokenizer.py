from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, ModelError, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.gguf import Gguf, read_gguf
from meshinfer.model.gguf_convert import plan_conversion
from meshinfer.model.gguf_tokenizer import stop_ids, tokenizer_json
from meshinfer.model.language import Tokenizer
from meshinfer.model.tokenizer import load_tokenizer
from tests.gguf import small_metadata, small_tensors, write_gguf


def gguf_with(path: Path, **changes: Any) -> Gguf:
    """A small model with some of `tokenizer.ggml.…` changed."""
    metadata = small_metadata() | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return read_gguf(write_gguf(path / "m.gguf", metadata, small_tensors(small_metadata())))


def loaded(gguf: Gguf, path: Path) -> Tokenizer:
    directory = path / "converted"
    directory.mkdir()
    plan_conversion(gguf).write(directory)
    return load_tokenizer(ModelFiles("m", "dir:m", directory))


def test_the_tokenizer_is_that_of_the_metadata(tmp_path: Path) -> None:
    tokenizer = loaded(gguf_with(tmp_path), tmp_path)
    # Digits stand alone, "the" is merged, <|end|> is special.
    assert tokenizer.encode("the12<|end|>") == (260, 3 + ord("1"), 3 + ord("2"), 1)
    assert tokenizer.decode(tokenizer.encode("the é 12<|end|>")) == "the é 12"
    assert tokenizer.encode_chat([{"role": "user", "content": "the"}]) == (260,)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"add_bos_token": True}, (0, 260)),
        ({"add_bos_token": True, "add_eos_token": True}, (0, 260, 1)),
        ({"pre": "llama-bpe"}, (0, 260)),
        ({"pre": "llama-bpe", "add_bos_token": False}, (260,)),
    ],
)
def test_a_text_begins_and_ends_as_the_model_wants_it(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    assert loaded(gguf_with(tmp_path, **changes), tmp_path).encode("the") == expected


def test_tokens_that_only_fill_the_embeddings_up_are_left_out(tmp_path: Path) -> None:
    tokens = small_metadata()["tokenizer.ggml.tokens"]
    types = small_metadata()["tokenizer.ggml.token_type"]
    gguf = gguf_with(tmp_path, tokens=[*tokens, "[PAD261]", "[PAD262]"], token_type=[*types, 5, 5])
    assert len(tokenizer_json(gguf)["model"]["vocab"]) == 261


def test_a_token_that_the_user_defined_is_found_whole_but_not_hidden(tmp_path: Path) -> None:
    types = small_metadata()["tokenizer.ggml.token_type"]
    tokenizer = loaded(gguf_with(tmp_path, token_type=[*types[:-1], 4], merges=["t h"]), tmp_path)
    assert tokenizer.encode("the") == (260,)
    assert tokenizer.decode((260,)) == "the"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        ({"eot_token_id": 2}, [1, 2]),
        ({"eot_token_id": 1, "eom_token_id": 0}, [1, 0]),
    ],
)
def test_an_answer_ends_with_whatever_ends_a_turn(
    tmp_path: Path, changes: dict[str, int], expected: Any
) -> None:
    assert stop_ids(gguf_with(tmp_path, **changes)) == expected


def test_old_files_name_the_end_of_a_turn_by_its_text_alone(tmp_path: Path) -> None:
    tokens = small_metadata()["tokenizer.ggml.tokens"]
    gguf = gguf_with(tmp_path, tokens=["<|eot_id|>", "<|end_of_text|>", "<|pad|>", *tokens[3:]])
    assert stop_ids(gguf) == [1, 0]


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"model": "bert"}, UnsupportedModel, "tokenizer bert; gpt2 and llama are read: use a model"),
        ({"token_type": [1, 1]}, BrokenModel, "261 tokens, but 2 token types"),
        ({"eos_token_id": 9999}, BrokenModel, "eos_token_id is 9999, the vocabulary has 261 tokens"),
        ({"tokens": ["a"] * 261}, BrokenModel, "260 tokens stand there twice"),
        ({"tokens": [1, 2]}, BrokenModel, "tokens must be a list of texts"),
        ({"merges": "none"}, BrokenModel, "merges is missing or not of type list"),
    ],
)
def test_a_vocabulary_that_cannot_be_read_is_named(
    tmp_path: Path, changes: dict[str, Any], error: type[ModelError], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        plan_conversion(gguf_with(tmp_path, **changes))
