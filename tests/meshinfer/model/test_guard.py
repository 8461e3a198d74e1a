import json
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.model.partial import Partial
from tests.meshinfer.model.parts import fill, part_of
from tests.meshinfer.model.rings import SmallModel, make_model, read_weights

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from meshinfer.model.guard import Guard  # isort: skip
from meshinfer.model.loader import load_shard_model  # isort: skip

TENSOR = "model.layers.2.mlp.up_proj.weight"


@pytest.fixture
def model(tmp_path: Path) -> SmallModel:
    model = make_model(tmp_path / "whole")
    (model.files.path / "tokenizer.json").write_text("{}")
    return model


def filled(model: SmallModel, directory: Path, layers: range, *, but: str = "") -> Partial:
    partial = part_of(model.files.path, directory)
    fill(partial, model.files.path, partial.needed(layers) - {but})
    return partial


@pytest.mark.parametrize(
    "tensor", [TENSOR, "model.layers.3.input_layernorm.weight", "model.norm.weight", "lm_head.weight"]
)
def test_a_tensor_that_was_not_fetched_is_named(model: SmallModel, tmp_path: Path, tensor: str) -> None:
    partial = filled(model, tmp_path / "part", range(2, 4), but=tensor)
    with pytest.raises(BrokenModel, match=f"tensor {tensor} has not been fetched"):
        load_shard_model(partial.files, model.card, range(2, 4))
    fill(partial, model.files.path, [tensor])
    load_shard_model(partial.files, model.card, range(2, 4))


def test_an_empty_directory_loads_nothing(model: SmallModel, tmp_path: Path) -> None:
    partial = part_of(model.files.path, tmp_path / "part")
    for layers in (range(4), range(1), range(1, 2)):
        with pytest.raises(BrokenModel, match="has not been fetched"):
            load_shard_model(partial.files, model.card, layers)


def test_other_layers_need_not_be_there(model: SmallModel, tmp_path: Path) -> None:
    partial = filled(model, tmp_path / "part", range(1, 3))
    loaded = load_shard_model(partial.files, model.card, range(1, 3))
    whole = load_shard_model(model.files, model.card, range(1, 3))
    assert all(mx.array_equal(loaded.weights[name], whole.weights[name]).item() for name in whole.weights)


def test_weights_that_are_in_memory_already_need_not_be_there(model: SmallModel, tmp_path: Path) -> None:
    before = load_shard_model(filled(model, tmp_path / "a", range(2, 4)).files, model.card, range(2, 4))
    partial = filled(model, tmp_path / "a", range(1, 4))
    after = load_shard_model(partial.files, model.card, range(1, 4), kept=before.weights)
    assert all(after.weights[name] is weight for name, weight in before.weights.items())


def test_a_stack_with_an_expert_missing_is_named(tmp_path: Path) -> None:
    """mixtral's raw checkpoints name experts one by one; mlx-lm stacks them."""
    model = make_model(tmp_path / "whole", "mixtral")
    path = model.files.path
    (path / "tokenizer.json").write_text("{}")
    for file in path.glob("model-*.safetensors"):
        weights: dict[str, Any] = {}
        for name, weight in read_weights(file).items():
            if ".switch_mlp." not in name:
                weights[name] = weight
                continue
            prefix, kind = name.split(".switch_mlp.")
            number = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}[kind.split(".")[0]]
            weights |= {
                f"{prefix}.experts.{index}.{number}.weight": mx.contiguous(weight[index])
                for index in range(4)
            }
        mx.save_safetensors(str(file), weights)
    expert = next(name for name in read_weights(path / "model-2.safetensors") if ".experts.3.w2" in name)
    partial = filled(model, tmp_path / "part", range(2, 4), but=expert)
    with pytest.raises(BrokenModel, match="has not been fetched"):
        load_shard_model(partial.files, model.card, range(2, 4))
    # A need that the names did not tell shows all the same, once the weights are looked at.
    guard = Guard(partial.files.path)
    tensors = guard.admit(mx.load(str(path / "model-2.safetensors")))  # type: ignore[arg-type]
    stack = mx.stack([tensors[expert.replace(".3.", f".{index}.")] for index in range(4)])
    doubtful = guard.doubtful({"stack": stack})
    assert doubtful == {"stack"}
    with pytest.raises(BrokenModel, match="stack is made of tensors that have not all been fetched"):
        guard.check_made([("stack", stack)])
    fill(partial, path, [expert])
    load_shard_model(partial.files, model.card, range(2, 4))


def test_a_renamed_tensor_that_was_not_fetched_is_named(model: SmallModel, tmp_path: Path) -> None:
    partial = filled(model, tmp_path / "part", range(2, 4), but=TENSOR)
    guard = Guard(partial.files.path)
    tensors = guard.admit(mx.load(str(model.files.path / "model-2.safetensors")))  # type: ignore[arg-type]
    with pytest.raises(BrokenModel, match=f"tensor {TENSOR} has not been fetched"):
        guard.doubtful({"renamed": tensors[TENSOR]})


def test_an_ordinary_directory_is_left_alone(model: SmallModel) -> None:
    guard = Guard(model.files.path)
    guard.require(range(4))
    weight = mx.zeros((2,))
    assert guard.admit({"a": weight}) == {"a": weight}
    assert guard.doubtful({"b": weight}) == frozenset()


def test_a_quantised_model_is_guarded_too(tmp_path: Path) -> None:
    model = make_model(tmp_path / "whole")
    path = model.files.path
    (path / "tokenizer.json").write_text("{}")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"quantization": {"group_size": 32, "bits": 4}}))
    for file in path.glob("model-*.safetensors"):
        weights: dict[str, Any] = {}
        for name, weight in read_weights(file).items():
            weights[name] = weight
            if weight.ndim == 2 and "layers" in name:
                base = name.removesuffix(".weight")
                weights[name], weights[f"{base}.scales"], weights[f"{base}.biases"] = mx.quantize(
                    weight, group_size=32, bits=4
                )
        mx.save_safetensors(str(file), weights)
    partial = filled(model, tmp_path / "part", range(2, 4), but=TENSOR)
    with pytest.raises(BrokenModel, match=f"tensor {TENSOR} has not been fetched"):
        load_shard_model(partial.files, model.card, range(2, 4))
    fill(partial, path, [TENSOR])
    load_shard_model(partial.files, model.card, range(2, 4))
