"""From GGUF's blocks of 32 numbers to mlx's packed weights with scales and biases, or to float32."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf import GgufTensor

GROUP_SIZE = 32
BITS = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A matrix as mlx's affine quantisation holds it: number = weight * scale + bias.

    levels: (rows, columns) uint8, not packed yet. scales, biases: (rows, columns / 32).
    """

    levels: NDArray[np.uint8]
    scales: Floats
    biases: Floats
    bits: int

    def rows(self, order: NDArray[np.intp]) -> "Quantized":
        """The same matrix with its rows in another order."""
        return Quantized(self.levels[order], self.scales[order], self.biases[order], self.bits)

    def packed(self) -> NDArray[np.uint32]:
        """The levels as mlx stores them: the first in the lowest bits of each 32."""
        if self.bits == 8:
            return self.levels.view("<u4")
        return (self.levels[:, 0::2] | self.levels[:, 1::2] << 4).view("<u4")

    def to_float(self) -> Floats:
        """The numbers. Exact but for one rounding, since level * scale fits a float32's 24 bits."""
        rows, columns = self.levels.shape
        grouped = self.levels.reshape(rows, columns // GROUP_SIZE, GROUP_SIZE).astype(np.float32)
        numbers = grouped * self.scales[..., None] + self.biases[..., None]
        return numbers.reshape(rows, columns)


def decode(tensor: GgufTensor, content: bytes) -> Quantized | Floats:
    """Decode a tensor's bytes; scales, biases and plain numbers come as float32.

    float16 scales would be exact too, but make mlx a hundred times slower on CPU.
    """
    if tensor.type.name in ("F16", "F32"):
        stored = np.frombuffer(content, "<f2" if tensor.type.name == "F16" else "<f4")
        return stored.astype(np.float32).reshape(tensor.shape)
    columns = tensor.shape[-1]
    blocks = np.frombuffer(content, np.uint8).reshape(-1, columns // GROUP_SIZE, tensor.type.size_bytes)
    scales = _halves(blocks[..., 0:2])
    if tensor.type.name == "Q8_0":
        # Signed bytes around zero become levels from 0 to 255 around 128.
        levels = blocks[..., 2:] ^ np.uint8(128)
        return Quantized(levels.reshape(-1, columns), scales, scales * np.float32(-128), 8)
    quants = blocks[..., 4:] if tensor.type.name == "Q4_1" else blocks[..., 2:]
    # A block's first 16 numbers are in the low halves of its bytes, the other 16 in the high ones.
    levels = np.concatenate([quants & np.uint8(15), quants >> np.uint8(4)], axis=-1).reshape(-1, columns)
    biases = _halves(blocks[..., 2:4]) if tensor.type.name == "Q4_1" else scales * np.float32(-8)
    return Quantized(levels, scales, biases, 4)


def _halves(pairs: NDArray[np.uint8]) -> Floats:
    """(…, 2) bytes, each pair a float16, as (…) float32."""
    halves: NDArray[Any] = np.ascontiguousarray(pairs).view("<f2")[..., 0]
    return halves.astype(np.float32)
