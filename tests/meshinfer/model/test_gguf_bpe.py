import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.gguf import Gguf, read_gguf
from meshinfer.model.gguf_tokenizer import tokenizer_json
from tests.gguf import small_metadata, write_gguf

TEXT = (
    "The 1234 cats weren't THERE, don't you see?  HTTPServer naïve — Ünïcode\n\n\tx = y+1;  // 42% 漢字 ok "
)

# As the models' own tokenizer.json has them, written out once more.
PATTERNS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt-4o": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def trained(pre: str) -> Tokenizer:
    """An original tokenizer of one of those kinds, trained on a little text."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre in ("llama-bpe", "tekken")))
    split = pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([TEXT] * 5, trainer)
    tokenizer.add_special_tokens(["<|end|>"])
    return tokenizer


def gguf_of(original: Tokenizer, pre: str, path: Path) -> Gguf:
    """What llama.cpp's converter writes of a tokenizer."""
    vocabulary = sorted(original.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(original.to_str())["model"]["merges"]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [token for token, _ in vocabulary],
        "tokenizer.ggml.token_type": [3 if token == "<|end|>" else 1 for token, _ in vocabulary],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
    }
    return read_gguf(write_gguf(path / f"{pre}.gguf", metadata, {}))


@pytest.fixture(scope="module", params=PATTERNS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """An original tokenizer, and the one that is read back from GGUF."""
    original = trained(request.param)
    content = tokenizer_json(gguf_of(original, request.param, tmp_path_factory.mktemp("bpe")))
    return original, Tokenizer.from_str(json.dumps(content))


@given(text=st.text(max_size=60))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gives_the_original_tokenizers_tokens(pair: tuple[Any, Any], text: str) -> None:
    original, read = pair
    for given_text in (text, f"{TEXT}<|end|>{text}"):
        expected = original.encode(given_text, add_special_tokens=False).ids
        assert read.encode(given_text, add_special_tokens=False).ids == expected
        assert read.decode(expected) == original.decode(expected)


def cut(pre: str, text: str, path: Path) -> list[str]:
    """The pieces that a kind of tokenizer cuts a text into, spaces and letters as bytes' stand-ins."""
    file = write_gguf(path / "m.gguf", small_metadata() | {"tokenizer.ggml.pre": pre}, {})
    content = Tokenizer.from_str(json.dumps(tokenizer_json(read_gguf(file))))
    assert content.pre_tokenizer is not None
    return [piece for piece, _ in content.pre_tokenizer.pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("pre", "text", "pieces"),
    [
        ("gpt-2", "it's 1234", "it|'s|Ġ1234"),
        ("smollm", "it's 1234", "it|'s|Ġ|1|2|3|4"),
        ("starcoder", "a12", "a|1|2"),
        ("llama-bpe", "IT'S 1234!\n", "IT|'S|Ġ|123|4|!Ċ"),
        ("smaug-bpe", "a1234", "a|123|4"),
        ("qwen2", "it's 12", "it|'s|Ġ|1|2"),
        ("stablelm2", "it's 12", "it|'s|Ġ|1|2"),
        ("tekken", "HTTPServer 12", "HTTPServer|Ġ|1|2"),
        ("gpt-4o", "don't 1234", "don't|Ġ|123|4"),
        ("seed-coder", "a+\n12", "a|+|Ċ|1|2"),
        ("deepseek-coder", "if x1==22", "if|Ġx|1|==|2|2"),
    ],
)
def test_each_kind_cuts_text_its_own_way(tmp_path: Path, pre: str, text: str, pieces: str) -> None:
    assert cut(pre, text, tmp_path) == pieces.split("|")


@pytest.mark.parametrize(("pre", "begins"), [("llama-bpe", True), ("tekken", True), ("qwen2", False)])
def test_a_text_begins_with_bos_where_that_kind_of_model_wants_it(
    tmp_path: Path, pre: str, begins: bool
) -> None:
    file = write_gguf(tmp_path / "m.gguf", small_metadata() | {"tokenizer.ggml.pre": pre}, {})
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(read_gguf(file))))
    assert tokenizer.encode("the").ids == ([0, 260] if begins else [260])


def test_an_unknown_way_to_cut_is_refused_and_the_known_ones_named(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "m.gguf", small_metadata() | {"tokenizer.ggml.pre": "new-one"}, {})
    with pytest.raises(
        UnsupportedModel, match=r"tokenizer gpt2/new-one; gpt-2, .*qwen2.* are read: use a model"
    ):
        tokenizer_json(read_gguf(file))


@pytest.mark.parametrize("merge", ["x yy", "th", "t h e"])
def test_a_merge_that_does_not_fit_the_vocabulary_is_named(tmp_path: Path, merge: str) -> None:
    file = write_gguf(tmp_path / "m.gguf", small_metadata() | {"tokenizer.ggml.merges": [merge]}, {})
    with pytest.raises(BrokenModel, match=f"the merge '{re.escape(merge)}' does not fit"):
        tokenizer_json(read_gguf(file))
