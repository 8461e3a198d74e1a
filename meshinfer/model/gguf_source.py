"""GGUF files as models: which file is meant, and its conversion, kept under a name that its content gives."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from meshinfer.errors import UnknownModel

from .base import ModelFiles, Progress
from .conversion import convert_once
from .directory import check_directory
from .gguf import Gguf, first_parts, read_gguf
from .gguf_convert import commonest_type, plan_conversion
from .gguf_naming import plain, title

# Part of the directory's name: raise it when the conversion writes other bytes.
_CONVERSION = 1

_CONVERTED = re.compile(rf"gguf-(.+)-[0-9a-f]{{16}}-{_CONVERSION}", re.ASCII)
_SAMPLE_BYTES = 64


def is_gguf(file: Path) -> bool:
    """Whether a file says of itself that it is one; Ollama's have no suffix."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(4) == b"GGUF"


def gguf_in(directory: Path, wanted: str | None = None) -> Path | None:
    """The GGUF file of a directory; None if it holds none.

    wanted: its name, or the type in it such as `Q4_0`; None for the only one.

    Raises:
        UnknownModel: several are there and none or more than one is meant.
    """
    files = [file for file in first_parts(directory) if not file.name.startswith("mmproj")]
    if not files:
        return None
    meant = [file for file in files if wanted is None or _is_meant(file, wanted)]
    if len(meant) == 1:
        return meant[0]
    names = ", ".join(file.name for file in files[:20])
    raise UnknownModel(f"{directory} holds {names}: name one of them, with its path")


def resolve_gguf(file: Path, cache_dir: Path, progress: Progress) -> ModelFiles:
    """Return a GGUF file's model in mlx-lm's format; convert it first if that was not done yet. Blocks.

    file: the only or the first of its files. The same content gives the same name and the same bytes.

    Raises:
        UnsupportedModel: it is of a family or type that is not read here.
        BrokenModel: it is torn, or contradicts itself. DiskFull: no room in the cache.
    """
    gguf = read_gguf(file)
    content = _content_id(gguf)
    family = plain(str(gguf.metadata.get("general.architecture", "gguf")))
    name = f"{title(gguf.metadata) or f'{family}-{content[:8]}'}-{commonest_type(gguf.tensors)}"
    directory = cache_dir / "models" / f"gguf-{name}-{content}-{_CONVERSION}"
    convert_once(directory, directory.name, name, lambda: plan_conversion(gguf), progress)
    check_directory(directory)
    return _files(name, directory)


def installed_ggufs(cache_dir: Path) -> list[ModelFiles]:
    """The GGUF files' models that were converted."""
    found = sorted((cache_dir / "models").glob("gguf-*"))
    named = [(_CONVERTED.fullmatch(directory.name), directory) for directory in found if directory.is_dir()]
    return [_files(matched[1], directory) for matched, directory in named if matched]


def _files(name: str, directory: Path) -> ModelFiles:
    return ModelFiles(name, f"dir:{directory.resolve()}", directory.resolve())


def _is_meant(file: Path, wanted: str) -> bool:
    if wanted.lower().endswith(".gguf"):
        return file.name == wanted
    # A type stands alone in a file's name: Q4_0, but not Q4_0_4_4.
    kind = rf"(?i:.*(?<![A-Za-z0-9_]){re.escape(wanted)}(?:-\d{{5}}-of-\d{{5}})?\.gguf)"
    return re.fullmatch(kind, file.name) is not None


def _content_id(gguf: Gguf) -> str:
    """16 hex digits over the header, and of each tensor its place and samples of its bytes."""
    digest = hashlib.blake2b(digest_size=8, person=b"meshinfer gguf")
    for part in _parts(gguf):
        # The length in front keeps parts apart.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(gguf: Gguf) -> Iterator[bytes]:
    yield gguf.header
    for tensor in gguf.tensors.values():
        yield f"{tensor.name} {tensor.type.name} {tensor.shape} {tensor.offset}".encode()
        size_bytes = min(_SAMPLE_BYTES, tensor.size_bytes)
        last = tensor.size_bytes - size_bytes
        for start in (0, last // 2, last):
            yield tensor.read_part(start, size_bytes)
