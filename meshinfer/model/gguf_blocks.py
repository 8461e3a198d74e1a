"""From GGUF's blocks of numbers to mlx's packed weights with scales and biases, or to float32."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf import BlockType

GROUP_SIZE = 32
BITS = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quantized:
    """Rows of a matrix as mlx's affine quantisation holds them: number = level * scale + bias.

    levels: (rows, columns) uint8, not packed yet. scales, biases: (rows, columns / 32).
    """

    levels: Bytes
    scales: Floats
    biases: Floats
    bits: int

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


def decode(block: BlockType, rows: Bytes) -> Quantized | Floats:
    """Decode rows of bytes, (rows, bytes of a row); scales, biases and plain numbers come as float32.

    float16 scales would be exact too, but make mlx a hundred times slower on CPU.
    """
    match block.name:
        case "F16" | "F32":
            return np.ascontiguousarray(rows).view("<f2" if block.name == "F16" else "<f4").astype(np.float32)
        case "BF16":
            return (np.ascontiguousarray(rows).view("<u2").astype("<u4") << 16).view("<f4")
        case "Q6_K":
            return _six_bits(rows.reshape(len(rows), -1, block.size_bytes))
        case _:
            return _thirty_twos(block.name, rows.reshape(len(rows), -1, block.size_bytes))


def _thirty_twos(name: str, blocks: Bytes) -> Quantized:
    """Blocks of 32: a scale, for Q4_1 the smallest number, and the levels. blocks: (rows, blocks, bytes)."""
    scales = _halves(blocks[..., 0:2])
    if name == "Q8_0":
        # Signed bytes around zero become levels from 0 to 255 around 128.
        levels = blocks[..., 2:] ^ np.uint8(128)
        return Quantized(levels.reshape(len(blocks), -1), scales, scales * np.float32(-128), 8)
    quants = blocks[..., 4:] if name == "Q4_1" else blocks[..., 2:]
    # A block's first 16 numbers are in the low halves of its bytes, the other 16 in the high ones.
    levels = np.concatenate([quants & np.uint8(15), quants >> np.uint8(4)], axis=-1)
    biases = _halves(blocks[..., 2:4]) if name == "Q4_1" else scales * np.float32(-8)
    return Quantized(levels.reshape(len(blocks), -1), scales, biases, 4)


def _six_bits(blocks: Bytes) -> Floats:
    """Blocks of 256 in sixteens with a scale each, which mlx has no form for: as float32, like ggml.

    A block is 128 bytes of low halves, 64 of high quarters, 16 signed scales and the scale of those.
    Each half of it interleaves four runs of 32 numbers.
    """
    count = blocks.shape[:2]
    low = blocks[..., :128].reshape(*count, 2, 2, 32)
    high = blocks[..., 128:192].reshape(*count, 2, 1, 32)
    fours = np.concatenate([low & np.uint8(15), low >> np.uint8(4)], axis=-2)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    levels = fours | ((high >> shifts & np.uint8(3)) << np.uint8(4))
    signed = (levels.astype(np.int8) - np.int8(32)).reshape(*count, 16, 16)
    small = np.ascontiguousarray(blocks[..., 192:208]).view(np.int8).astype(np.float32)
    scales: Floats = small * _halves(blocks[..., 208:210])[..., None]
    numbers: NDArray[Any] = signed.astype(np.float32) * scales[..., None]
    return numbers.reshape(count[0], -1)


def _halves(pairs: Bytes) -> Floats:
    """(…, 2) bytes, each pair a float16, as (…) float32."""
    halves: NDArray[Any] = np.ascontiguousarray(pairs).view("<f2")[..., 0]
    return halves.astype(np.float32)
