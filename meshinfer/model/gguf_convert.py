"""From a GGUF file to a model directory in mlx-lm's format. The same file gives the same bytes anywhere."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf import Gguf, GgufTensor
from .gguf_blocks import BITS, GROUP_SIZE, Bytes, Quantized, decode
from .gguf_config import model_config, special_ids
from .gguf_slots import Shape, fill_slots, read_shape
from .gguf_tokenizer import tokenizer_config, tokenizer_json
from .safetensors import DTYPE_BITS, write_file

_TYPES = {"F32": "F32", "F16": "F16", "BF16": "BF16", "Q6_K": "F32"}
_NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}

_BLOCK_BYTES = 32 << 20

Entry = tuple[str, str, tuple[int, ...]]
"""Name, safetensors' type and shape of a tensor to be written."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What becomes of a GGUF file, checked.

    tensors: by mlx-lm's names. types: what the numbers of each that is not quantised are written as.
    files: the directory's other files, as JSON.
    """

    gguf: Gguf
    shape: Shape
    tensors: dict[str, GgufTensor]
    types: dict[str, str]
    files: dict[str, Any]

    @property
    def size_bytes(self) -> int:
        """How large the directory will be, at most: the weights, and for the tokenizer twice the header."""
        sizes = (math.prod(shape) * DTYPE_BITS[dtype] // 8 for _, dtype, shape in self._entries())
        return 2 * len(self.gguf.header) + sum(sizes)

    def write(self, directory: Path) -> None:
        """Write the model to `directory`, which exists and is empty.

        Raises:
            BrokenModel: the file has become shorter.
        """
        for name, content in self.files.items():
            text = json.dumps(content, ensure_ascii=False, indent=1)
            (directory / name).write_text(text + "\n", encoding="utf-8")
        write_file(directory / "model.safetensors", list(self._entries()), self._contents())

    def _entries(self) -> Iterator[Entry]:
        for name, tensor in self.tensors.items():
            if name in self.types:
                yield name, self.types[name], tensor.shape
                continue
            (rows, columns), bits = tensor.shape, BITS[tensor.type.name]
            module = name.removesuffix(".weight")
            yield name, "U32", (rows, columns * bits // 32)
            yield f"{module}.scales", "F32", (rows, columns // GROUP_SIZE)
            yield f"{module}.biases", "F32", (rows, columns // GROUP_SIZE)

    def _contents(self) -> Iterator[memoryview]:
        """The bytes to write, one GGUF tensor in memory at a time, in the order of `_entries`."""
        for name, tensor in self.tensors.items():
            blocks = _row_blocks(tensor, self._order(name))
            if name in self.types:
                yield _as_bytes(_plain(tensor, blocks, self.types[name]))
                continue
            decoded = [_quantized(tensor, rows) for rows in blocks]
            yield _as_bytes(np.concatenate([part.packed() for part in decoded]))
            yield _as_bytes(np.concatenate([part.scales for part in decoded]))
            yield _as_bytes(np.concatenate([part.biases for part in decoded]))

    def _order(self, name: str) -> NDArray[np.intp] | None:
        heads = self.shape.turned_heads(name)
        return None if heads is None else unpermuted_rows(heads, self.shape.head_dim)


def plan_conversion(gguf: Gguf, *, is_expanded: bool = False) -> Conversion:
    """Check a GGUF file and say what becomes of it: no number changes, but by one rounding to float32.

    is_expanded: everything is written as float32, for machines with a fast BLAS; otherwise quantised weights
        stay so and all others keep their type where they can.

    Raises:
        UnsupportedModel: a family, tokenizer or part that is not converted here; it says what to use instead.
        BrokenModel: tensors or tokens are missing or contradict the metadata.
    """
    shape = read_shape(gguf)
    tensors = fill_slots(gguf, shape)
    types = _types(gguf, tensors, is_expanded)
    config = model_config(gguf, shape, tensors, types)
    files = {
        "config.json": config,
        "generation_config.json": special_ids(gguf),
        "tokenizer.json": tokenizer_json(gguf),
        "tokenizer_config.json": tokenizer_config(gguf, config["max_position_embeddings"]),
    }
    return Conversion(gguf, shape, tensors, types, files)


def commonest_type(tensors: dict[str, GgufTensor]) -> str:
    """GGUF's name of the type in which most numbers of matrices are stored."""
    sizes: Counter[str] = Counter()
    for tensor in tensors.values():
        if len(tensor.shape) > 1:
            sizes[tensor.type.name] += math.prod(tensor.shape)
    return max(sorted(sizes), key=sizes.__getitem__, default="F32")


