"""Byte-level BPE vocabularies of GGUF files, and how each kind cuts text before merging.

The patterns are those of the models' own tokenizer.json; `tokenizer.ggml.pre` is llama.cpp's name for them.
"""

from dataclasses import dataclass, field
from typing import Any

from meshinfer.errors import BrokenModel

from .gguf import Gguf

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LINES_AND_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_CAPITALS, _SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"

_GPT4 = rf"{_CONTRACTIONS}|{_BEFORE}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_LINES_AND_SPACES}"
_QWEN2 = rf"{_CONTRACTIONS}|{_BEFORE}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_LINES_AND_SPACES}"
_SEED = rf"{_CONTRACTIONS}|{_BEFORE}\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_LINES_AND_SPACES}"
_TEKKEN = (
    rf"{_BEFORE}{_CAPITALS}*{_SMALL}+|{_BEFORE}{_CAPITALS}+{_SMALL}*|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES_AND_SPACES}"
)
_GPT4O = (
    rf"{_BEFORE}{_CAPITALS}*{_SMALL}+{_CONTRACTIONS}?|{_BEFORE}{_CAPITALS}+{_SMALL}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES_AND_SPACES}"
)

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


@dataclass(frozen=True, slots=True)
class _Cut:
    """How text is cut. begins: whether a text begins with the model's bos where the metadata don't tell.

    takes_whole: a piece that is a token needs no merges (tokenizers that come from tiktoken).
    """

    pre_tokenizer: dict[str, Any]
    normalizer: dict[str, Any] | None = None
    begins: bool = False
    takes_whole: bool = False


def _split(*patterns: str, then: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    cuts = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]
    return {"type": "Sequence", "pretokenizers": [*cuts, *then, _BYTE_LEVEL | {"use_regex": False}]}


_GPT2_CUT = _Cut(_BYTE_LEVEL)
_DIGITS_CUT = _Cut({"type": "Sequence", "pretokenizers": [_DIGITS, _BYTE_LEVEL]})
_LLAMA3_CUT = _Cut(_split(_GPT4), begins=True, takes_whole=True)
_QWEN2_CUT = _Cut(_split(_QWEN2), normalizer={"type": "NFC"})

_CUTS = {
    "gpt-2": _GPT2_CUT, "exaone4": _GPT2_CUT,
    "smollm": _DIGITS_CUT, "starcoder": _DIGITS_CUT, "refact": _DIGITS_CUT, "codeshell": _DIGITS_CUT,
    "llama-bpe": _LLAMA3_CUT, "llama3": _LLAMA3_CUT, "llama-v3": _LLAMA3_CUT, "falcon3": _LLAMA3_CUT,
    "smaug-bpe": _Cut(_split(_GPT4)), "dbrx": _Cut(_split(_GPT4)),
    "qwen2": _QWEN2_CUT, "deepseek-r1-qwen": _QWEN2_CUT, "megrez": _QWEN2_CUT,
    "stablelm2": _Cut(_split(_QWEN2)),
    "tekken": _Cut(_split(_TEKKEN), begins=True, takes_whole=True),
    "gpt-4o": _Cut(_split(_GPT4O)),
    "seed-coder": _Cut(_split(_SEED)),
    "deepseek-coder": _Cut(
        _split(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", then=(_DIGITS,))
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bpe:
    """Parts of tokenizer.json; begins: whether a text begins with bos unless the metadata say otherwise."""

    normalizer: dict[str, Any] | None
    pre_tokenizer: dict[str, Any] | None
    decoder: dict[str, Any]
    model: dict[str, Any] = field(repr=False)
    begins: bool = False


def byte_level(gguf: Gguf, vocabulary: dict[str, int]) -> Bpe:
    """Read a byte-level vocabulary.

    Raises:
        UnsupportedModel: it cuts text in an unknown way.
        BrokenModel: merges and tokens do not fit together.
    """
    pre = gguf.get("tokenizer.ggml.pre", str, "gpt-2")
    cut = _CUTS.get(pre)
    if cut is None:
        raise gguf.refused(f"tokenizer gpt2/{pre}; {', '.join(_CUTS)} are read")
    model = bpe_model(vocabulary, _merges(gguf, vocabulary), ignore_merges=cut.takes_whole)
    return Bpe(cut.normalizer, cut.pre_tokenizer, _BYTE_LEVEL, model, cut.begins)


def bpe_model(vocabulary: dict[str, int], merges: list[list[str]], **changes: object) -> dict[str, Any]:
    """tokenizer.json's `model`."""
    model: dict[str, Any] = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }
    return model | changes


def _merges(gguf: Gguf, vocabulary: dict[str, int]) -> list[list[str]]:
    merges = [
        text.split(" ") if isinstance(text, str) else [] for text in gguf.need("tokenizer.ggml.merges", list)
    ]
    for pair in merges:
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary.keys():
            raise BrokenModel(f"{gguf.path}: the merge {' '.join(pair)!r} does not fit the vocabulary")
    return merges
