"""Tiny configurations for every architecture of mlx-lm: what is usual, and what each has of its own."""

import dataclasses
import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any

import mlx_lm.models

VOCABULARY = 64
SLIDING, FULL = "sliding_attention", "full_attention"

Settings = dict[str, Any]

USUAL: Settings = {
    "hidden_size": 32, "num_hidden_layers": 4, "intermediate_size": 64, "vocab_size": VOCABULARY,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512,
    "rope_theta": 10000.0, "tie_word_embeddings": False,
    "rms_norm_eps": 1e-5, "layer_norm_eps": 1e-5, "layer_norm_epsilon": 1e-5, "norm_eps": 1e-5,
    "attention_bias": False, "mlp_bias": False, "use_bias": False, "conv_bias": False,
    # GPT's names for the same.
    "n_embd": 32, "n_layer": 4, "n_head": 4, "n_inner": 64, "n_positions": 512, "n_ctx": 512,
    # Experts.
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "shared_intermediate_size": 32,
    "n_shared_experts": 1, "num_shared_experts": 1, "moe_topk": 2, "n_group": 1, "topk_group": 1,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "decoder_sparse_step": 1, "mlp_only_layers": [],
    "norm_topk_prob": True, "routed_scaling_factor": 1.0,
    # Latent attention.
    "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    # Windows, and layers that differ.
    "sliding_window": 6, "layer_types": [SLIDING, FULL, SLIDING, FULL], "partial_rotary_factor": 0.5,
    "full_attention_interval": 2,
    # Linear attention and state spaces.
    "linear_num_value_heads": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 32,
    "linear_value_head_dim": 32, "linear_conv_kernel_dim": 3, "layer_group_size": 2, "group_norm_size": 2,
    "state_size": 8, "ssm_state_size": 8, "conv_kernel": 4, "use_conv_bias": True, "n_groups": 2,
    "time_step_rank": 4, "time_step_limit": [0.01, 10.0], "mamba_d_conv": 4, "mamba_d_state": 8,
    "mamba_expand": 2, "mamba_num_heads": 4, "mamba_head_dim": 8, "mamba_n_heads": 4, "mamba_d_head": 8,
    "mamba_n_groups": 1, "mamba_proj_bias": False, "mamba_conv_bias": True,
}  # fmt: skip

