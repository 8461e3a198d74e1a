"""The safetensors format: reading headers without the weights, and writing files that are equal everywhere.

A file is 8 bytes of header length, little endian, a JSON header, and the tensors' bytes end to end.
"""

import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshinfer.errors import BrokenModel

from .variant import ADAPTER_WEIGHTS, read_variant

# The reference implementation refuses longer headers too; the longest in use are some 10 MB.
_MAX_HEADER_BYTES = 100_000_000
_MAX_DIMENSIONS = 16
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies on disk.

    dtype: safetensors' own name for it. offset: from the file's start, in bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Where its last byte lies, and one more, from the file's start."""
        return self.offset + self.size_bytes


def read_tensors(directory: Path) -> dict[str, StoredTensor]:
    """List every tensor of a model by name, from the headers of its weight files.

    Raises:
        BrokenModel: no file, a torn header, a truncated file, a name in two files, or an index that names
            a file or a tensor which is not there.
    """
    tensors: dict[str, StoredTensor] = {}
    for file in weight_files(directory):
        for tensor in read_header(file):
            if tensor.name in tensors:
                first = tensors[tensor.name].file.name
                raise BrokenModel(f"{directory}: tensor {tensor.name} is both in {first} and in {file.name}")
            tensors[tensor.name] = tensor
    for name, file_name in _index(directory).items():
        if name not in tensors:
            raise BrokenModel(
                f"{directory}: the index says that {file_name} holds {name}, but no file does; "
                "fetch the model again"
            )
    return tensors


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The files that mlx-lm would load, by name, then an adapter's, after checking that the index agrees.

    Raises:
        BrokenModel: there is none, or one is missing that the index or config.json tells of.
    """
    files = tuple(sorted(directory.glob("model*.safetensors")))
    present = {file.name for file in files}
    for file_name in sorted(set(_index(directory).values())):
        if file_name not in present:
            raise BrokenModel(f"{directory}: {file_name} is missing, though the index names it")
    if not files:
        raise BrokenModel(
            f"{directory}: no model*.safetensors there; mlx-lm's format is needed{_pickled(directory)}"
        )
    for file in files:
        _check_numbering(directory, file.name, present)
    return (*files, *_adapter_files(directory))


def read_header(file: Path) -> tuple[StoredTensor, ...]:
    """Read one file's header; the tensors come in the order of their bytes.

    Raises:
        BrokenModel: the header is torn or absurd, or the file ends before its tensors do.
    """
    return parse_header(file, read_header_bytes(file), file.stat().st_size)


def read_header_bytes(file: Path) -> bytes:
    """Read what stands before the tensors: the header's length, 8 bytes, and the header.

    Raises:
        BrokenModel: its length is absurd.
    """
    file_bytes = file.stat().st_size
    with file.open("rb") as stream:
        length = stream.read(8)
        return length + stream.read(header_size_bytes(file, length, file_bytes) - 8)


def header_size_bytes(file: Path, beginning: bytes, file_bytes: int) -> int:
    """How many bytes stand before the tensors, from a file's first eight.

    Raises:
        BrokenModel: more than the file has, or than any header needs.
    """
    announced_bytes = int.from_bytes(beginning[:8], "little")
    if file_bytes < 8 or announced_bytes > min(file_bytes - 8, _MAX_HEADER_BYTES):
        raise BrokenModel(
            f"{file}: torn header: {announced_bytes} bytes announced in a file of {file_bytes} bytes"
        )
    return 8 + announced_bytes


def parse_header(file: Path, header: bytes, file_bytes: int) -> tuple[StoredTensor, ...]:
    """List the tensors of a file of `file_bytes` that begins with `header`, in the order of their bytes.

    Raises:
        BrokenModel: the header is torn or absurd, or the file ends before its tensors do.
    """
    start = header_size_bytes(file, header, file_bytes)
    entries = _parse(file, header[8:])
    tensors = [_entry(file, name, entry, start) for name, entry in entries.items() if name != "__metadata__"]
    for tensor in tensors:
        if tensor.end > file_bytes:
            raise BrokenModel(
                f"{file}: truncated: {tensor.name} ends at byte {tensor.end}, "
                f"the file at {file_bytes}; fetch the model again"
            )
    return tuple(sorted(tensors, key=lambda tensor: (tensor.offset, tensor.name)))


def write_file(
    file: Path, tensors: Iterable[tuple[str, str, tuple[int, ...]]], contents: Iterator[memoryview]
) -> None:
    """Write tensors of (name, dtype, shape), with one buffer each from `contents`, in the same order.

    The same tensors give the same bytes on every machine.
    """
    header: dict[str, object] = {"__metadata__": {"format": "mlx"}}
    position = 0
    for name, dtype, shape in tensors:
        end = position + math.prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, end]}
        position = end
    with file.open("wb") as stream:
        stream.write(_header_bytes(header))
        written_bytes = sum(stream.write(content) for content in contents)
    if written_bytes != position:
        raise ValueError(f"{file}: the header announces {position} bytes, {written_bytes} were written")


def copy_prefixed(source: Path, target: Path, prefix: str) -> None:
    """Copy a file, with `prefix` before the names of its tensors.

    Raises:
        BrokenModel: its header is torn or absurd, or it ends before its tensors do.
    """
    read_header(source)
    header = read_header_bytes(source)
    entries = _parse(source, header[8:])
    renamed = {name if name == "__metadata__" else prefix + name: entry for name, entry in entries.items()}
    with source.open("rb") as stream, target.open("wb") as out:
        stream.seek(len(header))
        out.write(_header_bytes(renamed))
        shutil.copyfileobj(stream, out)


def _header_bytes(entries: dict[str, Any]) -> bytes:
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _adapter_files(directory: Path) -> tuple[Path, ...]:
    """The file of an adapter, if config.json says that there is one; others may lie beside any model."""
    config = directory / "config.json"
    if not config.is_file() or not read_variant(_parse(config, config.read_bytes(), "torn settings")).adapter:
        return ()
    file = directory / ADAPTER_WEIGHTS
    if not file.is_file():
        raise BrokenModel(f"{directory}: {ADAPTER_WEIGHTS} is missing, though config.json tells of it")
    return (file,)


def _index(directory: Path) -> dict[str, str]:
    """The index's map from tensor to file name; empty where there is no index."""
    file = directory / "model.safetensors.index.json"
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return {}
    weight_map = _parse(file, text).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(value, str) for value in weight_map.values()):
        raise BrokenModel(f"{file}: weight_map must map tensor names to file names")
    return weight_map


