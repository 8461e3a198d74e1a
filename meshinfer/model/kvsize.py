"""How large a layer's KV cache grows with each token, from its tensors' names and shapes."""

import re
from collections.abc import Mapping

from .safetensors import DTYPE_BITS, StoredTensor
from .settings import Settings
from .variant import DTYPES, KV_GROUP_SIZES, Variant, read_variant

_KEYS = re.compile(r"(^|\.)(k_proj|wk|k|key|key_proj)\.weight$")
_VALUES = re.compile(r"(^|\.)(v_proj|wv|v|value|value_proj)\.weight$")
_FUSED = re.compile(
    r"(^|\.)(qkv_proj|query_key_value|c_attn|wqkv|qkv|att_proj|attn_qkv|w_pack)\.weight$", re.IGNORECASE
)
_QUERIES = re.compile(r"(^|\.)(q_proj|wq)\.weight$")
_FEED_FORWARD = re.compile(r"mlp|ffn|ff|feed_forward|\w*moe\w*")
_LATENT = re.compile(r"(^|\.)kv_a_proj_with_mqa\.weight$")
_INDEXER = re.compile(r"(^|\.)indexer\.wk\.weight$")
_INDEX_KEYS = re.compile(r"(^|\.)index_k_proj\.weight$")
# A module with one of these keeps a state of fixed size instead of keys and values.
_RECURRENT = re.compile(
    r"(^|\.)(A_log|dt_bias|[a-z_]*conv(1d)?|x_proj|linear_attn|mamba|ssm|time_decay|rg_lru|g_norm|g_lora|w_lora|x_w)(\.|$)"
)

# These keep full keys and values where others of DeepSeek's kind keep the latent vector.
_EXPANDED = frozenset({"deepseek_v2", "minicpm3", "youtu_llm"})

_FLOATS = ("F32", "BF16", "F16")


def kv_bytes_per_token(
    settings: Settings, layers: list[dict[str, StoredTensor]], embedding: Mapping[str, StoredTensor]
) -> tuple[int, ...]:
    """KV cache of one token in each layer; 0 where a layer keeps a state of fixed size or none.

    layers: each layer's tensors by their name within the layer. Sliding windows count as if they were
    the full context. A layer whose names say nothing counts as full attention unless others say more. The
    last layers keep nothing where they read keys and values of earlier ones. A quantised cache counts as such
    where it is of full attention for sure.
    """
    variant = read_variant(settings.config)
    widths = [_cached_numbers(settings, layer) for layer in layers]
    if not any(widths):
        is_recurrent = any(_is_recurrent(layer) for layer in layers)
        widths = [0 if is_recurrent else _by_config(settings, layer) for layer in range(len(layers))]
    own = len(layers) - settings.reusing
    return tuple(
        _token_bytes(settings, variant, index, width, _item_bytes(layer, embedding)) if index < own else 0
        for index, (width, layer) in enumerate(zip(widths, layers, strict=True))
    )


def _token_bytes(settings: Settings, variant: Variant, layer: int, width: int, item_bytes: int) -> int:
    """Bytes of a token's `width` cached numbers, which are of `item_bytes` in the files' type."""
    item_bytes = DTYPES.get(variant.dtype, item_bytes)
    if not variant.kv_bits or settings.has_window(layer):
        return width * item_bytes
    group_size = next(
        (size for size in KV_GROUP_SIZES if settings.head_dim and settings.head_dim % size == 0),
        KV_GROUP_SIZES[-1],
    )
    # A scale and a bias to each group.
    return (width * variant.kv_bits + 7) // 8 + -(-width // group_size) * 2 * item_bytes


def _cached_numbers(settings: Settings, layer: Mapping[str, StoredTensor]) -> int:
    """How many numbers of each token a layer keeps, over all its attention modules."""
    modules: dict[tuple[str, str], dict[str, StoredTensor]] = {}
    for name, tensor in layer.items():
        module, _, rest = name.partition(".")
        # Some layers have a list of attentions.
        number = rest.partition(".")[0]
        if not _FEED_FORWARD.fullmatch(module):
            modules.setdefault((module, number if number.isdecimal() else ""), {})[name] = tensor
    return sum(_module_numbers(settings, module) for module in modules.values() if not _is_recurrent(module))


def _module_numbers(settings: Settings, module: Mapping[str, StoredTensor]) -> int:
    latent, indexer = _rows(module, _LATENT), _rows(module, _INDEXER)
    if latent:
        # DeepSeek 3.2's indexer hands its keys to the cache as values too.
        return (_expanded(settings) if settings.model_type in _EXPANDED else latent) + 2 * indexer
    keys, fused = _rows(module, _KEYS), _rows(module, _FUSED)
    if keys:
        # Where a model has no projection for values, keys serve as values and are kept twice.
        return keys + (_rows(module, _VALUES) or keys) + _rows(module, _INDEX_KEYS)
    if fused:
        # Some checkpoints hold the transpose, whose rows tell nothing.
        kept = fused - (settings.heads or 0) * (settings.head_dim or 0)
        return kept if 0 < kept < fused else _by_config(settings)
    # Queries alone: the layer caches what another one projected.
    return _by_config(settings) if _rows(module, _QUERIES) else 0


def _by_config(settings: Settings, layer: int | None = None) -> int:
    heads = settings.kv_heads
    if heads is None and layer is not None:
        heads = settings.number_in(layer, "num_kv_heads", "num_key_value_heads")
    return 2 * (heads or 0) * (settings.head_dim or 0)


def _expanded(settings: Settings) -> int:
    number = settings.number
    key_width = (number("qk_nope_head_dim") or 0) + (number("qk_rope_head_dim") or 0)
    return (settings.heads or 0) * (key_width + (number("v_head_dim") or settings.head_dim or 0))


def _rows(module: Mapping[str, StoredTensor], pattern: re.Pattern[str]) -> int:
    """The output width of the projection that matches: packing shortens a row, never their number."""
    return next(
        (tensor.shape[0] for name, tensor in module.items() if pattern.search(name) and tensor.shape), 0
    )


def _is_recurrent(module: Mapping[str, StoredTensor]) -> bool:
    return any(_RECURRENT.search(name) for name in module)


def _item_bytes(layer: Mapping[str, StoredTensor], embedding: Mapping[str, StoredTensor]) -> int:
    """Bytes of a cached number: as wide as the widest of embeddings, norms and projections."""
    telling = [tensor.dtype for name, tensor in layer.items() if _tells_precision(name)]
    telling += [tensor.dtype for tensor in embedding.values()]
    widths = [DTYPE_BITS[dtype] // 8 for dtype in telling if dtype in _FLOATS]
    return max(widths, default=2)


def _tells_precision(name: str) -> bool:
    is_key = any(pattern.search(name) for pattern in (_KEYS, _FUSED, _LATENT))
    return is_key or name.endswith(("k_proj.scales", "kv_a_proj_with_mqa.scales", "norm.weight"))
