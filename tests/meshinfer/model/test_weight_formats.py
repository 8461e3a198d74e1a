"""Weights in every format that mlx-lm loads: a ring answers as the whole model does, wherever it is cut."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.messages import Sampling
from tests.meshinfer.model.rings import VOCABULARY, SmallModel, make_model, make_ring, quantise, read_weights

# Below what prepares mlx.
import mlx.core as mx  # isort: skip

PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
SAMPLED = Sampling(temperature=1.0, seed=3)
PACKED_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Where AutoAWQ puts eight numbers of four bits within a word."""


def check(model: SmallModel) -> None:
    expected = model.reference(PROMPT, 8, chunk=5)
    assert len(set(expected)) > 1
    rings = [make_ring(model, *cuts) for cuts in [(), (2,), (1, 3)]]
    assert [ring.answer(PROMPT, 8, chunk=5) for ring in rings] == [expected] * 3
    drawn = [ring.answer(PROMPT, 8, chunk=5, sampling=SAMPLED) for ring in rings]
    assert drawn == [drawn[0]] * 3


@pytest.mark.parametrize("kind", ["llama", "llama-tied", "qwen3_moe"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_affine(bits: int, kind: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, kind)
    quantise(tmp_path, group_size=32, bits=bits)
    check(model)


def test_other_bits_in_some_layers(tmp_path: Path) -> None:
    """As `mlx_lm.convert --quant-predicate mixed_2_6` has them."""

    def wanted(module: str) -> dict[str, Any]:
        is_finer = "lm_head" in module or (
            "layers.1" not in module and module.endswith(("v_proj", "down_proj"))
        )
        return {"group_size": 32, "bits": 6 if is_finer else 2}

    model = make_model(tmp_path)
    quantise(tmp_path, wanted, group_size=32, bits=2)
    check(model)


def test_layers_that_are_not_quantised(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    floats = read_weights(tmp_path / "model-2.safetensors")
    quantise(tmp_path, group_size=32, bits=4)
    mx.save_safetensors(str(tmp_path / "model-2.safetensors"), floats)
    check(model)


@pytest.mark.parametrize(
    ("mode", "group_size", "bits"), [("mxfp4", 32, 4), ("mxfp8", 32, 8), ("nvfp4", 16, 4)]
)
def test_floats_of_few_bits(mode: str, group_size: int, bits: int, tmp_path: Path) -> None:
    model = make_model(tmp_path)
    quantise(tmp_path, mode=mode, group_size=group_size, bits=bits)
    check(model)


def packed(numbers: Any) -> Any:
    """Numbers (rows, columns) below 16 as AutoAWQ packs them: eight columns in a word."""
    rows, columns = numbers.shape
    words = numbers.reshape(rows, columns // 8, 8)[..., list(PACKED_ORDER)].astype(mx.uint32)
    return (words << (mx.arange(8, dtype=mx.uint32) * 4)).sum(axis=-1).astype(mx.uint32).view(mx.int32)


def write_packed(path: Path, method: str, extra: Callable[[str], dict[str, Any]] = lambda module: {}) -> None:
    """Pack the layers of a model as AutoAWQ does, with zero points, or as mlx-lm reads GPTQ, without."""
    keys = iter(mx.random.split(mx.random.key(7), 200))
    for file in path.glob("model-[0-9].safetensors"):
        made: dict[str, Any] = {}
        for name, weight in read_weights(file).items():
            module = name.removesuffix(".weight")
            if weight.ndim != 2:
                made[name] = weight
                continue
            rows, columns = weight.shape
            numbers = mx.random.randint(0, 16, (columns, rows), key=next(keys))
            made[f"{module}.qweight"] = packed(numbers)
            made[f"{module}.scales"] = mx.random.uniform(0.02, 0.1, (columns // 32, rows), key=next(keys))
            if method == "awq":
                zeros = mx.random.randint(6, 11, (columns // 32, rows), key=next(keys))
                made[f"{module}.qzeros"] = packed(zeros)
            made |= extra(module)
        mx.eval(made)
        mx.save_safetensors(str(file), made)
    config = json.loads((path / "config.json").read_text())
    said = {"quant_method": method, "bits": 4, "group_size": 32}
    (path / "config.json").write_text(json.dumps({**config, "quantization_config": said}))


@pytest.mark.parametrize("method", ["awq", "gptq"])
def test_what_others_have_packed(method: str, tmp_path: Path) -> None:
    model = make_model(tmp_path)
    write_packed(tmp_path, method)
    check(model)


def test_groups_in_another_order_are_refused_as_mlx_lm_does(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    write_packed(tmp_path, "gptq", lambda module: {f"{module}.g_idx": mx.zeros((32,), mx.int32)})
    with pytest.raises(BrokenModel, match=r"cannot build the model: .*g_idx"):
        make_ring(model)
