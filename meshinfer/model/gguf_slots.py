"""What a GGUF file's tensors become in mlx-lm's model of the same family: names, shapes, order of rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from meshinfer.errors import BrokenModel

from .gguf import Gguf, GgufTensor
from .gguf_blocks import BITS
from .gguf_rope import FACTORS

_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_MAX_LAYERS = 1000
# Settings that change the numbers, of models that llama.cpp runs and mlx-lm's classes below do not.
_FOREIGN = (
    "attention.scale", "attention.clamp_kqv", "logit_scale", "residual_scale", "embedding_scale",
    "rope.scale_linear", "rope.scaling.attn_factor", "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """A `general.architecture`, and the model of mlx-lm that computes the same.

    architecture: its name in config.json. is_interleaved: rows of q and k are stored for a rotation of
    neighbours. extra: what stands in a layer besides the common tensors.
    """

    model_type: str
    architecture: str
    is_interleaved: bool = False
    is_head_dim_free: bool = True
    extra: dict[str, str] = field(default_factory=dict)


# Mistral's files call themselves llama.
FAMILIES = {
    "llama": Family("llama", "LlamaForCausalLM", is_interleaved=True),
    "qwen2": Family(
        "qwen2",
        "Qwen2ForCausalLM",
        is_head_dim_free=False,
        extra={f"attn_{part}.bias": f"self_attn.{part}_proj.bias" for part in "qkv"},
    ),
    "qwen3": Family(
        "qwen3",
        "Qwen3ForCausalLM",
        extra={f"attn_{part}_norm.weight": f"self_attn.{part}_norm.weight" for part in "qk"},
    ),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's sizes, as its metadata tell them; vocabulary: rows of the embeddings, padding included."""

    family: Family
    layers: int
    hidden: int
    wide: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    def of(self, name: str) -> tuple[int, ...]:
        """The shape that a tensor of GGUF's name must have."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        place, _, kind = name.rpartition(".")
        match place.rpartition(".")[2]:
            case "token_embd" | "output":
                return self.vocabulary, self.hidden
            case "attn_q":
                return (queries, self.hidden) if kind == "weight" else (queries,)
            case "attn_k" | "attn_v":
                return (keys, self.hidden) if kind == "weight" else (keys,)
            case "attn_q_norm" | "attn_k_norm":
                return (self.head_dim,)
            case "attn_output":
                return self.hidden, queries
            case "ffn_gate" | "ffn_up":
                return self.wide, self.hidden
            case "ffn_down":
                return self.hidden, self.wide
            case _:
                return (self.hidden,)

    def turned_heads(self, parameter: str) -> int | None:
        """How many heads' rows of one of mlx-lm's parameters change places; None where they stay."""
        if not self.family.is_interleaved:
            return None
        return {"q_proj": self.heads, "k_proj": self.kv_heads}.get(parameter.split(".")[-2])


def read_shape(gguf: Gguf) -> Shape:
    """Read a model's sizes.

    Raises:
        UnsupportedModel: another family, or settings that its model in mlx-lm does not have.
        BrokenModel: sizes are missing, or fit no model.
    """
    name = gguf.need("general.architecture", str)
    family = FAMILIES.get(name)
    if family is None:
        raise gguf.refused(f"architecture {name}; {', '.join(FAMILIES)} are converted")
    for key in _FOREIGN:
        if f"{name}.{key}" in gguf.metadata:
            raise gguf.refused(f"{name}.{key} has no place in mlx-lm's {family.model_type}")
    layers, hidden = gguf.need(f"{name}.block_count", int), gguf.need(f"{name}.embedding_length", int)
    heads = gguf.need(f"{name}.attention.head_count", int)
    kv_heads = gguf.get(f"{name}.attention.head_count_kv", int, heads)
    wide = gguf.need(f"{name}.feed_forward_length", int)
    if not (0 < layers <= _MAX_LAYERS and min(hidden, wide, heads, kv_heads) > 0 and heads % kv_heads == 0):
        raise BrokenModel(
            f"{gguf.path}: {layers} layers, {hidden} wide, {heads} heads, {kv_heads} KV heads fit no model"
        )
    head_dim = _head_dim(gguf, family, name, hidden // heads)
    return Shape(family, layers, hidden, wide, heads, kv_heads, head_dim, _vocabulary(gguf))


def fill_slots(gguf: Gguf, shape: Shape) -> dict[str, GgufTensor]:
    """Tensors by mlx-lm's names of them, in the order of the file to be written.

    Raises:
        BrokenModel: a tensor is missing or of the wrong shape.
        UnsupportedModel: there is one that mlx-lm's model has no place for (experts, other biases).
    """
    names = dict(_slots(shape))
    unknown = sorted(gguf.tensors.keys() - names.keys() - {FACTORS})
    if unknown:
        raise gguf.refused(f"{unknown[0]} has no place in mlx-lm's {shape.family.model_type}")
    filled: dict[str, GgufTensor] = {}
    for theirs, ours in names.items():
        tensor = gguf.tensors.get(theirs)
        if tensor is None:
            if theirs == "output.weight":  # tied to the embeddings
                continue
            raise BrokenModel(f"{gguf.path}: tensor {theirs} is missing")
        if tensor.shape != shape.of(theirs):
            raise BrokenModel(f"{gguf.path}: {theirs} is {tensor.shape}, metadata say {shape.of(theirs)}")
        if len(tensor.shape) == 1 and tensor.type.name in BITS:
            raise BrokenModel(f"{gguf.path}: {theirs} is a vector and cannot be {tensor.type.name}")
        filled[ours] = tensor
    return filled


def _slots(shape: Shape) -> Iterator[tuple[str, str]]:
    yield from _OUTER.items()
    for layer in range(shape.layers):
        for theirs, ours in (_IN_LAYER | shape.family.extra).items():
            yield f"blk.{layer}.{theirs}", f"model.layers.{layer}.{ours}"


def _head_dim(gguf: Gguf, family: Family, name: str, usual: int) -> int:
    head_dim = gguf.get(f"{name}.attention.key_length", int, usual)
    values = gguf.get(f"{name}.attention.value_length", int, head_dim)
    if values != head_dim or (head_dim != usual and not family.is_head_dim_free):
        raise gguf.refused(f"heads of {head_dim} and {values} have no place in mlx-lm's {family.model_type}")
    rotated = gguf.get(f"{name}.rope.dimension_count", int, head_dim)
    if rotated != head_dim or head_dim % 2 or head_dim <= 0:
        raise gguf.refused(f"rope turns {rotated} of {head_dim} dimensions of a head")
    return head_dim


def _vocabulary(gguf: Gguf) -> int:
    """How many rows the embeddings have: as many as there are tokens, or more.

    Raises:
        BrokenModel: there are fewer.
    """
    tokens, embeddings = len(gguf.need("tokenizer.ggml.tokens", list)), gguf.tensors.get("token_embd.weight")
    rows = embeddings.shape[0] if embeddings else tokens
    if rows < tokens:
        raise BrokenModel(f"{gguf.path}: {tokens} tokens, but token_embd.weight has {rows} rows")
    return rows
