"""A model's config.json, read with the many names that families have for the same thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshinfer.errors import BrokenModel

from .directory import read_json
from .foreign_code import needs_code

_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_transformer_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "model_dim", "dim", "hidden_dim")
_VOCABULARY = ("vocab_size", "padded_vocab_size", "n_vocab")
_HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "multi_query_group_num")
_CONTEXT = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length", "n_ctx",
    "model_max_length", "max_context_length",
)  # fmt: skip

_WINDOWS = ("sliding_window", "sliding_window_size", "attention_chunk_size", "window_size")

# Recurrent models name no limit; it only decides when a prompt is refused as too long.
DEFAULT_CONTEXT_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Settings:
    """What config.json says.

    reusing: how many of the last layers read keys and values of earlier ones.
    head_dim, heads, kv_heads: None where it says nothing (recurrent models).
    """

    path: Path
    config: dict[str, Any]
    model_type: str
    layer_count: int
    extra_layers: int
    reusing: int
    hidden_size: int
    vocab_size: int | None
    context_tokens: int
    is_tied: bool
    heads: int | None
    kv_heads: int | None
    head_dim: int | None

    def number_in(self, layer: int, *names: str) -> int:
        """The first of some settings that is a list with a whole number for each layer; 0 if none is."""
        for name in names:
            values = self.config.get(name)
            if isinstance(values, list) and len(values) == self.layer_count:
                return values[layer] if isinstance(values[layer], int) else 0
        return 0

    def has_window(self, layer: int) -> bool:
        """Whether a layer may look back at some of the tokens only."""
        kinds = self.config.get("layer_types")
        if isinstance(kinds, list) and len(kinds) == self.layer_count:
            return "full" not in str(kinds[layer])
        is_off = self.config.get("use_sliding_window") is False
        return not is_off and any(self.config.get(name) for name in _WINDOWS)

    def number(self, *names: str) -> int | None:
        """The first of some whole-number settings that is there and positive."""
        return _number(self.path, self.config, names)


def read_settings(path: Path) -> Settings:
    """Read a model's config.json; of a model with images, the part about text.

    Raises:
        BrokenModel: it is missing, no JSON, or lacks what every model has.
        UnsupportedModel: the model needs Python code out of its repository.
    """
    return settings_of(path, read_json(path / "config.json"))


def settings_of(path: Path, raw: dict[str, Any]) -> Settings:
    """Read the content of a config.json; path: what errors name.

    Raises:
        BrokenModel, UnsupportedModel: as for `read_settings`.
    """
    if raw.get("model_file") is not None:
        raise needs_code(path, str(raw["model_file"]))
    config = text_settings(raw)
    model_type = raw.get("model_type")
    if not isinstance(model_type, str):
        raise BrokenModel(f"{path}: config.json names no model_type")
    hidden, heads = _need(path, config, _HIDDEN), _number(path, config, _HEADS)
    head_dim = _number(path, config, ("head_dim", "attention_head_dim", "kv_channels"))
    return Settings(
        path=path,
        config=config,
        model_type=model_type,
        layer_count=_need(path, config, _LAYERS),
        extra_layers=_number(path, config, ("num_nextn_predict_layers",)) or 0,
        reusing=_number(path, config, ("num_kv_shared_layers", "num_kv_reuse_layers")) or 0,
        hidden_size=hidden,
        vocab_size=_number(path, config, _VOCABULARY),
        context_tokens=_number(path, config, _CONTEXT) or DEFAULT_CONTEXT_TOKENS,
        is_tied=config.get("tie_word_embeddings") is True,
        heads=heads,
        kv_heads=_number(path, config, _KV_HEADS) or heads,
        head_dim=head_dim or (hidden // heads if heads else None),
    )


def text_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What config.json says of the part about text, where a model has images too."""
    text = config.get("text_config")
    return config | text if isinstance(text, dict) else config


def read_stop_tokens(settings: Settings) -> tuple[int, ...]:
    """The ids that end an answer, as mlx-lm gathers them.

    generation_config's where it names any, else config's; and the tokenizer's own.
    """
    path = settings.path
    generation = path / "generation_config.json"
    named = read_json(generation).get("eos_token_id") if generation.is_file() else None
    stops = set(_ids(named or settings.config.get("eos_token_id")))
    own = _tokenizer_eos(path)
    return tuple(sorted(stops if own is None else stops | {own}))


def _need(path: Path, config: dict[str, Any], names: Sequence[str]) -> int:
    value = _number(path, config, names)
    if value is None:
        raise BrokenModel(f"{path}: config.json lacks {names[0]}")
    return value


def _number(path: Path, config: dict[str, Any], names: Sequence[str]) -> int | None:
    """A positive whole number; lists (one a layer) and null count as not there."""
    for name in names:
        value = config.get(name)
        if type(value) is int and value >= 0:
            if value > 2**40:
                raise BrokenModel(f"{path}: config.json says {name} = {value}")
            if value:
                return value
        elif value is not None and not isinstance(value, list | dict):
            raise BrokenModel(f"{path}: config.json says {name} = {value!r}, a whole number is expected")
    return None


def _ids(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if type(number) is int and number >= 0]


def _tokenizer_eos(path: Path) -> int | None:
    """The id of the tokenizer's own end-of-sequence token; None where the files do not tell."""
    file = path / "tokenizer_config.json"
    config = read_json(file) if file.is_file() else {}
    token = config.get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str):
        return None
    decoder = config.get("added_tokens_decoder")
    for number, added in decoder.items() if isinstance(decoder, dict) else ():
        if isinstance(added, dict) and added.get("content") == text and number.isdecimal():
            return int(number)
    return _vocabulary_id(path / "tokenizer.json", text)


def _vocabulary_id(file: Path, text: str) -> int | None:
    content = read_json(file) if file.is_file() else {}
    added_tokens = content.get("added_tokens")
    for added in added_tokens if isinstance(added_tokens, list) else ():
        match added:
            case {"content": str(found), "id": int(number)} if found == text:
                return number
    match content.get("model"):
        case {"vocab": {**vocabulary}}:
            place = vocabulary.get(text)
            return place if isinstance(place, int) else None
        case _:
            return None
