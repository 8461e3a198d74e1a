"""A model with other weights or another configuration, for benchmarks that need one."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

Weights = dict[str, np.ndarray[Any, np.dtype[Any]]]


def altered(
    source: Path, path: Path, config: Mapping[str, object], change: Callable[[Weights], None]
) -> Path:
    """Copy a model of one file to `path`, with parts of its config.json replaced and its weights changed."""
    shutil.copytree(source, path)
    before = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**before, **config}))
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", {"format": "mlx"})
    index = {"weight_map": dict.fromkeys(weights, "model.safetensors")}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return path