def unpermuted_rows(heads: int, head_dim: int) -> NDArray[np.intp]:
    """Which GGUF row becomes each row of q_proj and k_proj.

    llama.cpp rotates neighbouring pairs, so its converter interleaves the two halves of each head;
    mlx-lm rotates (i, i + head_dim / 2), as the original weights do.
    """
    rows = np.arange(heads * head_dim).reshape(heads, head_dim // 2, 2)
    return rows.swapaxes(1, 2).reshape(-1)


def _types(gguf: Gguf, tensors: dict[str, GgufTensor], is_expanded: bool) -> dict[str, str]:
    """safetensors' types of all tensors that are not to be quantised.

    Float16 beside quantised weights would have mlx convert one of them in every step, so it is float32
    there. Norms, which GGUF stores as float32 always, take the type of the matrices if none changes by it.
    """
    if is_expanded:
        return dict.fromkeys(tensors, "F32")
    plain = {name: tensor for name, tensor in tensors.items() if tensor.type.name not in BITS}
    if len(plain) < len(tensors):
        return dict.fromkeys(plain, "F32")
    usual = _TYPES[commonest_type(tensors)]
    return {name: _own_type(tensor, usual) for name, tensor in plain.items()}


def _own_type(tensor: GgufTensor, usual: str) -> str:
    own = _TYPES[tensor.type.name]
    if own != "F32" or usual == "F32" or len(tensor.shape) > 1:
        return own
    numbers = np.frombuffer(tensor.read(), "<f4")
    if usual == "F16":
        with np.errstate(over="ignore"):
            is_exact = np.array_equal(numbers.astype("<f2").astype("<f4"), numbers)
    else:
        is_exact = not np.any(numbers.view("<u4") & 0xFFFF)
    return usual if is_exact else own


def _row_blocks(tensor: GgufTensor, order: NDArray[np.intp] | None) -> Iterator[Bytes]:
    """A tensor's rows as bytes, in mlx-lm's order; a few at a time: decoding needs more memory."""
    row_bytes = tensor.size_bytes // math.prod(tensor.shape[:-1])
    rows = np.frombuffer(tensor.read(), np.uint8).reshape(-1, row_bytes)
    count = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(rows), count):
        yield rows[start : start + count] if order is None else rows[order[start : start + count]]


def _plain(tensor: GgufTensor, blocks: Iterator[Bytes], dtype: str) -> NDArray[Any]:
    """The numbers as `dtype`, bfloat16 as the 16 bits that it is."""
    whole = np.empty((math.prod(tensor.shape[:-1]), tensor.shape[-1]), _NUMPY[dtype])
    filled = 0
    for rows in blocks:
        whole[filled : filled + len(rows)] = _numbers(tensor, rows, dtype)
        filled += len(rows)
    return whole


def _numbers(tensor: GgufTensor, rows: Bytes, dtype: str) -> NDArray[Any]:
    if tensor.type.name == dtype:
        return np.ascontiguousarray(rows).view(_NUMPY[dtype])
    decoded = decode(tensor.type, rows)
    numbers = decoded.to_float() if isinstance(decoded, Quantized) else decoded
    # What is to be written as bfloat16 has nothing in its lower half.
    return numbers.view("<u4") >> 16 if dtype == "BF16" else numbers


def _quantized(tensor: GgufTensor, rows: Bytes) -> Quantized:
    decoded = decode(tensor.type, rows)
    assert isinstance(decoded, Quantized)
    return decoded


def _as_bytes(array: NDArray[Any]) -> memoryview:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data
