import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.variant import DTYPES, Variant
from meshinfer.model.variant_files import make_variant
from tests.meshinfer.model.rings import VOCABULARY, SmallModel, make_model, make_ring, quantise

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from mlx_lm.generate import generate_step  # isort: skip
from mlx_lm.utils import load_model  # isort: skip
from meshinfer.model.loader import load_shard_model  # isort: skip
from meshinfer.model.shard import Shard  # isort: skip

PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
TYPES = {name: getattr(mx, name) for name in DTYPES}


def cast(model: SmallModel, dtype: str, cache_dir: Path) -> SmallModel:
    return replace(model, files=make_variant(model.files, Variant(dtype), cache_dir))


def mlx_lms(model: SmallModel, dtype: Any) -> list[int]:
    """mlx-lm's own greedy answer, all floats cast."""
    loaded, _ = load_model(model.files.path)
    loaded.set_dtype(dtype)
    made = generate_step(mx.array(PROMPT), loaded, max_tokens=8, prefill_step_size=5)
    return [int(token) for token, _ in made]


@pytest.mark.parametrize("to", list(DTYPES))
@pytest.mark.parametrize("written", [mx.float32, mx.bfloat16])
@pytest.mark.parametrize("bits", [0, 4])
def test_a_ring_answers_as_mlx_lm_does_that_has_cast_all_floats(
    to: str, written: Any, bits: int, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", dtype=written)
    if bits:
        quantise(model.files.path, group_size=32, bits=bits)
    made = cast(model, to, tmp_path / "cache")
    expected = mlx_lms(model, TYPES[to])
    assert [make_ring(made, *cuts).answer(PROMPT, 8, chunk=5) for cuts in [(2,), (1, 3)]] == [expected] * 2


@pytest.mark.parametrize("kind", ["gemma3", "gemma3n"])
def test_families_are_cast_too(kind: str, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", kind)
    made = cast(model, "bfloat16", tmp_path / "cache")
    assert make_ring(made, 1).answer(PROMPT, 8, chunk=5) == make_ring(made).answer(PROMPT, 8, chunk=5)


def test_scales_that_are_integers_stay(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", dtype=mx.bfloat16)
    quantise(model.files.path, mode="mxfp4", group_size=32, bits=4)
    made = cast(model, "float32", tmp_path / "cache")
    loaded = load_shard_model(made.files, made.card, range(1, 3))
    kinds = {(name.split(".")[-2][-4:], name.split(".")[-1]): w.dtype for name, w in loaded.weights.items()}
    assert kinds == {
        ("proj", "weight"): mx.uint32,
        ("proj", "scales"): mx.uint8,
        ("norm", "weight"): mx.float32,
    }
    assert make_ring(made, 2).answer(PROMPT, 8, chunk=5) == mlx_lms(model, mx.float32)


def test_what_a_model_must_have_in_float32_stays(tmp_path: Path) -> None:
    latent = {"kv_lora_rank": 32, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 32}
    experts = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2}
    layers = {"first_k_dense_replace": 1, "moe_layer_freq": 1, "moe_intermediate_size": 32, "v_head_dim": 8}
    changes = {"model_type": "deepseek_v3", "rope_scaling": None, **latent, **experts, **layers}
    made = cast(make_model(tmp_path / "model", changes=changes), "bfloat16", tmp_path / "cache")
    loaded = load_shard_model(made.files, made.card, range(1, 3))
    exact = {name for name, weight in loaded.weights.items() if weight.dtype == mx.float32}
    assert {name.rpartition(".")[2] for name in exact} == {"e_score_correction_bias"}


@pytest.mark.parametrize("to", ["bfloat16", "float32"])
def test_what_was_cast_does_not_stay_in_memory(to: str, tmp_path: Path) -> None:
    made = cast(make_model(tmp_path / "model"), to, tmp_path / "cache")
    gc.collect()
    before = mx.get_active_memory()
    loaded = load_shard_model(made.files, made.card, range(1, 3))
    assert loaded.weight_bytes <= mx.get_active_memory() - before < 1.1 * loaded.weight_bytes + 4096


def test_cast_weights_go_on_to_the_next_plan(tmp_path: Path) -> None:
    made = cast(make_model(tmp_path / "model"), "bfloat16", tmp_path / "cache")
    old = Shard.load(made.files, made.card, range(3))
    new = Shard.load(made.files, made.card, range(1, 4), reuse=old)
    shared = old._weights.keys() & new._weights.keys()
    assert len(shared) > 10
    assert all(old._weights[name] is new._weights[name] for name in shared)
