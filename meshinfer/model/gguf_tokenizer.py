"""From the vocabulary in a GGUF file to tokenizer.json and tokenizer_config.json."""

from typing import Any

from meshinfer.errors import BrokenModel

from .gguf import Gguf
from .gguf_bpe import Bpe, byte_level
from .gguf_cursor import Value
from .gguf_sentencepiece import sentence_pieces

_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 2, 3, 4, 5

# Files exist whose eos ends a text, but not a turn in a chat. llama.cpp knows the tokens that do by name.
_TURN_ENDS = {"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"}


def tokenizer_json(gguf: Gguf) -> dict[str, Any]:
    """The content of tokenizer.json.

    Raises:
        UnsupportedModel: an unknown kind of vocabulary, or an unknown way to cut text.
        BrokenModel: tokens, merges, scores and token types do not fit together.
    """
    vocabulary = _vocabulary(gguf)
    kind = gguf.need("tokenizer.ggml.model", str)
    match kind:
        case "gpt2":
            bpe = byte_level(gguf, vocabulary)
        case "llama":
            bpe = sentence_pieces(gguf, vocabulary, special_token(gguf, "unknown"))
        case _:
            raise gguf.refused(f"tokenizer {kind}; gpt2 and llama are read")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(gguf, vocabulary),
        "normalizer": bpe.normalizer,
        "pre_tokenizer": bpe.pre_tokenizer,
        "post_processor": _post_processor(gguf, bpe, list(vocabulary)),
        "decoder": bpe.decoder,
        "model": bpe.model,
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
    number, count = gguf.need(key, int), len(_vocabulary(gguf))
    if not 0 <= number < count:
        raise BrokenModel(f"{gguf.path}: {key} is {number}, the vocabulary has {count} tokens")
    return number


def stop_ids(gguf: Gguf) -> int | list[int] | None:
    """config.json's `eos_token_id`: what ends a text, and where they differ what ends a turn.

    Raises:
        BrokenModel: an id is not in the vocabulary.
    """
    named = [special_token(gguf, role) for role in ("eos", "eot", "eom")]
    types = _types(gguf)
    ends = [
        number
        for token, number in _vocabulary(gguf).items()
        if token in _TURN_ENDS and types[number] == _CONTROL
    ]
    stops = list(dict.fromkeys(number for number in [*named, *ends] if number is not None))
    return stops if len(stops) > 1 else next(iter(stops), None)


def _vocabulary(gguf: Gguf) -> dict[str, int]:
    """Token to id, in the order of the ids, without those that only fill the embeddings up."""
    listed = gguf.need("tokenizer.ggml.tokens", list)
    tokens = [text for text in listed if isinstance(text, str)]
    if not tokens or len(tokens) != len(listed):
        raise BrokenModel(f"{gguf.path}: tokenizer.ggml.tokens must be a list of texts")
    types = _types(gguf)
    if len(types) != len(tokens):
        raise BrokenModel(f"{gguf.path}: {len(tokens)} tokens, but {len(types)} token types")
    while types[len(tokens) - 1] == _UNUSED and len(tokens) > 1:
        tokens.pop()
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise BrokenModel(f"{gguf.path}: {len(tokens) - len(vocabulary)} tokens stand there twice")
    return vocabulary


def _types(gguf: Gguf) -> list[Value]:
    return gguf.need("tokenizer.ggml.token_type", list)


def _added_tokens(gguf: Gguf, vocabulary: dict[str, int]) -> list[dict[str, Any]]:
    types = _types(gguf)
    return [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": types[number] != _USER_DEFINED,
        }
        for token, number in vocabulary.items()
        if types[number] in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    ]


def _post_processor(gguf: Gguf, bpe: Bpe, tokens: list[str]) -> dict[str, Any] | None:
    """Puts bos before a text and eos behind it, where the model wants them."""
    bos = special_token(gguf, "bos") if gguf.get("tokenizer.ggml.add_bos_token", bool, bpe.begins) else None
    eos = special_token(gguf, "eos") if gguf.get("tokenizer.ggml.add_eos_token", bool, False) else None
    added = {tokens[number]: number for number in (bos, eos) if number is not None}
    if not added:
        return None
    before = [] if bos is None else [{"SpecialToken": {"id": tokens[bos], "type_id": 0}}]
    behind = [] if eos is None else [{"SpecialToken": {"id": tokens[eos], "type_id": 0}}]
    return {
        "type": "TemplateProcessing",
        "single": [*before, {"Sequence": {"id": "A", "type_id": 0}}, *behind],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            token: {"id": token, "ids": [number], "tokens": [token]} for token, number in added.items()
        },
    }
