"""A ring with an adapter answers as mlx-lm does that has loaded it whole."""

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.messages import Sampling
from meshinfer.model.variant import Variant
from meshinfer.model.variant_files import make_variant
from tests.adapters import KEYS, Kind, make_adapter
from tests.meshinfer.model.rings import (
    VOCABULARY,
    Ring,
    SmallModel,
    make_model,
    make_ring,
    quantise,
    read_weights,
)

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from mlx_lm.generate import generate_step  # isort: skip
from mlx_lm.tuner.utils import load_adapters  # isort: skip
from mlx_lm.utils import load_model  # isort: skip
from meshinfer.model.loader import load_shard_model  # isort: skip
from meshinfer.model.shard import Shard  # isort: skip

PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
SAMPLED = Sampling(temperature=1.0, seed=3)


def adapted(model: SmallModel, adapter: Path, cache_dir: Path, **variant: Any) -> SmallModel:
    files = make_variant(model.files, Variant(adapter=str(adapter), **variant), cache_dir)
    return SmallModel(files, replace(model.card, fingerprint="1" * 32))


def mlx_lms(model: SmallModel, adapter: Path, dtype: Any = None) -> list[int]:
    """mlx-lm's own greedy answer."""
    loaded, _ = load_model(model.files.path)
    loaded = load_adapters(loaded, str(adapter))
    loaded.eval()
    if dtype is not None:
        loaded.set_dtype(dtype)
    made = generate_step(mx.array(PROMPT), loaded, max_tokens=8, prefill_step_size=5)
    return [int(token) for token, _ in made]


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("lora", "plain"),
        ("dora", "plain"),
        ("full", "plain"),
        ("lora", "quantised"),
        ("dora", "quantised"),
        ("lora", "tied"),
    ],
)
def test_split_is_whole_is_what_mlx_lm_answers(kind: Kind, base: str, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", "llama-tied" if base == "tied" else "llama")
    if base == "quantised":
        quantise(model.files.path, group_size=32, bits=4)
    adapter = make_adapter(tmp_path / "adapter", model.files.path, kind)
    expected = mlx_lms(model, adapter)
    assert expected != model.reference(PROMPT, 8, chunk=5)
    made = adapted(model, adapter, tmp_path / "cache")
    rings = [make_ring(made, *cuts) for cuts in [(), (2,), (1, 3)]]
    assert [ring.answer(PROMPT, 8, chunk=5) for ring in rings] == [expected] * 3
    drawn = [ring.answer(PROMPT, 8, chunk=5, sampling=SAMPLED) for ring in rings]
    assert drawn == [drawn[0]] * 3


def test_the_head_of_a_model_may_be_adapted_too(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", model.files.path, keys=(*KEYS, "lm_head"))
    made = adapted(model, adapter, tmp_path / "cache")
    assert make_ring(made, 1, 3).answer(PROMPT, 8, chunk=5) == mlx_lms(model, adapter)


def test_what_an_adapter_adds_is_cast_with_the_rest(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", model.files.path)
    made = adapted(model, adapter, tmp_path / "cache", dtype="bfloat16")
    assert make_ring(made, 2).answer(PROMPT, 8, chunk=5) == mlx_lms(model, adapter, mx.bfloat16)


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_only_local_parts_come_into_memory_and_none_of_what_is_replaced(kind: Kind, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    made = adapted(model, make_adapter(tmp_path / "adapter", model.files.path, kind), tmp_path / "cache")
    gc.collect()
    before = mx.get_active_memory()
    middle = load_shard_model(made.files, made.card, range(1, 3))
    assert {name.split(".")[2] for name in middle.weights} == {"1", "2"}
    assert middle.weight_bytes <= mx.get_active_memory() - before < 1.1 * middle.weight_bytes + 4096


def test_weights_go_on_to_the_next_plan(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", model.files.path, "dora")
    made = adapted(model, adapter, tmp_path / "cache", dtype="bfloat16")
    shard = Shard.load(made.files, made.card, range(1, 4))
    for layers in (range(3), range(4)):
        old, shard = shard, Shard.load(made.files, made.card, layers, reuse=shard)
        shared = old._weights.keys() & shard._weights.keys()
        assert len(shared) > 20
        assert all(old._weights[name] is shard._weights[name] for name in shared)
    assert Ring([shard]).answer(PROMPT, 8, chunk=5) == mlx_lms(model, adapter, mx.bfloat16)


def test_another_models_adapter_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    wider = {**json.loads((tmp_path / "model/config.json").read_text()), "intermediate_size": 128}
    deeper = {**wider, "intermediate_size": 64, "num_hidden_layers": 6}
    for config, words in [
        (wider, r"mlp\.down_proj\.lora_a of the adapter has shape \(128, 2\), this model takes \(64, 2\)"),
        (
            deeper,
            r"model\.layers\.5\S+ of the adapter is not part of this model: it was made for another",
        ),
    ]:
        other = tmp_path / f"other-{config['num_hidden_layers']}"
        other.mkdir()
        (other / "config.json").write_text(json.dumps(config))
        made = adapted(model, make_adapter(other / "adapter", other), tmp_path / "cache")
        with pytest.raises(BrokenModel, match=words):
            load_shard_model(made.files, made.card, range(1))


def test_an_adapter_that_is_not_whole_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", model.files.path)
    weights = read_weights(adapter / "adapters.safetensors")
    del weights["model.layers.2.mlp.down_proj.lora_b"]
    mx.save_safetensors(str(adapter / "adapters.safetensors"), weights)
    made = adapted(model, adapter, tmp_path / "cache")
    with pytest.raises(BrokenModel, match=r"the adapter lacks model\.layers\.2\.mlp\.down_proj\.lora_b"):
        load_shard_model(made.files, made.card, range(1))


@pytest.mark.parametrize("said", [{}, {"num_layers": 2}, {"num_layers": 2, "lora_parameters": {"alpha": 1}}])
def test_settings_that_mlx_lm_cannot_use_are_broken(said: object, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", model.files.path)
    (adapter / "adapter_config.json").write_text(json.dumps(said))
    made = adapted(model, adapter, tmp_path / "cache")
    with pytest.raises(BrokenModel, match="the adapter does not fit this model"):
        load_shard_model(made.files, made.card, range(1))
