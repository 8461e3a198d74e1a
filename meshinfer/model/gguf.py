"""Reading GGUF files: metadata and where each tensor lies. Nothing here trusts the file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
mlx can read GGUF too, but its reader ends the process over a file that is torn.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from meshinfer.errors import BrokenModel, UnsupportedModel

from .gguf_cursor import Cursor, Value
from .gguf_naming import READ_TYPES, instead

_Kind = TypeVar("_Kind", bool, int, float, str, list[Value])

_MAX_ENTRIES = 100_000  # tensors, or metadata keys; the largest models have some 2,000
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 1 << 20
_MAX_PARTS = 1000

_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.ASCII)


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
    14: BlockType("Q6_K", 256, 210),
    30: BlockType("BF16", 1, 2),
}
# llama.cpp stores the head of a Q4_0 file so; elsewhere it would grow to five times its size.
_ONLY_IN_HEAD = ("Q6_K", {"output.weight", "token_embd.weight"})
# Only to name them when they are refused.
_OTHER_TYPES = {
    6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 15: "Q8_K",
    16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor on disk; `shape` is (rows, columns) as in mlx, `offset` counts from the file's start."""

    name: str
    type: BlockType
    shape: tuple[int, ...]
    file: Path
    offset: int
    size_bytes: int

    def read(self) -> bytes:
        """Its bytes, as they are stored.

        Raises:
            BrokenModel: the file has become shorter.
        """
        return self.read_part(0, self.size_bytes)

    def read_part(self, start: int, size_bytes: int) -> bytes:
        """Some of its bytes."""
        with self.file.open("rb") as stream:
            stream.seek(self.offset + start)
            content = stream.read(size_bytes)
        if len(content) != size_bytes:
            raise BrokenModel(f"{self.file}: the file ends within {self.name}")
        return content


@dataclass(frozen=True, slots=True)
class Gguf:
    """A model's headers. path: its file, the first if there are several; header: that one's bytes as such."""

    path: Path
    metadata: dict[str, Value]
    tensors: dict[str, GgufTensor]
    header: bytes

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

    def refused(self, why: str) -> UnsupportedModel:
        """The error for a model that is not converted here; it says what to use instead."""
        return UnsupportedModel(f"{self.path}: {why}: use {instead(self.metadata)}")


def read_gguf(path: Path) -> Gguf:
    """Read a file's header, and those of its sister files if the model is split over several.

    Raises:
        BrokenModel: it is no GGUF file, or torn, or absurd; a sister is missing.
        UnsupportedModel: its version, byte order or a tensor's type is not read here.
    """
    whole = _read_file(path, {})
    parts = whole.get("split.count", int, 1)
    for sister in _sisters(path, parts) if parts > 1 else ():
        if not sister.is_file():
            raise BrokenModel(f"{sister} is missing: {path.name} is the first of {parts} files")
        for name, tensor in _read_file(sister, whole.metadata).tensors.items():
            if name in whole.tensors:
                raise BrokenModel(f"{sister}: tensor {name} stands in {whole.tensors[name].file.name} too")
            whole.tensors[name] = tensor
    expected = whole.get("split.tensors.count", int, len(whole.tensors))
    if len(whole.tensors) != expected:
        raise BrokenModel(
            f"{path}: {expected} tensors are announced, its {parts} files hold {len(whole.tensors)}"
        )
    return whole


def first_parts(directory: Path) -> list[Path]:
    """The GGUF files of a directory, by name; of a split model the first alone."""
    found = sorted(file for file in directory.glob("*.gguf") if file.is_file())
    return [file for file in found if (part := _PART.fullmatch(file.name)) is None or int(part[2]) == 1]


def _sisters(path: Path, parts: int) -> list[Path]:
    part = _PART.fullmatch(path.name)
    if part is None or int(part[3]) != parts or parts > _MAX_PARTS:
        raise BrokenModel(
            f"{path}: one of {parts} files, which must end in -00001-of-{parts:05d}.gguf and so on"
        )
    if int(part[2]) != 1:
        raise BrokenModel(
            f"{path} is not the first of its {parts} files: name {part[1]}-00001-of-{part[3]}.gguf"
        )
    return [path.with_name(f"{part[1]}-{number:05d}-of-{part[3]}.gguf") for number in range(2, parts + 1)]


def _read_file(path: Path, advisory: dict[str, Value]) -> Gguf:
    """Read one file's header. advisory: the metadata that name the model, if they are in another file."""
    file_bytes = path.stat().st_size
    with path.open("rb") as stream:
        cursor = Cursor(path, stream, file_bytes)
        tensor_count, key_count = _preamble(cursor)
        metadata: dict[str, Value] = {}
        for _ in range(key_count):
            key = cursor.text()
            if key in metadata:
                raise BrokenModel(f"{path}: metadata {key} stands there twice")
            metadata[key] = cursor.value(cursor.number("I"))
        described = [_description(cursor) for _ in range(tensor_count)]
        header_bytes = cursor.position
        stream.seek(0)
        header = stream.read(header_bytes)
    alignment = _alignment(path, metadata)
    start = -(-header_bytes // alignment) * alignment
    gguf = Gguf(path, metadata, {}, header)
    for name, type_number, shape, offset in described:
        if name in gguf.tensors:
            raise BrokenModel(f"{path}: tensor {name} stands there twice")
        block = _block_type(path, name, type_number, advisory or metadata)
        gguf.tensors[name] = _placed(path, name, block, shape, start + offset, file_bytes)
    return gguf


def _preamble(cursor: Cursor) -> tuple[int, int]:
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


def _description(cursor: Cursor) -> tuple[str, int, tuple[int, ...], int]:
    name, dimensions = cursor.text(), cursor.number("I")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise BrokenModel(f"{cursor.path}: {name} has {dimensions} dimensions, limit {_MAX_DIMENSIONS}")
    sizes = [cursor.number("Q") for _ in range(dimensions)]
    if not all(0 < size < 2**40 for size in sizes):
        raise BrokenModel(f"{cursor.path}: {name} has the impossible shape {sizes}")
    # ggml names the fastest dimension first, mlx last.
    return name, cursor.number("I"), tuple(reversed(sizes)), cursor.number("Q")


def _block_type(path: Path, name: str, type_number: int, metadata: dict[str, Value]) -> BlockType:
    block = BLOCK_TYPES.get(type_number)
    if block is not None and (block.name != _ONLY_IN_HEAD[0] or name in _ONLY_IN_HEAD[1]):
        return block
    type_name = block.name if block else _OTHER_TYPES.get(type_number, f"type {type_number}")
    raise UnsupportedModel(
        f"{path}: {name} is stored as {type_name}: take a file of type {READ_TYPES}, or {instead(metadata)}"
    )


def _placed(
    path: Path, name: str, block: BlockType, shape: tuple[int, ...], offset: int, file_bytes: int
) -> GgufTensor:
    if shape[-1] % block.items:
        raise BrokenModel(
            f"{path}: {name} has {shape[-1]} columns, {block.name} needs a multiple of {block.items}"
        )
    size_bytes = math.prod(shape) // block.items * block.size_bytes
    if offset + size_bytes > file_bytes:
        raise BrokenModel(
            f"{path}: truncated: {name} ends at byte {offset + size_bytes}, the file at {file_bytes}"
        )
    return GgufTensor(name, block, shape, path, offset, size_bytes)
