"""What a model is, from its config and the headers of its weight files; no weight is loaded."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshinfer.errors import BrokenModel

from .base import ModelCard, ModelFiles
from .directory import check_directory
from .experts import Experts, read_experts
from .fingerprint import fingerprint
from .kvsize import kv_bytes_per_token
from .safetensors import StoredTensor, read_tensors
from .settings import Settings, read_settings, read_stop_tokens

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,6})\.(.+)")
# mlx-lm drops these when it loads: other senses, extra prediction heads, constants.
_DROPPED = re.compile(
    r"(^|\.)(vision\w*|visual|image\w*|audio\w*|multi_modal_projector|mm_\w+|embed_vision|mtp\w*)\.|rotary_emb\.inv_freq$"
)
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output|output_layer|head|ff_out)\.(?!.*\.)")
_EMBEDDING = re.compile(r"(^|\.)(\w*embed\w*|wte|wpe|tok_embeddings|emb)\.")
_NORM = re.compile(r"(^|\.)(\w*norm\w*|ln_f|ln_out|norm_f)\.")

_DTYPE_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8", "F64": "float64"}


@dataclass(slots=True)
class _Places:
    """A model's tensors by where they belong; names within a layer begin after its number."""

    layers: list[dict[str, StoredTensor]]
    embedding: dict[str, StoredTensor] = field(default_factory=dict)
    head: dict[str, StoredTensor] = field(default_factory=dict)
    norm: dict[str, StoredTensor] = field(default_factory=dict)
    unknown: dict[str, StoredTensor] = field(default_factory=dict)


def read_card(files: ModelFiles) -> ModelCard:
    """Read a model's card; takes some milliseconds, for the largest models a second.

    Raises:
        BrokenModel: files or layers are missing, torn, or not what config.json says.
        UnsupportedModel: the model needs Python code out of its repository.
    """
    check_directory(files.path)
    settings = read_settings(files.path)
    tensors = read_tensors(files.path)
    stop_tokens = read_stop_tokens(settings)
    digest = fingerprint(files.path, settings.config, stop_tokens, tensors)
    return card_of(files.name, files.source, settings, tensors, stop_tokens, digest)


def card_of(
    name: str,
    source: str,
    settings: Settings,
    tensors: Mapping[str, StoredTensor],
    stop_tokens: tuple[int, ...],
    digest: str,
) -> ModelCard:
    """Make the card of a model with such settings and tensors, wherever those are known from.

    Raises:
        BrokenModel: layers are missing, or not what the settings say.
    """
    places = _sort(settings, tensors)
    experts = read_experts(settings)
    unknown_bytes = _bytes(places.unknown)
    embedding_bytes, head_bytes = _bytes(places.embedding), _bytes(places.head)
    is_tied = not places.head
    return ModelCard(
        name=name,
        source=source,
        fingerprint=digest,
        model_type=settings.model_type,
        precision=_precision(settings, tensors.values()),
        hidden_size=settings.hidden_size,
        vocab_size=settings.vocab_size or _embedding_rows(settings, places),
        context_tokens=settings.context_tokens,
        layer_bytes=tuple(_bytes(layer) for layer in places.layers),
        layer_read_bytes=tuple(_read_bytes(experts, layer) for layer in places.layers),
        embedding_bytes=embedding_bytes + unknown_bytes,
        tail_bytes=_bytes(places.norm) + (embedding_bytes if is_tied else head_bytes) + unknown_bytes,
        shared_bytes=(embedding_bytes if is_tied else 0) + unknown_bytes,
        kv_bytes_per_token=kv_bytes_per_token(settings, places.layers, places.embedding),
        stop_tokens=stop_tokens,
    )


def _sort(settings: Settings, tensors: Mapping[str, StoredTensor]) -> _Places:
    places = _Places([{} for _ in range(settings.layer_count)])
    for name, tensor in tensors.items():
        if _DROPPED.search(name):
            continue
        in_layer = _LAYER.search(name)
        if in_layer is not None:
            number = int(in_layer[1])
            if number < settings.layer_count:
                places.layers[number][in_layer[2]] = tensor
            elif number >= settings.layer_count + settings.extra_layers:
                raise BrokenModel(
                    f"{settings.path}: {tensor.file.name} holds {name}, "
                    f"but config.json says {settings.layer_count} layers"
                )
        else:
            _outside(places, name)[name] = tensor
    for number, layer in enumerate(places.layers):
        if not layer:
            raise BrokenModel(
                f"{settings.path}: layer {number} of {settings.layer_count} has no tensors in the files"
            )
    if not places.embedding:
        raise BrokenModel(f"{settings.path}: no token embeddings in the files")
    if settings.is_tied:
        places.head.clear()
    return places


def _outside(places: _Places, name: str) -> dict[str, StoredTensor]:
    """Where a tensor belongs that is in no layer; what nobody knows counts for head and tail."""
    if _HEAD.search(name):
        return places.head
    if _EMBEDDING.search(name):
        return places.embedding
    return places.norm if _NORM.search(name) else places.unknown


def _bytes(tensors: Mapping[str, StoredTensor]) -> int:
    return sum(_loaded_bytes(tensor) for tensor in tensors.values())


def _read_bytes(experts: Experts, layer: Mapping[str, StoredTensor]) -> int:
    return experts.read((name, tensor.shape, _loaded_bytes(tensor)) for name, tensor in layer.items())


def _loaded_bytes(tensor: StoredTensor) -> int:
    # mlx-lm expands 8-bit floats to bfloat16 as it loads them.
    return tensor.size_bytes * (2 if tensor.dtype == "F8_E4M3" else 1)


def _embedding_rows(settings: Settings, places: _Places) -> int:
    for name, tensor in places.embedding.items():
        if name.endswith("weight") and tensor.shape:
            return tensor.shape[0]
    raise BrokenModel(f"{settings.path}: config.json lacks vocab_size")


def _precision(settings: Settings, tensors: Iterable[StoredTensor]) -> str:
    """In words: `bfloat16`, `4-bit (float32 scales)`, `mxfp4`."""
    quantization = settings.config.get("quantization") or settings.config.get("quantization_config")
    sizes: Counter[str] = Counter()
    scales: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.size_bytes
        if tensor.name.endswith(".scales"):
            scales[tensor.dtype] += 1
    if isinstance(quantization, dict):
        mode = quantization.get("mode") or quantization.get("quant_method")
        bits = quantization.get("bits")
        kind = f"{bits}-bit" if mode in (None, "affine") and bits else str(mode)
        scale = _DTYPE_NAMES.get(scales.most_common(1)[0][0]) if scales else None
        return f"{kind} ({scale} scales)" if scale else kind
    dtype = sizes.most_common(1)[0][0]
    return _DTYPE_NAMES.get(dtype, dtype)
