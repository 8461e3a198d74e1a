"""A model but for its weights: what a peer needs to plan with it, and to receive its tensors one by one."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from meshinfer.errors import BrokenModel, ModelMismatch

from .base import ModelFiles, Progress
from .contents import weight_contents
from .fingerprint import WeightContent, fingerprint
from .hashstore import HashStore
from .safetensors import StoredTensor, header_size_bytes, parse_header, read_header_bytes, weight_files
from .smallfiles import check_count, check_size, is_small_file, read_small_files
from .variant import ADAPTER_WEIGHTS

MAX_BYTES = 256 << 20
"""Of a blueprint on its way: the longest in use are some 60 MB, nearly all of it vocabulary."""

_MAX_WEIGHT_FILES = 4096
_MAX_WEIGHT_FILE_BYTES = 1 << 46
_WEIGHT_FILE = re.compile(rf"model[\w.-]{{0,128}}\.safetensors|{re.escape(ADAPTER_WEIGHTS)}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SmallFile:
    """Settings, a tokenizer, an index: a file that is there whole."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A safetensors file without its tensors.

    sha256: 64 hex digits, of the whole file. header: the file's bytes up to the first tensor.
    """

    name: str
    size_bytes: int
    sha256: str
    header: bytes

    @property
    def content(self) -> WeightContent:
        """What the whole file holds."""
        return WeightContent(self.name, self.size_bytes, self.sha256)

    def tensors(self, directory: Path) -> tuple[StoredTensor, ...]:
        """Where the tensors lie once the file is in `directory`.

        Raises:
            BrokenModel: the header is torn, or names what does not fit into the file.
        """
        return parse_header(directory / self.name, self.header, self.size_bytes)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All of a model but the tensors' bytes. One that exists has plain names and headers that can be read."""

    small_files: tuple[SmallFile, ...]
    weight_files: tuple[WeightFile, ...]

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            BrokenModel: a name, a size, a hash or a header is not what a model may have.
        """
        check_count("blueprint", len(self.small_files))
        if not 0 < len(self.weight_files) <= _MAX_WEIGHT_FILES:
            raise BrokenModel(f"blueprint: {len(self.weight_files)} weight files, limit {_MAX_WEIGHT_FILES}")
        for small in self.small_files:
            if not is_small_file(small.name):
                raise BrokenModel(f"blueprint: {small.name[:80]!r} is no file that a model is made of")
            check_size(small.name, len(small.content))
        for weight in self.weight_files:
            _check_weight_file(weight)
        names = [small.name for small in self.small_files] + [weight.name for weight in self.weight_files]
        names += [tensor.name for weight in self.weight_files for tensor in weight.tensors(Path())]
        for name, count in Counter(names).most_common(1):
            if count > 1:
                raise BrokenModel(f"blueprint: {name[:200]} is there {count} times")

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model, as `read_card` would find it.

        Raises:
            BrokenModel: a setting is no JSON.
        """
        small = {file.name: file.content for file in self.small_files}
        try:
            return fingerprint(small, (weight.content for weight in self.weight_files))
        except (ValueError, RecursionError) as error:
            raise BrokenModel(f"blueprint: config.json or generation_config.json: {error}") from error


_DECODER = msgspec.msgpack.Decoder(Blueprint)


def blueprint_of(files: ModelFiles, store: HashStore | None, progress: Progress | None = None) -> Blueprint:
    """Make the blueprint of a model on this disk, whole or partial.

    Blocks while weight files are read that nobody has hashed yet: see `weight_contents`.

    Raises:
        BrokenModel: files are missing, torn, or absurdly large.
    """
    small = (SmallFile(name, content) for name, content in read_small_files(files.path).items())
    contents = {weight.name: weight for weight in weight_contents(files.path, store, progress)}
    weights = []
    for file in weight_files(files.path):
        content = contents[file.name]
        weights.append(WeightFile(file.name, content.size_bytes, content.sha256, read_header_bytes(file)))
    return Blueprint(tuple(small), tuple(weights))


def encode(blueprint: Blueprint) -> bytes:
    """Make bytes of a blueprint, for another peer.

    Raises:
        BrokenModel: it is larger than any peer takes.
    """
    content = msgspec.msgpack.encode(blueprint)
    _check_length(len(content))
    return content


def decode(content: bytes | memoryview, expected: str) -> Blueprint:
    """Read a blueprint that a peer has sent. expected: the fingerprint of the model that was asked for.

    Raises:
        BrokenModel: it is no blueprint. ModelMismatch: it is another model's.
    """
    _check_length(len(content))
    try:
        blueprint = _DECODER.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BrokenModel(f"a blueprint of {len(content)} bytes cannot be read: {error}") from error
    found = blueprint.fingerprint
    if found != expected:
        raise ModelMismatch(f"a blueprint has the fingerprint {found[:8]}, {expected[:8]} was asked for")
    return blueprint


def _check_length(size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise BrokenModel(f"a blueprint of {size_bytes} bytes, limit {MAX_BYTES}")


def _check_weight_file(weight: WeightFile) -> None:
    if not _WEIGHT_FILE.fullmatch(weight.name):
        raise BrokenModel(f"blueprint: {weight.name[:80]!r} is no model*.safetensors")
    if not 0 < weight.size_bytes <= _MAX_WEIGHT_FILE_BYTES or not _SHA256.fullmatch(weight.sha256):
        raise BrokenModel(f"blueprint: {weight.name} has an impossible size or SHA-256")
    expected = header_size_bytes(Path(weight.name), weight.header, weight.size_bytes)
    if len(weight.header) != expected:
        raise BrokenModel(f"blueprint: {weight.name}: header of {len(weight.header)} bytes, not {expected}")