_ROPES: Settings = {
    SLIDING: {"rope_type": "default", "rope_theta": 10000.0},
    FULL: {"rope_type": "default", "rope_theta": 1000000.0, "partial_rotary_factor": 0.5},
}
_LLAMA4_ROPE: Settings = {
    "rope_theta": 10000.0, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 64,
    "type": "yarn", "factor": 2.0, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
}  # fmt: skip
_GRANITE: Settings = {
    "logits_scaling": 1.0, "attention_multiplier": 0.3, "embedding_multiplier": 1.0,
    "residual_multiplier": 1.0,
}  # fmt: skip
_INDEXER: Settings = {
    "index_head_dim": 32, "index_n_heads": 4, "index_topk": 4, "num_key_value_heads": 4,
    "topk_method": "noaux_tc", "scoring_func": "sigmoid",
}  # fmt: skip
_GEMMA: Settings = {
    "num_hidden_layers": 6, "layer_types": [SLIDING, FULL] * 3, "num_kv_shared_layers": 2,
    "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY,
}  # fmt: skip
_LFM2: Settings = {
    "conv_L_cache": 3, "block_dim": 32, "block_ff_dim": 64, "block_multiple_of": 16,
    "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": False,
    "layer_types": [FULL, "conv", FULL, "conv"],
}  # fmt: skip
_LLAMA4: Settings = {
    "intermediate_size_mlp": 64, "attention_chunk_size": 6, "interleave_moe_layer_step": 2,
    "num_experts_per_tok": 1, "rope_scaling": None, "use_qk_norm": True,
}  # fmt: skip
_LONGCAT: Settings = {
    "num_layers": 4, "attention_method": "MLA", "zero_expert_type": "identity", "zero_expert_num": 2,
    "ffn_hidden_size": 64, "expert_ffn_hidden_size": 32, "mla_scale_q_lora": True, "mla_scale_kv_lora": True,
}  # fmt: skip
_MINICPM: Settings = {"dim_model_base": 32, "scale_depth": 1.4, "scale_emb": 4.0}
_MINICPM_ROPE: Settings = {
    "type": "longrope", "long_factor": [1.0] * 4, "short_factor": [1.0] * 4,
    "original_max_position_embeddings": 512,
}  # fmt: skip
_PHI_ROPE: Settings = {
    "type": "longrope", "long_factor": [1.0] * 4, "short_factor": [1.0] * 4, "long_mscale": 1.0,
    "short_mscale": 1.0, "original_max_position_embeddings": 64,
}  # fmt: skip
_KIMI: Settings = {
    "num_key_value_heads": 4, "num_experts_per_token": 2, "moe_renormalize": True, "model_max_length": 512,
    "linear_attn_config": {
        "kda_layers": [1, 3], "full_attn_layers": [2, 4], "num_heads": 2, "head_dim": 32,
        "short_conv_kernel_size": 4, "gate_lower_bound": -5.0, "use_full_rank_gate": True,
    },
}  # fmt: skip
_HADAMARD: list[Settings] = [
    {"path": path, "block": block, "embedding": "embed" in path, "dtype": "float16"}
    for path, block in [
        ("model.embed_tokens", 512), ("model.layers.0.linear_attn.in_proj_qkv", 512),
        ("model.layers.2.mlp.down_proj", 0), ("model.layers.3.self_attn.o_proj", 512), ("lm_head", 512),
    ]
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Own:
    """What an architecture has of its own. text: what stands under text_config, with what is usual there.

    inner: the architecture whose settings are usual there; "" where `text_args` of its own module tells.
    """

    text: Settings
    inner: str = ""
    text_args: str = "ModelArgs"
    more: Settings = dataclasses.field(default_factory=dict)


OWN: dict[str, Settings | Own] = {
    "afm7": {
        "hidden_dim": 32, "num_layers": 6, "num_hidden_layers": 6, "num_kv_reuse_layers": 2, "num_heads": 4,
        "num_kv_heads": 2, "hidden_dim_scale_factor": 2.0,
    },
    "apertus": {"post_norm": True, "qk_norm": True, "mlp_bias": True},
    "baichuan_m1": {"sliding_window_layers": [0, 2], "conv_window": 2},
    "bailing_moe_v3": {"short_conv_kernel_size": 4, "head_dim": 32},
    "bailing_hybrid": {"num_key_value_heads": 4},
    "bailing_moe_linear": {"num_key_value_heads": 4, "layer_group_size": 2},
    "cohere2": {"sliding_window_pattern": 2},
    "dbrx": {
        "d_model": 32, "n_layers": 4, "n_heads": 4,
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
    },
    "deepseek_v2": {
        "topk_method": "greedy",
        "rope_scaling": {
            "type": "yarn", "factor": 2.0, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 32,
            "beta_slow": 1, "original_max_position_embeddings": 64,
        },
    },
    "deepseek_v32": _INDEXER,
    "deepseek_v41": {
        "num_hidden_layers": 6, "head_dim": 32, "o_groups": 2, "o_lora_rank": 16, "sliding_window": 4,
        "compress_ratios": [0, 2, 2, 2, 1, 1], "kv_source_layer_ids": [1, 4],
        "index_source_layer_ids": [1, 2, 4, 5], "index_n_heads": 4, "index_head_dim": 32, "index_topk": 3,
        "candidate_source_layer_id": 4, "candidate_topk_blocks": 2, "candidate_block_size": 2,
    },
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32},
    "exaone": {"num_layers": 4},
    "exaone4": {"rope_scaling": None, "sliding_window_pattern": "LG"},
    "exaone_moe": {"is_moe_layer": [False, True, True, True]},
    "falcon_h1": {"mamba_d_ssm": 32},
    "gemma3": Own({"sliding_window_pattern": 2}, "gemma3_text", more={"vocab_size": VOCABULARY}),
    "gemma3_text": {"sliding_window_pattern": 2},
    "gemma3n": Own(
        {
            **_GEMMA, "model_type": "gemma3n", "rope_local_base_freq": 1000.0,
            "activation_sparsity_pattern": [0.5, 0.5, 0.0, 0.0, 0.0, 0.0], "altup_num_inputs": 3,
            "altup_coef_clip": 1.0, "altup_correct_scale": True, "altup_active_idx": 0, "laurel_rank": 8,
            "final_logit_softcapping": 30.0,
        },
        text_args="TextConfig",
    ),
    "gemma4": Own({**_GEMMA, "global_head_dim": 16}, "gemma4_text", more={"vocab_size": VOCABULARY}),
    "gemma4_text": {**_GEMMA, "global_head_dim": 16},
    "glm4_moe": {"rope_scaling": None, "use_qk_norm": True},
    "glm4_moe_lite": {"num_key_value_heads": 4, "num_nextn_predict_layers": 0},
    "glm_moe_dsa": {**_INDEXER, "rope_parameters": {"rope_theta": 10000.0}},
    "gpt_neox": {"rotary_emb_base": 10000, "rotary_pct": 0.5},
    "gptj": {"rotary_dim": 4},
    "granite": _GRANITE,
    "granitemoe": _GRANITE,
    "granitemoehybrid": {**_GRANITE, "layer_types": ["mamba", "attention"] * 2},
    "hunyuan": {
        "num_shared_expert": 1, "use_mixed_mlp_moe": True, "use_qk_norm": True, "use_cla": True,
        "cla_share_factor": 2, "rope_scaling": {"alpha": 1000.0, "factor": 1.0, "type": "dynamic"},
    },
    "jamba": {
        "attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2,
        "mamba_dt_rank": 4,
    },
    "kimi_k25": Own({"num_key_value_heads": 4}, "deepseek_v3"),
    "kimi_k3": Own(
        {
            **_KIMI, "hidden_act": "situ", "activation_situ_beta": 4.0, "activation_situ_linear_beta": 25.0,
            "mla_use_output_gate": True, "attn_res_block_size": 2, "routed_expert_hidden_size": 32,
            "latent_moe_use_norm": True,
        },
        text_args="TextArgs",
    ),
    "kimi_linear": _KIMI,
    "kimi_vl": Own({"num_key_value_heads": 4}, "deepseek_v3"),
    "laguna": {
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"], "rope_parameters": _ROPES,
        "num_attention_heads_per_layer": [4, 4, 4, 4],
    },
    "lfm2": _LFM2,
    "lfm2-vl": Own(_LFM2, "lfm2"),
    "lfm2_moe": {**_LFM2, "use_expert_bias": True, "num_dense_layers": 1},
    "lille-130m": {"block_size": 512, "n_kv_heads": 2, "n_embd": 96},
    "llama4": Own({**_LLAMA4, "model_type": "llama4_text"}, text_args="TextArgs"),
    "llama4_text": {"intermediate_size_mlp": 64, "no_rope_layers": [1, 0, 1, 0], "use_qk_norm": True},
    "longcat_flash": _LONGCAT,
    "longcat_flash_ngram": {
        **_LONGCAT, "ngram_vocab_size_ratio": 3, "emb_neighbor_num": 3, "emb_split_num": 2
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8},
    "mellum": {"rope_parameters": _ROPES},
    "mimo": {"num_nextn_predict_layers": 0},
    "mimo_v2_flash": {
        "hybrid_layer_pattern": [0, 1, 0, 1], "moe_layer_freq": [0, 1, 0, 1], "sliding_window_size": 6,
        "add_swa_attention_sink_bias": True, "add_full_attention_sink_bias": False, "layernorm_epsilon": 1e-5,
        "swa_rope_theta": 1000.0, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2,
        "swa_head_dim": 8, "swa_v_head_dim": 8, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
        "n_shared_experts": None,
    },
    "minicpm": _MINICPM,
    "minicpm3": {**_MINICPM, "num_key_value_heads": 4, "rope_scaling": _MINICPM_ROPE},
    "minimax": {"rotary_dim": 4},
    "minimax_m3_vl": Own(
        {
            "dense_intermediate_size": 64, "moe_layer_freq": [0, 1, 0, 1], "rotary_dim": 4,
            "layer_types": [FULL, "sparse", FULL, "sparse"], "index_n_heads": 2, "index_head_dim": 8,
            "index_block_size": 4, "index_topk_blocks": 2,
        },
        text_args="TextArgs",
    ),
    "ministral3": {"rope_parameters": _LLAMA4_ROPE},
    "mistral3": Own({"model_type": "ministral3", "rope_parameters": _LLAMA4_ROPE}, "ministral3"),
    "mistral4": {"rope_parameters": _LLAMA4_ROPE, "num_key_value_heads": 4},
    "muse_spark": Own(
        {
            "post_norm_eps": 1e-8, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
            "layer_rope_theta": [10000.0, 0, 10000.0, 0], "final_logit_softcapping": 20.0,
            "output_multiplier": 0.7, "moe_hidden_size": 32, "num_shared_experts": 0,
        },
        text_args="TextArgs",
    ),
    "nanbeige": {"num_loops": 1},
    "nemotron": {"hidden_act": "relu2"},
    "nemotron-nas": {
        "block_configs": [
            {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 1.5}},
            {"attention": {"no_op": True}, "ffn": {"ffn_mult": 1.5}},
            {"attention": {"replace_with_linear": True}, "ffn": {"ffn_mult": 1.0}},
            {"attention": {"n_heads_in_group": 4}, "ffn": {"no_op": True}},
        ],
    },
    "nemotron_h": {"hybrid_override_pattern": ["*", "M", "-", "E"], "layer_types": None},
    "olmo_hybrid": {"linear_allow_neg_eigval": True, "layer_types": ["linear_attention", FULL] * 2},
    "openelm": {
        "num_transformer_layers": 4, "model_dim": 32, "ffn_dim_divisor": 16, "num_query_heads": [4, 4, 2, 2],
        "num_kv_heads": [2, 2, 1, 1], "ffn_multipliers": [1.0, 1.5, 2.0, 2.0],
    },
    "phi3small": {
        "dense_attention_every_n_layers": 2, "ff_intermediate_size": 64, "gegelu_limit": 20.0,
    },
    "phimoe": {"rope_scaling": _PHI_ROPE},
    "phixtral": {"num_vocab": VOCABULARY, "model_dim": 32, "num_heads": 4, "num_layers": 4, "rotary_dim": 4},
    "pixtral": Own({"model_type": "llama"}, "llama"),
    "plamo": {"n_shared_head": 2},
    "plamo2": {"hidden_size_per_head": 8, "attention_window_size": 6, "full_attention_idx": [3]},
    "plamo3": {"window_size": 6, "sliding_window_pattern": 2},
    "prism_hadamard_qwen35": Own(
        {
            "hidden_size": 512, "intermediate_size": 512, "num_attention_heads": 8, "head_dim": 64,
            "num_key_value_heads": 4, "num_experts": 0,
        },
        "qwen3_5.TextModelArgs",
        more={
            "schema_version": 1, "tensor_namespace": "mlx-lm-text", "modules": _HADAMARD,
            "quantization": {"bits": 2, "group_size": 128, "mode": "affine"},
        },
    ),
    "qwen": {"kv_channels": 8, "no_bias": True},
    "qwen2_vl": Own({}, "qwen2"),
    "qwen3_5": Own({"num_experts": 0}, text_args="TextModelArgs"),
    "qwen3_5_moe": Own({}, "qwen3_5.TextModelArgs"),
    "qwen3_vl": Own({}, "qwen3"),
    "qwen3_vl_moe": Own({}, "qwen3_moe"),
    "recurrent_gemma": {
        "conv1d_width": 4, "logits_soft_cap": 30.0, "attention_window_size": 6,
        "block_types": ["recurrent", "attention"] * 2,
    },
    "rwkv7": {"a_low_rank_dim": 8, "v_low_rank_dim": 8, "gate_low_rank_dim": 8, "decay_low_rank_dim": 8},
    "smollm3": {"no_rope_layer_interval": 2},
    "solar_open": {"use_qk_norm": True},
    "spark2_5": {"rope_parameters": _ROPES},
    "stablelm": {"use_qkv_bias": True},
    "step3p5": {
        "num_attention_groups": 2, "moe_num_experts": 4, "moe_top_k": 2, "share_expert_dim": 32,
        "moe_layers_enum": "1,2,3",
    },
}  # fmt: skip


