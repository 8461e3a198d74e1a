"""Small models of many architectures, and rings of shards driven by hand, as the stages of a mesh would."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshinfer.messages import Opening, Row, Sampling, SessionId, Tensor
from meshinfer.model.base import ModelCard, ModelFiles, Step, StepResult
from meshinfer.model.families import allowed_cuts
from meshinfer.model.runtime import prepare_mlx
from meshinfer.model.settings import text_settings
from meshinfer.topology.ring import PeerId

prepare_mlx()

import mlx.core as mx  # noqa: E402
from mlx.utils import tree_flatten  # noqa: E402
from mlx_lm.generate import generate_step  # noqa: E402
from mlx_lm.utils import _get_classes, load_model  # noqa: E402

from meshinfer.model.shard import Shard  # noqa: E402

VOCABULARY = 64
ORIGIN = PeerId("a" * 32)

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

_GEMMA: dict[str, Any] = {
    "num_kv_shared_layers": 0,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "final_logit_softcapping": 30.0,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCABULARY,
}

_GEMMA4: dict[str, Any] = {
    **_SMALL,
    **_GEMMA,
    "global_head_dim": 16,
    "rope_parameters": {
        "full_attention": {"partial_rotary_factor": 0.5, "rope_theta": 1000000.0},
        "sliding_attention": {"rope_theta": 10000.0},
    },
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
    "falcon_h1": {
        "model_type": "falcon_h1",
        "mamba_d_conv": 3,
        "mamba_d_head": 8,
        "mamba_d_ssm": 32,
        "mamba_d_state": 8,
        "mamba_n_heads": 4,
    },
    "llama4": {
        "model_type": "llama4",
        "text_config": {
            **_SMALL,
            "model_type": "llama4_text",
            "attention_bias": False,
            "attention_chunk_size": 6,
            "interleave_moe_layer_step": 2,
            "intermediate_size_mlp": 64,
            "num_experts_per_tok": 1,
            "num_local_experts": 2,
            "rope_scaling": None,
            "use_qk_norm": True,
        },
    },
    "longcat_flash_ngram": {
        "model_type": "longcat_flash_ngram",
        "attention_method": "MLA",
        "emb_neighbor_num": 3,
        "emb_split_num": 2,
        "expert_ffn_hidden_size": 32,
        "ffn_hidden_size": 64,
        "kv_lora_rank": 16,
        "mla_scale_kv_lora": True,
        "mla_scale_q_lora": True,
        "moe_topk": 2,
        "n_routed_experts": 2,
        "ngram_vocab_size_ratio": 3,
        "num_layers": 4,
        "q_lora_rank": 16,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "routed_scaling_factor": 1.0,
        "v_head_dim": 8,
        "zero_expert_num": 2,
        "zero_expert_type": "identity",
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
    "recurrent_gemma": {
        "model_type": "recurrent_gemma",
        "attention_bias": False,
        "conv1d_width": 4,
        "logits_soft_cap": 30.0,
        "attention_window_size": 6,
        "block_types": ["recurrent", "attention"] * 2,
    },
    "rwkv7": {
        "model_type": "rwkv7",
        "norm_eps": 1e-5,
        "num_heads": 4,
        "a_low_rank_dim": 8,
        "v_low_rank_dim": 8,
        "gate_low_rank_dim": 8,
        "decay_low_rank_dim": 8,
    },
    "gemma3n": {
        "model_type": "gemma3n",
        "text_config": {
            **_SMALL,
            **_GEMMA,
            "model_type": "gemma3n",
            "rope_local_base_freq": 1000.0,
            "activation_sparsity_pattern": [0.5, 0.5, 0.0, 0.0],
            "altup_num_inputs": 3,
            "altup_coef_clip": 1.0,
            "altup_correct_scale": True,
            "altup_active_idx": 0,
            "laurel_rank": 8,
        },
    },
    "gemma4": {"model_type": "gemma4", "vocab_size": VOCABULARY, "text_config": _GEMMA4},
    "gemma4-reusing": {
        "model_type": "gemma4",
        "vocab_size": VOCABULARY,
        "text_config": {**_GEMMA4, "num_kv_shared_layers": 1},
    },
    "kimi_k3": {
        "model_type": "kimi_k3",
        "text_config": {
            **_SMALL,
            "num_key_value_heads": 4,
            "hidden_act": "situ",
            "activation_situ_beta": 4.0,
            "activation_situ_linear_beta": 25.0,
            "linear_attn_config": {
                "kda_layers": [1, 3],
                "full_attn_layers": [2, 4],
                "num_heads": 2,
                "head_dim": 32,
                "short_conv_kernel_size": 4,
                "gate_lower_bound": -5.0,
                "use_full_rank_gate": True,
            },
            "num_experts": 4,
            "moe_intermediate_size": 32,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 8,
            "v_head_dim": 8,
            "mla_use_nope": True,
            "mla_use_output_gate": True,
            "num_experts_per_token": 2,
            "num_shared_experts": 1,
            "first_k_dense_replace": 1,
            "attn_res_block_size": 2,
        },
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


def make_model(
    path: Path,
    kind: str = "llama",
    *,
    dtype: Any = None,
    seed: int = 1,
    changes: dict[str, Any] | None = None,
) -> SmallModel:
    """Write a model of four layers with loud random weights; the same for the same arguments.

    changes: to its kind's config.
    """
    config = {**_SMALL, **CONFIGS[kind], **(changes or {})}
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    weights = loud_weights(config, dtype=dtype, seed=seed)
    for group in sorted({_file_of(name) for name in weights}):
        mine = {name: weight for name, weight in weights.items() if _file_of(name) == group}
        mx.save_safetensors(str(path / group), mine)
    return SmallModel(ModelFiles(kind, f"dir:{path}", path), _card(kind, config))


def loud_weights(config: dict[str, Any], *, dtype: Any = None, seed: int = 1) -> dict[str, Any]:
    """Weights of a model so large that an answer depends on every layer and on the whole prompt.

    What is packed in integers is random too; signs stay what they are.
    """
    model_class, args_class = _get_classes(config)
    parameters: Any = tree_flatten(model_class(args_class.from_dict(config)).parameters())
    keys = mx.random.split(mx.random.key(seed), len(parameters))
    return {
        name: _loud(name, weight, key, dtype or mx.float32)
        for key, (name, weight) in zip(keys, parameters, strict=True)
    }


def _loud(name: str, weight: Any, key: Any, dtype: Any) -> Any:
    if name.endswith(".signs"):
        return weight
    if not mx.issubdtype(weight.dtype, mx.floating):
        return mx.random.randint(0, 2**31, weight.shape, key=key).astype(weight.dtype)
    noise = mx.random.normal(weight.shape, key=key)
    if weight.ndim < 2:
        return (weight + 0.2 * noise).astype(dtype)
    return (noise * 2 / weight.shape[-1] ** 0.5).astype(dtype)


def quantise(path: Path, wanted: Callable[[str], dict[str, Any]] | None = None, **usual: Any) -> None:
    """Quantise the matrices of a written model as `mlx_lm.convert` does.

    wanted: settings of a module by its path, such as `model.layers.0.mlp.up_proj`; without it, `usual`.
    """
    config = json.loads((path / "config.json").read_text())
    said: dict[str, Any] = dict(usual)
    for file in sorted(path.glob("model*.safetensors")):
        made: dict[str, Any] = {}
        for name, weight in read_weights(file).items():
            module = name.removesuffix(".weight")
            if weight.ndim != 2:
                made[name] = weight
                continue
            settings = wanted(module) if wanted is not None else usual
            if settings != usual:
                said[module] = settings
            parts = mx.quantize(weight, **settings)
            made |= dict(zip((name, f"{module}.scales", f"{module}.biases"), parts, strict=False))
        mx.eval(made)
        mx.save_safetensors(str(file), made)
    (path / "config.json").write_text(json.dumps({**config, "quantization": said}))


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
        layer_read_bytes=(1,) * count,
        embedding_bytes=1,
        tail_bytes=1,
        shared_bytes=0,
        kv_bytes_per_token=(1,) * count,
        stop_tokens=(),
        cuts=allowed_cuts(config["model_type"], text_settings(config), count),
    )


def row(
    session: SessionId,
    position: int,
    tokens: Sequence[int],
    opening: Opening | None = None,
    is_sampled: bool = False,
    is_marked: bool = False,
) -> Row:
    """One session's part of a step."""
    return Row(session, ORIGIN, position, tuple(tokens), opening, is_sampled, is_marked)


