"""Files of models, from the network or a disk: GGUF, safetensors, settings, blueprints, journals."""

import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from meshinfer.errors import BrokenModel, ModelError
from meshinfer.model.blueprint import Blueprint, decode, encode
from meshinfer.model.card import card_of
from meshinfer.model.fingerprint import WeightContent
from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_convert import plan_conversion
from meshinfer.model.journal import read_journal
from meshinfer.model.manifest import NOTES, Manifest, read_manifest, write_manifest
from meshinfer.model.safetensors import parse_header, read_header_bytes, read_tensors, weight_files
from meshinfer.model.settings import settings_of
from meshinfer.model.variant import split_variant
from tests.gguf import small_metadata, small_tensors, write_gguf
from tests.meshinfer.model.parts import blueprint_from
from tests.tiny import make_tiny_model

from .target import JSON, MSGPACK, Target, of_text

_ANOTHER = "0" * 32


@functools.cache
def _folder() -> Path:
    """Where inputs become files: in memory, where the system has that."""
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(prefix="meshinfer-fuzz-", dir=memory if memory.is_dir() else None)
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list["tempfile.TemporaryDirectory[str]"] = []


def _as_file(name: str, read: Callable[[Path], object], behind_bytes: int = 0) -> Callable[[bytes], object]:
    """A function of files as one of bytes. behind_bytes: a hole of that size stands behind them."""

    def run(data: bytes) -> object:
        file = _folder() / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        if behind_bytes:
            os.truncate(file, len(data) + behind_bytes)
        return read(file)

    return run


# --- GGUF


def _gguf(file: Path) -> object:
    return plan_conversion(read_gguf(file))


def _gguf_seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for layers in (0, 1):
            metadata = small_metadata(layers=layers, hidden=32, heads=2)
            file = write_gguf(Path(folder) / "m.gguf", metadata, small_tensors(metadata))
            yield read_gguf(file).header


# --- safetensors


@functools.cache
def _tiny() -> Path:
    return make_tiny_model(_folder() / "tiny", file_count=2, layers=2, hidden=32)


def _header(data: bytes) -> object:
    """The JSON of a header, of a file that is large enough for what it says."""
    header = len(data).to_bytes(8, "little") + data
    return parse_header(Path("model.safetensors"), header, 1 << 30)


def _header_seeds() -> Iterator[bytes]:
    return (read_header_bytes(file)[8:] for file in weight_files(_tiny()))


def _index(file: Path) -> object:
    return read_tensors(file.parent)


def _index_seeds() -> Iterator[bytes]:
    yield json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
    yield json.dumps({"metadata": {}, "weight_map": {"a": "../../etc/passwd"}}).encode()


# --- settings, and a card made of a blueprint


def _settings(data: bytes) -> object:
    raw = json.loads(data)
    return settings_of(Path("config.json"), raw) if isinstance(raw, dict) else None


def _settings_seeds() -> Iterator[bytes]:
    yield (_tiny() / "config.json").read_bytes()
    yield from (file.read_bytes() for file in sorted(Path("meshinfer/model/catalogue").glob("*.json")))


def _blueprint(data: bytes) -> object:
    """A blueprint under another's name; what would come of it under its own."""
    with suppress(ModelError):
        decode(data, _ANOTHER)
    blueprint = msgspec.msgpack.decode(data, type=Blueprint)
    tensors = {tensor.name: tensor for file in blueprint.weight_files for tensor in file.tensors(Path())}
    config = next((each.content for each in blueprint.small_files if each.name == "config.json"), b"{}")
    raw = json.loads(config)
    settings = settings_of(Path(), raw if isinstance(raw, dict) else {})
    return card_of("tiny", "dir:tiny", settings, tensors, (), _ANOTHER)


def _blueprint_seeds() -> Iterator[bytes]:
    whole = blueprint_from(_tiny())
    small = tuple(file for file in whole.small_files if len(file.content) < 1000)
    yield encode(Blueprint(small, whole.weight_files))
    yield encode(Blueprint((), whole.weight_files[:1]))


# --- notes about a directory


def _journal_seeds() -> Iterator[bytes]:
    lines = (["tensor", "a", "0" * 64], ["file", "m"], ["dropped", "a", "m"], ["synced"])
    yield b"\n".join(json.dumps(line).encode() for line in lines)


def _manifest_seeds() -> Iterator[bytes]:
    weights = (WeightContent("model.safetensors", 100, "0" * 64),)
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder), Manifest("tiny", "hf:org/tiny@main", "f" * 32, weights))
        yield (Path(folder) / NOTES / "manifest").read_bytes()


_READING = (ModelError, ValueError, RecursionError)
"""JSON that is none is told as such by whoever reads the file; here it may come straight from the parser."""

FILE_TARGETS = (
    Target("file.gguf", _as_file("m.gguf", _gguf, 1 << 30), (ModelError,), _gguf_seeds),
    Target("file.safetensors", _header, (BrokenModel,), _header_seeds, JSON),
    Target(
        "file.index",
        _as_file("model.safetensors.index.json", _index),
        (BrokenModel,),
        _index_seeds,
        JSON,
    ),
    Target("file.settings", _settings, _READING, _settings_seeds, JSON),
    Target("file.blueprint", _blueprint, (*_READING, msgspec.MsgspecError), _blueprint_seeds, MSGPACK),
    Target(
        "file.journal",
        _as_file(f"{NOTES}/journal", lambda file: read_journal(file.parent.parent)),
        (),
        _journal_seeds,
    ),
    Target(
        "file.manifest",
        _as_file(f"{NOTES}/manifest", lambda file: read_manifest(file.parent.parent)),
        (BrokenModel,),
        _manifest_seeds,
        MSGPACK,
    ),
    Target(
        "file.variant",
        of_text(split_variant),
        (ModelError,),
        lambda: (b"org/name?dtype=float32&kv_bits=8&adapter=/a",),
    ),
)
