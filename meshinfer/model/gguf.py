"""Reading GGUF files: metadata and where each tensor lies. Nothing here trusts the file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
mlx can read GGUF too, but its reader ends the process over a file that is torn.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from meshinfer.errors import BrokenModel, UnsupportedModel

Value = bool | int | float | str | list["Value"]
_Kind = TypeVar("_Kind", bool, int, float, str, list[Value])

_MAX_ENTRIES = 100_000  # tensors, or metadata keys; the largest models have some 2,000
_MAX_ARRAY = 4_000_000  # items; vocabularies have up to 300,000
_MAX_STRING_BYTES = 4_000_000  # chat templates have up to 20,000
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 1 << 20

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class BlockType:
    """How numbers are stored: `items` of them in every `size_bytes`."""

    name: str
    items: int
    size_bytes: int


BLOCK_TYPES = {
    0: BlockType("F32", 1, 4),
    1: BlockType("F16", 1, 2),
    2: BlockType("Q4_0", 32, 18),
    3: BlockType("Q4_1", 32, 20),
    8: BlockType("Q8_0", 32, 34),
}
# Only to name them when they are refused.
_OTHER_TYPES = {
    6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K",
    16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor on disk; `shape` is (rows, columns) as in mlx, `offset` counts from the file's start."""

    name: str
    type: BlockType
    shape: tuple[int, ...]
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Gguf:
    """A GGUF file's header."""

    path: Path
    metadata: dict[str, Value]
    tensors: dict[str, GgufTensor]

    def need(self, key: str, kind: type[_Kind]) -> _Kind:
        """A metadata value that must be there.

        Raises:
            BrokenModel: it is missing or of another type.
        """
        value: Any = self.metadata.get(key)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise BrokenModel(f"{self.path}: metadata {key} is missing or not of type {kind.__name__}")
        found: _Kind = value
        return found

    def get(self, key: str, kind: type[_Kind], default: _Kind) -> _Kind:
        """A metadata value, or `default` where there is none."""
        return self.need(key, kind) if key in self.metadata else default

    def read(self, tensor: GgufTensor) -> bytes:
        """A tensor's bytes, as they are stored."""
        with self.path.open("rb") as stream:
            stream.seek(tensor.offset)
            content = stream.read(tensor.size_bytes)
        if len(content) != tensor.size_bytes:
            raise BrokenModel(f"{self.path}: the file ends within {tensor.name}")
        return content


