import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.base import Progress
from tests.meshinfer.model.rings import SmallModel, make_model, read_weights

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from meshinfer.model.loader import LoadedModel, load_shard_model  # isort: skip

TENSOR = "model.layers.2.mlp.up_proj.weight"


def load(model: SmallModel, layers: range, progress: Progress | None = None) -> LoadedModel:
    return load_shard_model(model.files, model.card, layers, progress=progress)


def rewrite(file: Path, **changes: Any) -> None:
    """Replace tensors in a file; None takes one away. `__` in a name stands for a dot."""
    weights = read_weights(file)
    for name, weight in changes.items():
        weights.pop(name.replace("__", "."), None)
        if weight is not None:
            weights[name.replace("__", ".")] = weight
    mx.save_safetensors(str(file), weights)


def configure(model: SmallModel, **changes: object) -> None:
    file = model.files.path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_only_local_weights_come_into_memory(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    before = mx.get_active_memory()
    middle = load(model, range(1, 3))
    assert {name.split(".")[2] for name in middle.weights} == {"1", "2"}
    assert all(name.startswith("model.layers.") for name in middle.weights)
    assert middle.weight_bytes <= mx.get_active_memory() - before < 1.1 * middle.weight_bytes + 4096


def test_the_parts_of_a_model_are_the_whole(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    whole = load(model, range(4))
    parts = [load(model, range(layer, layer + 1)) for layer in range(4)]
    assert sum(part.weight_bytes for part in parts) == whole.weight_bytes
    assert {name for part in parts for name in part.weights} == set(whole.weights)
    assert all(
        mx.array_equal(whole.weights[name], weight).item()
        for part in parts
        for name, weight in part.weights.items()
    )


def test_tied_embeddings_are_loaded_at_both_ends(tmp_path: Path) -> None:
    model = make_model(tmp_path, "llama-tied")
    assert "model.embed_tokens.weight" in load(model, range(1)).weights
    assert "model.embed_tokens.weight" in load(model, range(3, 4)).weights
    assert "model.embed_tokens.weight" not in load(model, range(1, 3)).weights


def test_progress_counts_bytes_up_to_the_total(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    loaded = load(make_model(tmp_path), range(2), lambda *call: calls.append(call))
    assert {what for what, _, _ in calls} == {"embeddings and head", "layer 0", "layer 1"}
    assert [done for _, done, _ in calls] == sorted({done for _, done, _ in calls})
    assert calls[-1][1:] == (loaded.weight_bytes, loaded.weight_bytes)


def test_files_of_other_layers_may_be_absent_and_local_ones_may_not(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    (tmp_path / "model-0.safetensors").unlink()
    load(model, range(1, 4))
    with pytest.raises(BrokenModel, match=r"tensor model\.layers\.0\.\S+ is missing"):
        load(model, range(2))


@pytest.mark.parametrize("layers", [range(4), range(2, 4)])
def test_a_missing_tensor_is_named_and_never_made_up(layers: range, tmp_path: Path) -> None:
    model = make_model(tmp_path)
    rewrite(tmp_path / "model-2.safetensors", **{TENSOR: None})
    with pytest.raises(BrokenModel, match=f"{tmp_path}: tensor {TENSOR} is missing"):
        load(model, layers)
    load(model, range(2))


@pytest.mark.parametrize("name", ["model.norm.weight", "lm_head.weight"])
def test_a_tail_needs_norm_and_head(name: str, tmp_path: Path) -> None:
    model = make_model(tmp_path)
    rewrite(tmp_path / "model-ends.safetensors", **{name: None})
    load(model, range(3))
    with pytest.raises(BrokenModel, match=f"tensor {name} is missing"):
        load(model, range(3, 4))


def test_a_wrong_shape_is_named_with_the_expected_one(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    rewrite(tmp_path / "model-2.safetensors", **{TENSOR: mx.zeros((64, 31))})
    with pytest.raises(BrokenModel, match=rf"{TENSOR} has shape \(64, 31\), expected \(64, 32\)"):
        load(model, range(2, 4))
    load(model, range(2))


def test_a_tensor_that_the_model_does_not_have_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    rewrite(tmp_path / "model-2.safetensors", **{"model.layers.2.mlp.up_proj.scales": mx.zeros((64, 1))})
    with pytest.raises(BrokenModel, match=r"up_proj\.scales is not part of the model"):
        load(model, range(2, 4))


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    file = tmp_path / "model-2.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BrokenModel, match=r"model-2\.safetensors"):
        load(model, range(2, 4))
    file.write_bytes(b"not a safetensors file")
    with pytest.raises(BrokenModel, match=r"model-2\.safetensors"):
        load(model, range(2, 4))


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    configure(model, model_type="from_tomorrow")
    with pytest.raises(UnsupportedModel, match="does not know the model type 'from_tomorrow'"):
        load(model, range(4))


def test_code_from_a_repository_is_never_executed(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    configure(model, model_file="evil.py")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UnsupportedModel, match=r"'evil\.py'"):
        load(model, range(4))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type": "llama"}', '{"model_type": 3}'])
def test_a_config_that_describes_no_model_is_broken(text: str, tmp_path: Path) -> None:
    model = make_model(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((BrokenModel, UnsupportedModel), match=str(tmp_path)):
        load(model, range(4))


def test_a_config_that_contradicts_the_card_is_broken(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    configure(model, num_hidden_layers=3)
    with pytest.raises(BrokenModel, match="3 layers are built, 4 announced"):
        load(model, range(4))


@pytest.mark.parametrize("layers", [range(0), range(3, 5), range(-1, 2), range(0, 4, 2)])
def test_a_range_that_the_model_does_not_have_is_a_mistake_of_ours(layers: range, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of a model of 4 layers"):
        load(make_model(tmp_path), layers)


def test_families_that_cannot_be_cut_are_refused_when_cut(tmp_path: Path) -> None:
    model = make_model(tmp_path, "gemma4-reusing")
    assert model.card.cuts == (1,)
    load(model, range(1))
    with pytest.raises(UnsupportedModel, match=r"before layer 2: its last layers read .* possible are \[1\]"):
        load(model, range(2))


def test_weights_kept_from_before_are_taken_over_by_reference(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    old = load(model, range(3))
    for file in tmp_path.glob("model-[12].safetensors"):
        file.write_bytes(file.read_bytes())
    new = load_shard_model(model.files, replace(model.card), range(1, 4), kept=old.weights)
    shared = set(old.weights) & set(new.weights)
    assert {name.split(".")[2] for name in shared} == {"1", "2"}
    assert all(new.weights[name] is old.weights[name] for name in shared)


def test_a_quantised_model_is_loaded_in_part_too(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    quantised: dict[str, Any] = {}
    for file in sorted(tmp_path.glob("model-*.safetensors")):
        for name, weight in read_weights(file).items():
            if weight.ndim == 2 and "layers" in name:
                base = name.removesuffix(".weight")
                packed, scales, biases = mx.quantize(weight, group_size=32, bits=4)
                quantised |= {name: packed, f"{base}.scales": scales, f"{base}.biases": biases}
            else:
                quantised[name] = weight
    mx.eval(quantised)
    for file in tmp_path.glob("model-*.safetensors"):
        file.unlink()
    mx.save_safetensors(str(tmp_path / "model.safetensors"), quantised)
    configure(model, quantization={"group_size": 32, "bits": 4})
    part = load(model, range(1, 2))
    assert part.weights["model.layers.1.mlp.up_proj.weight"].dtype == mx.uint32
    assert "model.layers.1.mlp.up_proj.scales" in part.weights
