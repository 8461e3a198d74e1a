"""What a card says a token costs is what mlx-lm's own caches keep, architecture by architecture."""

from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.variant import Variant
from meshinfer.model.variant_files import make_variant
from tests.meshinfer.model import rings

_DEEPSEEK: dict[str, Any] = {
    "num_key_value_heads": 4, "moe_intermediate_size": 32, "n_shared_experts": 1, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8, "n_group": 1, "topk_group": 1, "moe_layer_freq": 1,
    "first_k_dense_replace": 1, "routed_scaling_factor": 1.0, "rope_scaling": None, "norm_topk_prob": True,
}  # fmt: skip

CONFIGS: dict[str, dict[str, Any]] = {
    "deepseek_v3": {**_DEEPSEEK, "scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "deepseek_v32": {
        **_DEEPSEEK, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
        "index_head_dim": 32, "index_n_heads": 4, "index_topk": 4,
    },
    "deepseek_v2": {
        **_DEEPSEEK, "scoring_func": "softmax", "topk_method": "greedy",
        "rope_scaling": {
            "type": "yarn", "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 32,
            "beta_slow": 1, "original_max_position_embeddings": 512,
        },
    },
    "kimi_linear": {
        "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": None, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8, "v_head_dim": 8, "num_experts": 4, "num_experts_per_token": 2,
        "num_shared_experts": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "moe_layer_freq": 1,
        "routed_scaling_factor": 1.0, "moe_renormalize": True, "model_max_length": 512,
        "linear_attn_config": {
            "kda_layers": [1, 3], "full_attn_layers": [2, 4], "num_heads": 2, "head_dim": 32,
            "short_conv_kernel_size": 4,
        },
    },
    "falcon_h1": {
        "mamba_d_conv": 4, "mamba_d_head": 16, "mamba_d_ssm": 64, "mamba_d_state": 8, "mamba_n_groups": 1,
        "mamba_n_heads": 4, "mamba_expand": 2,
    },
    "jamba": {
        "attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2,
        "mamba_d_conv": 4, "mamba_d_state": 8, "mamba_expand": 2, "num_experts": 2, "num_experts_per_tok": 1,
        "mamba_proj_bias": False, "mamba_conv_bias": True, "mamba_dt_rank": 4,
    },
    "rwkv7": {
        "norm_eps": 1e-5, "num_heads": 4, "a_low_rank_dim": 8, "v_low_rank_dim": 8, "gate_low_rank_dim": 8,
        "decay_low_rank_dim": 8,
    },
    "mamba": {
        "state_size": 8, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True, "time_step_rank": 4,
    },
    "gpt_neox": {
        "layer_norm_eps": 1e-5, "use_parallel_residual": True, "rotary_emb_base": 10000, "rotary_pct": 1.0,
    },
    "phi3": {},
    "internlm2": {"bias": False},
}  # fmt: skip


def kept_bytes(cache: Any) -> int:
    """What a layer's cache keeps of each token."""
    if hasattr(cache, "caches"):
        return sum(map(kept_bytes, cache.caches))
    if getattr(cache, "keys", None) is None:
        return 0
    parts = [
        part
        for kept in (cache.keys, cache.values)
        for part in (kept if isinstance(kept, tuple | list) else [kept])
    ]
    return sum(part.shape[1] * part.shape[3] * part.itemsize for part in parts)


@pytest.mark.parametrize("kind", [*rings.CONFIGS, *CONFIGS])
def test_the_card_says_what_mlx_lm_keeps_and_loads(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.models.cache import make_prompt_cache
    from mlx_lm.utils import load_model

    if kind in CONFIGS:
        monkeypatch.setitem(rings.CONFIGS, kind, {"model_type": kind, **CONFIGS[kind]})
    rings.make_model(tmp_path, kind)
    (tmp_path / "tokenizer.json").write_text("{}")
    card = read_card(ModelFiles(kind, "dir:here", tmp_path))
    model: Any = load_model(tmp_path)[0]
    caches = make_prompt_cache(model)
    mx.eval(model(mx.array([[1, 2, 3]]), cache=caches))
    # A cache of what stands before the layers comes first; layers that read others' caches come last.
    kept = [*map(kept_bytes, caches), *[0] * (card.layer_count - len(caches))]
    assert card.kv_bytes_per_token == tuple(kept[-card.layer_count :])
    weights: Any = tree_flatten(model.parameters())
    assert card.total_bytes == sum(weight.nbytes for _, weight in weights)


@pytest.mark.parametrize(
    ("kind", "changes", "is_exact"),
    [
        ("llama", {"head_dim": 32}, True),
        ("llama", {"head_dim": 64}, True),
        ("llama-sliding", {"head_dim": 32}, True),
        ("qwen3_next", {"head_dim": 32}, True),
        # Which of its layers have windows is not a list.
        ("gemma3", {"head_dim": 32}, False),
        (
            "qwen2",
            {"head_dim": 32, "hidden_size": 128, "sliding_window": 99, "use_sliding_window": False},
            True,
        ),
    ],
)
@pytest.mark.parametrize("variant", [Variant("bfloat16", 4), Variant(kv_bits=3)])
def test_a_quantised_cache_counts_as_what_is_kept_or_more(
    kind: str, changes: dict[str, Any], is_exact: bool, variant: Variant, tmp_path: Path
) -> None:
    import mlx.core as mx

    from meshinfer.model.loader import load_shard_model
    from meshinfer.model.sliced import SlicedModel

    model = rings.make_model(tmp_path / "model", kind, changes=changes)
    (tmp_path / "model/tokenizer.json").write_text("{}")
    files = make_variant(model.files, variant, tmp_path / "cache")
    card = read_card(files)
    sliced = SlicedModel(load_shard_model(files, card, range(4)), range(4), 4)
    caches = sliced.make_caches()
    sliced.build(mx.zeros((1, 3), mx.int32), {}, caches)
    kept = tuple(map(kept_bytes, caches.entries))
    assert card.kv_bytes_per_token == kept or (not is_exact and sum(card.kv_bytes_per_token) > sum(kept))