def read_gguf(path: Path) -> Gguf:
    """Read a file's header.

    Raises:
        BrokenModel: it is no GGUF file, or torn, or absurd.
        UnsupportedModel: its version, byte order or a tensor's type is not read here.
    """
    file_bytes = path.stat().st_size
    with path.open("rb") as stream:
        cursor = _Cursor(path, stream, file_bytes)
        tensor_count, key_count = _preamble(cursor)
        metadata: dict[str, Value] = {}
        for _ in range(key_count):
            key = cursor.text()
            if key in metadata:
                raise BrokenModel(f"{path}: metadata {key} stands there twice")
            metadata[key] = cursor.value(cursor.number("I"))
        described = [_description(cursor) for _ in range(tensor_count)]
        alignment = _alignment(path, metadata)
        start = -(-stream.tell() // alignment) * alignment
    tensors: dict[str, GgufTensor] = {}
    for name, type_number, shape, offset in described:
        if name in tensors:
            raise BrokenModel(f"{path}: tensor {name} stands there twice")
        tensors[name] = _placed(path, name, type_number, shape, start + offset, file_bytes)
    return Gguf(path, metadata, tensors)


class _Cursor:
    """Reads GGUF's values one after the other, and never more than the file has."""

    def __init__(self, path: Path, stream: BinaryIO, file_bytes: int) -> None:
        self.path = path
        self._stream = stream
        self._left_bytes = file_bytes

    def raw(self, size_bytes: int) -> bytes:
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise BrokenModel(f"{self.path}: torn: the header wants {-self._left_bytes} bytes past the end")
        return self._stream.read(size_bytes)

    def number(self, code: str) -> int:
        value: int = struct.unpack("<" + code, self.raw(struct.calcsize("<" + code)))[0]
        return value

    def text(self) -> str:
        size_bytes = self.number("Q")
        if size_bytes > _MAX_STRING_BYTES:
            raise BrokenModel(f"{self.path}: a text of {size_bytes} bytes, limit {_MAX_STRING_BYTES}")
        try:
            return self.raw(size_bytes).decode()
        except UnicodeDecodeError as error:
            raise BrokenModel(f"{self.path}: a text in the header is not UTF-8") from error

    def value(self, type_number: int, *, is_nested: bool = False) -> Value:
        if type_number == _STRING:
            return self.text()
        if type_number == _ARRAY and not is_nested:
            return self._array()
        return self._scalars(type_number, 1)[0]

    def _array(self) -> list[Value]:
        type_number, count = self.number("I"), self.number("Q")
        if count > _MAX_ARRAY:
            raise BrokenModel(f"{self.path}: an array of {count} items, limit {_MAX_ARRAY}")
        if type_number in _SCALARS:
            return self._scalars(type_number, count)
        return [self.value(type_number, is_nested=True) for _ in range(count)]

    def _scalars(self, type_number: int, count: int) -> list[Value]:
        code = _SCALARS.get(type_number)
        if code is None:
            raise BrokenModel(f"{self.path}: metadata of the unknown type {type_number}")
        values = struct.unpack(f"<{count}{code}", self.raw(count * struct.calcsize("<" + code)))
        return [_shortest(value) for value in values] if code == "f" else list(values)


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 1e-05, not 9.999999747378752e-06."""
    if not math.isfinite(value):
        return value
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        # Rounding up the largest float32 gives a number that is none.
        if abs(float(text)) < 3.4e38 and struct.pack("<f", float(text)) == struct.pack("<f", value):
            return float(text)
    return value


def _preamble(cursor: _Cursor) -> tuple[int, int]:
    if cursor.raw(4) != b"GGUF":
        raise BrokenModel(f"{cursor.path}: not a GGUF file")
    version = cursor.number("I")
    if version not in (2, 3):
        raise UnsupportedModel(f"{cursor.path}: GGUF version {version}; 2 and 3 (little endian) are read")
    tensor_count, key_count = cursor.number("Q"), cursor.number("Q")
    if max(tensor_count, key_count) > _MAX_ENTRIES:
        raise BrokenModel(
            f"{cursor.path}: {tensor_count} tensors and {key_count} metadata keys, limit {_MAX_ENTRIES}"
        )
    return tensor_count, key_count


def _alignment(path: Path, metadata: dict[str, Value]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= _MAX_ALIGNMENT or alignment % 8:
        raise BrokenModel(f"{path}: an alignment of {alignment} bytes")
    return alignment


def _description(cursor: _Cursor) -> tuple[str, int, tuple[int, ...], int]:
    name, dimensions = cursor.text(), cursor.number("I")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise BrokenModel(f"{cursor.path}: {name} has {dimensions} dimensions, limit {_MAX_DIMENSIONS}")
    sizes = [cursor.number("Q") for _ in range(dimensions)]
    if not all(0 < size < 2**40 for size in sizes):
        raise BrokenModel(f"{cursor.path}: {name} has the impossible shape {sizes}")
    # ggml names the fastest dimension first, mlx last.
    return name, cursor.number("I"), tuple(reversed(sizes)), cursor.number("Q")


def _placed(
    path: Path, name: str, type_number: int, shape: tuple[int, ...], offset: int, file_bytes: int
) -> GgufTensor:
    block = BLOCK_TYPES.get(type_number)
    if block is None:
        type_name = _OTHER_TYPES.get(type_number, str(type_number))
        known = ", ".join(known.name for known in BLOCK_TYPES.values())
        raise UnsupportedModel(f"{path}: {name} is stored as {type_name}; {known} are read")
    if shape[-1] % block.items:
        raise BrokenModel(f"{path}: {name} has {shape[-1]} columns, {block.name} needs a multiple of 32")
    size_bytes = math.prod(shape) // block.items * block.size_bytes
    if offset + size_bytes > file_bytes:
        raise BrokenModel(
            f"{path}: truncated: {name} ends at byte {offset + size_bytes}, the file at {file_bytes}"
        )
    return GgufTensor(name, block, shape, offset, size_bytes)