@dataclass(slots=True)
class Ring:
    """Shards in a row, through which steps of sessions go."""

    shards: list[Shard]
    lengths: dict[SessionId, int] = field(default_factory=dict)

    def step(
        self,
        session: SessionId,
        tokens: Sequence[int],
        opening: Opening,
        is_sampled: bool,
        *,
        is_marked: bool = False,
    ) -> int | None:
        """Send one step of one session through all shards; return the tail's token."""
        result = self.turn([self.next_row(session, tokens, opening, is_sampled, is_marked)])
        assert not result.faults, result.faults
        (token,) = result.tokens or (None,)
        return token

    def lane(self, fed: dict[SessionId, int], openings: dict[SessionId, Opening]) -> dict[SessionId, int]:
        """Send one token of each of some sessions through all shards; return what follows each."""
        result = self.turn([self.next_row(name, (fed[name],), openings[name], True) for name in fed])
        assert not result.faults
        return {name: token for name, token in zip(fed, result.tokens, strict=True) if token is not None}

    def next_row(
        self,
        session: SessionId,
        tokens: Sequence[int],
        opening: Opening,
        is_sampled: bool,
        is_marked: bool = False,
    ) -> Row:
        """What comes next of a session; its first row where it is not known yet."""
        if session in self.lengths:
            return row(session, self.lengths[session], tokens, None, is_sampled, is_marked)
        begin = opening.prefix.length if opening.prefix is not None else 0
        return row(session, begin, tokens, opening, is_sampled, is_marked)

    def turn(self, rows: Sequence[Row]) -> StepResult:
        """Send a step of some rows through all shards; return what the last one made of it."""
        tensors: tuple[Tensor, ...] = ()
        result = StepResult(())
        for shard in self.shards:
            received, memory = _received(tensors)
            result = shard.forward(Step(tuple(rows), received))
            # The memory goes back to its pool now, and the next frame is written over it.
            for view in memory:
                view[:] = b"\xff" * view.nbytes
            tensors = result.tensors
        for each in rows:
            self.lengths[each.session] = each.position + len(each.tokens)
        return result

    def prefill(
        self, session: SessionId, tokens: Sequence[int], opening: Opening, chunk: int, marked: int = 0
    ) -> None:
        """Send a prompt in chunks; the one that ends behind `marked` tokens is marked, in all stages."""
        position = self.lengths.get(session, opening.prefix.length if opening.prefix is not None else 0)
        end = position + len(tokens)
        while position < end:
            until = min(position + chunk, marked if position < marked else end, end)
            part = tokens[len(tokens) - end + position :][: until - position]
            self.step(session, part, opening, False, is_marked=until == marked)
            position = until

    def release(self, session: SessionId, *, is_retained: bool = False) -> None:
        """End a session in all shards."""
        for shard in self.shards:
            if is_retained:
                shard.retain(session)
            else:
                shard.release(session)
        self.lengths.pop(session, None)

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
        self.prefill(session, prompt[:-1], opening, chunk)
        answer: list[int] = []
        last = prompt[-1]
        while len(answer) < count:
            token = self.step(session, (last,), opening, True)
            assert token is not None
            answer.append(last := token)
        self.release(session)
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
