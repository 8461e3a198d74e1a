"""Adapters for tests, as `mlx_lm.lora` writes them: for models of llama's shape, without mlx."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meshinfer.model.safetensors import write_file

Kind = Literal["lora", "dora", "full"]

KEYS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
RANK = 2


def make_adapter(
    path: Path,
    model: Path,
    kind: Kind = "lora",
    *,
    seed: int = 1,
    layers: int = 3,
    keys: tuple[str, ...] = KEYS,
) -> Path:
    """Write a loud adapter of the last `layers` layers of a model to `path`, and return it.

    keys: modules, within a layer, and `lm_head`.
    """
    config = json.loads((model / "config.json").read_text())
    generator = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}

    def noise(*shape: int) -> Any:
        return (generator.standard_normal(shape) / shape[0] ** 0.5).astype("<f4")

    count = config["num_hidden_layers"]
    names = [f"model.layers.{n}.{key}" for n in range(count - layers, count) for key in keys if "." in key]
    for name in [*names, *(key for key in keys if "." not in key)]:
        columns, rows = _shape(config, name.rpartition(".")[2])
        if kind == "full":
            tensors[f"{name}.weight"] = 2 * noise(rows, columns)
            continue
        tensors |= {f"{name}.lora_a": noise(columns, RANK), f"{name}.lora_b": noise(RANK, rows)}
        if kind == "dora":
            tensors[f"{name}.m"] = 1 + np.abs(noise(rows))
    path.mkdir(parents=True, exist_ok=True)
    parameters = {"rank": RANK, "scale": 1.5, "dropout": 0.5, "keys": list(keys)}
    said = {"fine_tune_type": kind, "num_layers": layers, "lora_parameters": parameters}
    (path / "adapter_config.json").write_text(json.dumps(said))
    write_file(
        path / "adapters.safetensors",
        [(name, "F32", tensor.shape) for name, tensor in tensors.items()],
        (memoryview(tensor.tobytes()) for tensor in tensors.values()),
    )
    return path


def _shape(config: dict[str, Any], module: str) -> tuple[int, int]:
    """(columns, rows) of a module's weight."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    return {
        "q_proj": (hidden, queries),
        "v_proj": (hidden, keys),
        "down_proj": (wide, hidden),
        "lm_head": (hidden, config["vocab_size"]),
    }[module]