VARIANTS: dict[str, Settings] = {
    "gemma4_text/plain": {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0},
    "gemma4_text/per-layer-inputs": {"num_kv_shared_layers": 0},
    "hunyuan/unshared": {"use_cla": False},
    "kimi_linear/one-kind": {
        "linear_attn_config": {
            "kda_layers": [1, 2, 3], "full_attn_layers": [4], "num_heads": 2, "head_dim": 32,
            "short_conv_kernel_size": 4,
        },
    },
    "llama/tied": {"tie_word_embeddings": True},
    "llama/one-layer": {"num_hidden_layers": 1, "layer_types": [FULL]},
    "nanbeige/two-laps": {"num_loops": 2},
    "qwen3_next/one-attention": {"full_attention_interval": 4},
}  # fmt: skip
"""Other settings of an architecture, by its name and theirs, where they change how layers hang together."""


def module_names() -> list[str]:
    """All modules of mlx_lm.models, by name."""
    return sorted(info.name for info in pkgutil.iter_modules(mlx_lm.models.__path__))


def config_of(name: str) -> Settings:
    """A tiny config.json of an architecture or a variant.

    Its own module tells which of the usual settings it knows.
    """
    architecture, is_variant, _ = name.partition("/")
    if is_variant:
        return config_of(architecture) | VARIANTS[name]
    own = OWN.get(architecture, {})
    if not isinstance(own, Own):
        return {**_usual(architecture, "ModelArgs"), **own, "model_type": architecture}
    module, _, args = (own.inner or architecture).partition(".")
    text = {**_usual(module, args or own.text_args), "model_type": own.inner or architecture, **own.text}
    return {"model_type": architecture, "text_config": text, **own.more}


def _usual(module: str, args: str) -> Settings:
    args_class = getattr(importlib.import_module(f"mlx_lm.models.{module}"), args)
    known = {field.name for field in dataclasses.fields(args_class)}
    return {name: value for name, value in USUAL.items() if name in known}
