"""Keeps what was not fetched out of a model: there a file has holes, which read as zeros."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from meshinfer.errors import BrokenModel

from .journal import read_journal
from .manifest import read_manifest
from .needs import sort_tensors
from .safetensors import read_tensors
from .settings import read_settings


class Guard:
    """Watches one load of a model, from the files' tensors to the model's weights.

    mlx-lm renames tensors, stacks them and computes with them before they are weights. One that it hands on
    as it is, is recognised by its identity. One that is made of several is looked at once it is
    evaluated: what was not fetched goes in as NaN. For an ordinary directory a guard does nothing.
    """

    def __init__(self, path: Path) -> None:
        """path: the model's directory.

        Raises:
            BrokenModel: it is damaged.
        """
        self._path = path
        self._held = frozenset(read_journal(path).tensors) if read_manifest(path) is not None else None
        self._admitted: dict[int, tuple[str, Any]] = {}
        """By `id`: the files' tensors, kept alive so that no id is used again, and their names."""

    def require(self, layers: range) -> None:
        """Check that all tensors that a stage of `layers` needs are there.

        Raises:
            BrokenModel: one is not.
        """
        if self._held is None:
            return
        needed = sort_tensors(read_settings(self._path), read_tensors(self._path)).needed(layers)
        for name, tensor in sorted(needed.items()):
            if name not in self._held and tensor.size_bytes:
                raise self._absent(name)

    def admit(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Take what mlx has found in the files, lazily; what was not fetched is replaced by NaN."""
        if self._held is None:
            return dict(tensors)
        admitted = {
            name: tensor if name in self._held or not tensor.size else poison(tensor)
            for name, tensor in tensors.items()
        }
        self._admitted |= {id(tensor): (name, tensor) for name, tensor in admitted.items()}
        return admitted

    def doubtful(self, weights: Mapping[str, Any]) -> frozenset[str]:
        """Of weights that are to be used, those that mlx-lm made of several tensors, by name.

        Raises:
            BrokenModel: one was not fetched.
        """
        if self._held is None:
            return frozenset()
        made: list[str] = []
        for name, weight in weights.items():
            tensor, _ = self._admitted.get(id(weight), (None, None))
            if tensor is None:
                made.append(name)
            elif tensor not in self._held and weight.size:
                raise self._absent(tensor)
        self._admitted.clear()
        return frozenset(made)

    def check_made(self, weights: Iterable[tuple[str, Any]]) -> None:
        """Check that evaluated weights were made of what was fetched.

        Raises:
            BrokenModel: there is a NaN in one.
        """
        for name, weight in weights:
            if mx.issubdtype(weight.dtype, mx.floating) and mx.isnan(weight).any().item():
                raise BrokenModel(
                    f"{self._path}: {name} is made of tensors that have not all been fetched: "
                    "let this peer fetch its layers again"
                )

    def _absent(self, tensor: str) -> BrokenModel:
        return BrokenModel(
            f"{self._path}: tensor {tensor} has not been fetched: let this peer fetch its layers first"
        )


def poison(weight: Any) -> Any:
    """NaN in the shape of a weight: whatever is computed with it is NaN. Numbers that know none become 0."""
    value = float("nan") if mx.issubdtype(weight.dtype, mx.floating) else 0
    return mx.full(weight.shape, value, weight.dtype)