def _pickled(directory: Path) -> str:
    """What an error adds where weights are there in a format that runs code as it is read."""
    found = sorted(file.name for file in directory.iterdir() if file.suffix in _PICKLES)
    if not found:
        return ""
    return f": {found[0]} is never read, such a file can run code; convert it (`mlx_lm.convert`)"


def _check_numbering(directory: Path, file_name: str, present: set[str]) -> None:
    """`model-00002-of-00003.safetensors` promises two others."""
    numbered = re.fullmatch(r"(model.*-)(\d{1,6})(-of-)(\d{1,6})\.safetensors", file_name)
    if numbered is None:
        return
    prefix, own, middle, count = numbered.groups()
    for number in range(1, min(int(count), 100_000) + 1):
        sibling = f"{prefix}{number:0{len(own)}d}{middle}{count}.safetensors"
        if sibling not in present:
            raise BrokenModel(f"{directory}: {sibling} is missing, though {file_name} counts it")


def _parse(file: Path, text: bytes, what: str = "torn header") -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenModel(f"{file}: {what}, not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BrokenModel(f"{file}: {what}: a JSON object is expected")
    return value


def _entry(file: Path, name: str, entry: Any, start: int) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise BrokenModel(f"{file}: torn header: {name} lacks dtype, shape or data_offsets")
    if dtype not in DTYPE_BITS:
        raise BrokenModel(f"{file}: {name} has the unknown type {dtype}")
    if len(shape) > _MAX_DIMENSIONS or not all(type(size) is int and 0 <= size < 2**48 for size in shape):
        raise BrokenModel(f"{file}: {name} has an impossible shape")
    size_bytes = (math.prod(shape) * DTYPE_BITS[dtype] + 7) // 8
    if not 0 <= begin <= end or end - begin != size_bytes:
        raise BrokenModel(
            f"{file}: {name}, {dtype} of shape {shape}, needs {size_bytes} bytes; its place has {end - begin}"
        )
    return StoredTensor(name, dtype, tuple(shape), file, start + begin, size_bytes)
