import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from meshinfer.errors import BrokenModel
from meshinfer.model.gguf import Gguf, read_gguf
from meshinfer.model.gguf_tokenizer import tokenizer_json
from tests.gguf import write_gguf

TEXT = (
    "The quick brown fox jumps over the lazy dog. A model of language reads tokens and writes tokens.",
    "Peers of a mesh hold layers; the last one samples 1234 and 5678, the first embeds them again.",
    "def forward(self, x):  return self.norm(x) + 1  # naïve café",
)


@pytest.fixture(scope="module")
def original() -> Any:
    """A SentencePiece model as Llama 2's: BPE with byte fallback, trained on a little text."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 20),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def metadata_of(original: Any) -> dict[str, Any]:
    """What llama.cpp's converter writes of a SentencePiece model."""
    ids = range(original.get_piece_size())
    kinds = {original.is_unknown: 2, original.is_control: 3, original.is_byte: 6}
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [original.id_to_piece(number) for number in ids],
        "tokenizer.ggml.scores": [float(original.get_score(number)) for number in ids],
        "tokenizer.ggml.token_type": [
            next((kind for is_kind, kind in kinds.items() if is_kind(number)), 1) for number in ids
        ],
        "tokenizer.ggml.unknown_token_id": original.unk_id(),
        "tokenizer.ggml.bos_token_id": original.bos_id(),
        "tokenizer.ggml.eos_token_id": original.eos_id(),
    }


def gguf_with(metadata: dict[str, Any], path: Path) -> Gguf:
    return read_gguf(write_gguf(path / "m.gguf", metadata, {}))


@pytest.fixture(scope="module")
def read(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    gguf = gguf_with(metadata_of(original), tmp_path_factory.mktemp("spm"))
    return Tokenizer.from_str(json.dumps(tokenizer_json(gguf)))


@given(
    text=st.text(max_size=40)
    | st.lists(st.sampled_from(" ".join(TEXT).split(" ")), max_size=12).map(" ".join)
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gives_sentencepieces_own_tokens(original: Any, read: Tokenizer, text: str) -> None:
    # SentencePiece ends a text at a NUL, and what it writes for a bare ▁ is its secret.
    text = text.replace("\0", "").replace("▁", "")
    expected = original.encode(text)
    assert read.encode(text, add_special_tokens=False).ids == (expected if text else [])
    assert read.decode(expected) == text


def test_a_text_begins_with_bos(original: Any, read: Tokenizer) -> None:
    assert read.encode("The dog").ids == [original.bos_id(), *original.encode("The dog")]


def test_control_tokens_are_found_in_a_text(original: Any, read: Tokenizer) -> None:
    ids = read.encode("a</s>", add_special_tokens=False).ids
    assert ids[-1] == original.eos_id()
    assert read.decode(ids) == "a"


def test_without_the_space_in_front_a_text_begins_as_it_is(original: Any, tmp_path: Path) -> None:
    metadata = metadata_of(original) | {"tokenizer.ggml.add_space_prefix": False}
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(gguf_with(metadata, tmp_path))))
    ids = tokenizer.encode(" dog", add_special_tokens=False).ids
    assert ids == original.encode("dog")
    assert tokenizer.decode(ids) == " dog"


@pytest.mark.parametrize("scores", [[1.0, 2.0], ["a", "b"]])
def test_scores_that_do_not_fit_the_tokens_are_told(original: Any, tmp_path: Path, scores: list[Any]) -> None:
    metadata = metadata_of(original) | {"tokenizer.ggml.scores": scores}
    with pytest.raises(BrokenModel, match=r"420 tokens, but [02] scores"):
        tokenizer_json(gguf_with(metadata, tmp_path))
