"""What a model is, from its config and the headers of its weight files; no weight is loaded."""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod

from meshinfer.errors import BrokenModel

from .base import ModelCard, ModelFiles, Progress
from .contents import weight_contents
from .directory import check_directory
from .experts import Experts, read_experts
from .families import allowed_cuts
from .fingerprint import fingerprint
from .hashstore import HashStore
from .kvsize import kv_bytes_per_token
from .needs import Places, sort_tensors
from .safetensors import StoredTensor, read_tensors
from .settings import Settings, read_settings, read_stop_tokens
from .smallfiles import read_small_files
from .variant import DTYPES, Variant, read_variant

_DTYPE_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8", "F64": "float64"}


def read_card(
    files: ModelFiles, store: HashStore | None = None, progress: Progress | None = None
) -> ModelCard:
    """Read a model's card, of one that is only partly here too.

    Takes some milliseconds, for the largest models a second, where what the weight files hold is known
    (see `weight_contents`); else it reads all of them once, which `progress` shows and `store` remembers.

    Raises:
        BrokenModel: files or layers are missing, torn, or not what config.json says.
        UnsupportedModel: the model needs Python code out of its repository.
    """
    check_directory(files.path)
    settings = read_settings(files.path)
    tensors = read_tensors(files.path)
    stop_tokens = read_stop_tokens(settings)
    small_files, contents = read_small_files(files.path), weight_contents(files.path, store, progress)
    digest = fingerprint(small_files, contents)
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
    places, variant = sort_tensors(settings, tensors), read_variant(settings.config)
    experts = read_experts(settings)
    unknown_bytes = _bytes(places.unknown, variant)
    embedding_bytes, head_bytes = _bytes(places.embedding, variant), _bytes(places.head, variant)
    is_tied = places.is_tied
    return ModelCard(
        name=name,
        source=source,
        fingerprint=digest,
        model_type=settings.model_type,
        precision=_precision(settings, tensors.values(), variant),
        hidden_size=settings.hidden_size,
        vocab_size=settings.vocab_size or _embedding_rows(settings, places),
        context_tokens=settings.context_tokens,
        layer_bytes=tuple(_bytes(layer, variant) for layer in places.layers),
        layer_read_bytes=tuple(_read_bytes(experts, layer, variant) for layer in places.layers),
        embedding_bytes=_bytes(places.entry, variant) + embedding_bytes + unknown_bytes,
        tail_bytes=_bytes(places.norm, variant)
        + (embedding_bytes if is_tied else head_bytes)
        + unknown_bytes,
        shared_bytes=(embedding_bytes if is_tied else 0) + unknown_bytes,
        kv_bytes_per_token=kv_bytes_per_token(settings, places.layers, places.embedding),
        stop_tokens=stop_tokens,
        cuts=allowed_cuts(settings.model_type, settings.config, settings.layer_count),
    )


def _bytes(tensors: Mapping[str, StoredTensor], variant: Variant) -> int:
    return sum(_loaded_bytes(tensor, variant) for tensor in tensors.values())


def _read_bytes(experts: Experts, layer: Mapping[str, StoredTensor], variant: Variant) -> int:
    loaded = ((name, tensor.shape, _loaded_bytes(tensor, variant)) for name, tensor in layer.items())
    return experts.read(loaded)


def _loaded_bytes(tensor: StoredTensor, variant: Variant) -> int:
    if variant.dtype and tensor.dtype in _DTYPE_NAMES:
        return prod(tensor.shape) * DTYPES[variant.dtype]
    # mlx-lm expands 8-bit floats to bfloat16 as it loads them.
    return tensor.size_bytes * (2 if tensor.dtype == "F8_E4M3" else 1)


def _embedding_rows(settings: Settings, places: Places) -> int:
    for name, tensor in places.embedding.items():
        if name.endswith("weight") and tensor.shape:
            return tensor.shape[0]
    raise BrokenModel(f"{settings.path}: config.json lacks vocab_size")


def _precision(settings: Settings, tensors: Iterable[StoredTensor], variant: Variant) -> str:
    """In words: `bfloat16`, `4-bit (float32 scales)`, `mxfp4`, `bfloat16, 8-bit KV cache, adapter poems`."""
    kv = f"{variant.kv_bits}-bit KV cache" if variant.kv_bits else ""
    adapter = f"adapter {variant.adapter}" if variant.adapter else ""
    weights = _weights_precision(settings, tensors, variant.dtype)
    return ", ".join(part for part in (weights, kv, adapter) if part)


def _weights_precision(settings: Settings, tensors: Iterable[StoredTensor], cast_to: str) -> str:
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
        return f"{kind} ({cast_to or scale} scales)" if scale else kind
    dtype = sizes.most_common(1)[0][0]
    return cast_to or _DTYPE_NAMES.get(dtype, dtype)
