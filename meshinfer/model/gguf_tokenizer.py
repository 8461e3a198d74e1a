"""From the vocabulary in a GGUF file to tokenizer.json and tokenizer_config.json."""

from typing import Any

from meshinfer.errors import BrokenModel, UnsupportedModel

from .gguf import Gguf, Value

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}

# By `tokenizer.ggml.pre`: how text is cut before merging.
_PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": _BYTE_LEVEL,
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, _BYTE_LEVEL],
    },
}

_CONTROL, _USER_DEFINED = 3, 4


def tokenizer_json(gguf: Gguf) -> dict[str, Any]:
    """The content of tokenizer.json, for byte-level BPE vocabularies.

    Raises:
        UnsupportedModel: another kind of vocabulary, or an unknown way to cut text.
        BrokenModel: tokens, merges and token types do not fit together.
    """
    kind, pre = gguf.need("tokenizer.ggml.model", str), gguf.get("tokenizer.ggml.pre", str, "gpt-2")
    if kind != "gpt2" or pre not in _PRE_TOKENIZERS:
        raise UnsupportedModel(
            f"{gguf.path}: tokenizer {kind}/{pre}; gpt2 with {' or '.join(_PRE_TOKENIZERS)} is read"
        )
    vocabulary = _vocabulary(gguf)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(gguf, list(vocabulary)),
        "normalizer": None,
        "pre_tokenizer": _PRE_TOKENIZERS[pre],
        "post_processor": _post_processor(gguf, list(vocabulary)),
        "decoder": _BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": _merges(gguf, vocabulary),
        },
    }


def tokenizer_config(gguf: Gguf, context_tokens: int) -> dict[str, Any]:
    """The content of tokenizer_config.json: special tokens and the chat template."""
    tokens = list(_vocabulary(gguf))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_tokens,
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
    }
    roles = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}
    for role, key in roles.items():
        number = special_token(gguf, role)
        if number is not None:
            config[key] = tokens[number]
    if "tokenizer.chat_template" in gguf.metadata:
        config["chat_template"] = gguf.need("tokenizer.chat_template", str)
    return config


def special_token(gguf: Gguf, role: str) -> int | None:
    """The id of the token with a role (bos, eos, padding, unknown), None where there is none.

    Raises:
        BrokenModel: the id is not in the vocabulary.
    """
    key = f"tokenizer.ggml.{role}_token_id"
    if key not in gguf.metadata:
        return None
    number, count = gguf.need(key, int), len(_texts(gguf, "tokenizer.ggml.tokens"))
    if not 0 <= number < count:
        raise BrokenModel(f"{gguf.path}: {key} is {number}, the vocabulary has {count} tokens")
    return number


def _texts(gguf: Gguf, key: str) -> list[str]:
    texts = [text for text in gguf.need(key, list) if isinstance(text, str)]
    if not texts or len(texts) != len(gguf.need(key, list)):
        raise BrokenModel(f"{gguf.path}: {key} must be a list of texts")
    return texts


def _vocabulary(gguf: Gguf) -> dict[str, int]:
    """Token to id, in the order of the ids."""
    tokens = _texts(gguf, "tokenizer.ggml.tokens")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise BrokenModel(f"{gguf.path}: {len(tokens) - len(vocabulary)} tokens stand there twice")
    return vocabulary


def _merges(gguf: Gguf, vocabulary: dict[str, int]) -> list[list[str]]:
    merges = [text.split(" ") for text in _texts(gguf, "tokenizer.ggml.merges")]
    for pair in merges:
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary.keys():
            raise BrokenModel(f"{gguf.path}: the merge {' '.join(pair)!r} does not fit the vocabulary")
    return merges


def _added_tokens(gguf: Gguf, tokens: list[str]) -> list[dict[str, Any]]:
    types: list[Value] = gguf.need("tokenizer.ggml.token_type", list)
    if len(types) != len(tokens):
        raise BrokenModel(f"{gguf.path}: {len(tokens)} tokens, but {len(types)} token types")
    return [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == _CONTROL,
        }
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (_CONTROL, _USER_DEFINED)
    ]


def _post_processor(gguf: Gguf, tokens: list[str]) -> dict[str, Any] | None:
    """Puts the beginning-of-text token before a text, where the model wants one."""
    number = special_token(gguf, "bos")
    if number is None or not gguf.get("tokenizer.ggml.add_bos_token", bool, False):
        return None
    token = tokens[number]
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }
