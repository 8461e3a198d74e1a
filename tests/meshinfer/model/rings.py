"""Small models of many architectures, and rings of shards driven by hand, as the stages of a mesh would."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshinfer.messages import Opening, Sampling, SessionId, Tensor
from meshinfer.model.base import ModelCard, ModelFiles, Step
from meshinfer.model.runtime import prepare_mlx

prepare_mlx()

import mlx.core as mx  # noqa: E402
from mlx.utils import tree_flatten  # noqa: E402
from mlx_lm.generate import generate_step  # noqa: E402
from mlx_lm.utils import _get_classes, load_model  # noqa: E402

from meshinfer.model.shard import Shard  # noqa: E402

VOCABULARY = 64

_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "max_position_embeddings": 512,
}
_EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama-tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama-sliding": {
        "model_type": "llama",
        "sliding_window": 6,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    },
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3"},
    "gemma2": {"model_type": "gemma2", "query_pre_attn_scalar": 8},
    "gemma3": {"model_type": "gemma3_text", "sliding_window": 6, "sliding_window_pattern": 3},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"model_type": "qwen3_moe", **_EXPERTS},
    "qwen3_next": {
        "model_type": "qwen3_next",
        **_EXPERTS,
        "shared_expert_intermediate_size": 32,
        "linear_num_value_heads": 2,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_conv_kernel_dim": 3,
        "full_attention_interval": 2,
        "partial_rotary_factor": 0.5,
    },
    "lfm2": {
        "model_type": "lfm2",
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 32,
        "block_ff_dim": 64,
        "block_multiple_of": 16,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False,
        "full_attn_idxs": [1, 3],
    },
    "hunyuan": {
        "model_type": "hunyuan",
        "moe_topk": 2,
        "num_experts": 2,
        "num_shared_expert": 1,
        "use_mixed_mlp_moe": True,
        "use_qk_norm": True,
        "rope_scaling": {"alpha": 1000.0, "factor": 1.0, "type": "dynamic"},
        "use_cla": True,
        "cla_share_factor": 2,
        "attention_bias": False,
    },
}


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model on disk, one file a layer, and the card that goes with it."""

    files: ModelFiles
    card: ModelCard

    def reference(self, prompt: Sequence[int], count: int, chunk: int) -> list[int]:
        """mlx-lm's own greedy answer."""
        model, _ = load_model(self.files.path)
        made = generate_step(mx.array(list(prompt)), model, max_tokens=count, prefill_step_size=chunk)
        return [int(token) for token, _ in made]


def make_model(path: Path, kind: str = "llama", *, dtype: Any = None, seed: int = 1) -> SmallModel:
    """Write a model of four layers with loud random weights; the same for the same arguments."""
    config = {**_SMALL, **CONFIGS[kind]}
    model_class, args_class = _get_classes(config)
    model = model_class(args_class.from_dict(config))
    parameters: Any = tree_flatten(model.parameters())
    weights = dict(_loud(parameters, seed, dtype or mx.float32))
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    for group in sorted({_file_of(name) for name in weights}):
        mine = {name: weight for name, weight in weights.items() if _file_of(name) == group}
        mx.save_safetensors(str(path / group), mine)
    return SmallModel(ModelFiles(kind, f"dir:{path}", path), _card(kind, config))


def _loud(parameters: list[tuple[str, Any]], seed: int, dtype: Any) -> Iterator[tuple[str, Any]]:
    """Weights so large that an answer depends on every layer and on the whole prompt."""
    keys = mx.random.split(mx.random.key(seed), len(parameters))
    for key, (name, weight) in zip(keys, parameters, strict=True):
        noise = mx.random.normal(weight.shape, key=key)
        if weight.ndim == 1:
            yield name, (weight + 0.2 * noise).astype(dtype)
        else:
            yield name, (noise * 2 / weight.shape[-1] ** 0.5).astype(dtype)


def read_weights(file: Path) -> dict[str, Any]:
    """The tensors of one file, evaluated, so that the file may be written anew."""
    weights: Any = mx.load(str(file))
    mx.eval(weights)
    return dict(weights)


def _file_of(name: str) -> str:
    number = next((part for part in name.split(".") if part.isdecimal()), "ends")
    return f"model-{number}.safetensors"


def _card(kind: str, config: dict[str, Any]) -> ModelCard:
    count = config["num_hidden_layers"]
    return ModelCard(
        name=kind,
        source="dir:",
        fingerprint="0" * 32,
        model_type=config["model_type"],
        precision="float32",
        hidden_size=config["hidden_size"],
        vocab_size=VOCABULARY,
        context_tokens=512,
        layer_bytes=(1,) * count,
        embedding_bytes=1,
        tail_bytes=1,
        shared_bytes=0,
        kv_bytes_per_token=(1,) * count,
        stop_tokens=(),
    )


@dataclass(slots=True)
class Ring:
    """Shards in a row, through which steps of sessions go."""

    shards: list[Shard]
    lengths: dict[SessionId, int] = field(default_factory=dict)

    def step(
        self, session: SessionId, tokens: Sequence[int], opening: Opening, is_sampled: bool
    ) -> int | None:
        """Send one step through all shards; return the tail's token."""
        position = self.lengths.get(session, 0)
        tensors: tuple[Tensor, ...] = ()
        token = None
        for shard in self.shards:
            first = opening if position == 0 else None
            received, memory = _received(tensors)
            result = shard.forward(Step(session, position, tuple(tokens), first, is_sampled, received))
            # The memory goes back to its pool now, and the next frame is written over it.
            for view in memory:
                view[:] = b"\xff" * view.nbytes
            tensors, token = result.tensors, result.token
        self.lengths[session] = position + len(tokens)
        return token

    def answer(
        self,
        prompt: Sequence[int],
        count: int,
        *,
        chunk: int,
        sampling: Sampling | None = None,
        name: str = "s",
    ) -> list[int]:
        """Answer a prompt of at least one token with `count` tokens, as mlx-lm's generate_step does."""
        session = SessionId(name)
        opening = Opening(sampling or Sampling(), len(prompt), count, ())
        for begin in range(0, len(prompt) - 1, chunk):
            self.step(session, prompt[begin : min(begin + chunk, len(prompt) - 1)], opening, False)
        answer: list[int] = []
        last = prompt[-1]
        while len(answer) < count:
            token = self.step(session, (last,), opening, True)
            assert token is not None
            answer.append(last := token)
        for shard in self.shards:
            shard.release(session)
        del self.lengths[session]
        return answer


def _received(tensors: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], list[memoryview]]:
    """The tensors as a link with an array pool would have received them, and the memory they lie in."""
    received, memory = [], []
    for tensor in tensors:
        array: Any = mx.contiguous(mx.zeros((tensor.data.nbytes + 64,), mx.uint8))
        mx.eval(array)
        view = memoryview(array)[: tensor.data.nbytes]
        view[:] = tensor.data
        memory.append(view)
        received.append(Tensor(tensor.name, tensor.dtype, tensor.shape, view))
    return tuple(received), memory


def make_ring(model: SmallModel, *cuts: int) -> Ring:
    """Shards of a model, cut before the given layers."""
    bounds = [0, *cuts, model.card.layer_count]
    ranges = [range(start, stop) for start, stop in itertools.pairwise(bounds)]
    return Ring([Shard.load(model.files, model.card, layers) for layers in ranges])
