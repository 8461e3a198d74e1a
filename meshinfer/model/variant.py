"""How a model is run other than its files say: in another number type, with a quantised KV cache, or adapted.

A variant is a model of its own: a directory whose config.json says so in one more setting, with an adapter's
two files where there is one, and links to all else. So it has a fingerprint of its own, goes to other peers
like any model, and a ring can never mix variants.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from meshinfer.errors import BrokenModel, UnknownModel, UnsupportedModel

from .base import ModelFiles
from .directory import read_json

SETTING = "meshinfer"
"""What config.json of a variant has more than the model's own."""

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapters.safetensors"

DTYPES = ("float32", "bfloat16", "float16")
KV_BITS = (2, 3, 4, 6, 8)
KV_GROUP_SIZE = 64
"""Numbers that share a scale in a quantised KV cache, as mlx-lm has it unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Variant:
    """dtype: of weights, scales and states that are floats, "" for that of the files. kv_bits: 0 keeps the KV
    cache in floats. adapter: the directory, as the user wrote it; in config.json its name.

    Raises:
        UnsupportedModel: there is no such type, or number of bits.
    """

    dtype: str = ""
    kv_bits: int = 0
    adapter: str = ""

    def __post_init__(self) -> None:
        if self.dtype and self.dtype not in DTYPES:
            raise UnsupportedModel(f"dtype {self.dtype!r}: give one of {', '.join(DTYPES)}")
        if self.kv_bits and self.kv_bits not in KV_BITS:
            bits = ", ".join(map(str, KV_BITS))
            raise UnsupportedModel(f"a KV cache of {self.kv_bits} bits: give one of {bits}")

    @property
    def is_plain(self) -> bool:
        """Whether the model is run as its files say."""
        return self == Variant()

    @property
    def suffix(self) -> str:
        """For the model's name: `+float32+kv8+my-adapter`."""
        kv = f"kv{self.kv_bits}" if self.kv_bits else ""
        adapter = re.sub(r"[^\w.-]", "-", Path(self.adapter).name) if self.adapter else ""
        return "".join(f"+{part}" for part in (self.dtype, kv, adapter) if part)

    def __str__(self) -> str:
        """As `split_variant` reads it, behind a model's name or source."""
        given = {key: value for key, value in asdict(self).items() if value}
        return "&".join(f"{key}={value}" for key, value in given.items())


def split_variant(wanted: str) -> tuple[str, Variant]:
    """Take `org/name?dtype=float32&kv_bits=8&adapter=PATH` apart.

    Raises:
        UnsupportedModel: what stands behind the question mark is none of these.
    """
    model, mark, text = wanted.partition("?")
    if not mark:
        return model, Variant()
    given = dict(parse_qsl(text.replace("+", "%2B"), keep_blank_values=True))
    kv_bits = given.pop("kv_bits", "0")
    dtype, adapter = given.pop("dtype", ""), given.pop("adapter", "")
    if given or not kv_bits.isdecimal():
        raise UnsupportedModel(
            f"{wanted!r}: behind the question mark stand dtype=…, kv_bits=… and adapter=…, joined by &"
        )
    return model, Variant(dtype, int(kv_bits), adapter)


def read_variant(config: dict[str, Any]) -> Variant:
    """What a config.json says of its variant.

    Raises:
        BrokenModel: it is not what `make_variant` writes.
    """
    match config.get(SETTING, {}):
        case {"dtype": str(dtype), "kv_bits": int(kv_bits), "adapter": str(adapter)}:
            return Variant(dtype, kv_bits, adapter)
        case {**nothing} if not nothing:
            return Variant()
        case other:
            raise BrokenModel(f"config.json says {SETTING} = {str(other)[:200]}: fetch the model again")


def make_variant(files: ModelFiles, variant: Variant, cache_dir: Path) -> ModelFiles:
    """Make the directory of a variant, unless it is there; the model's own stays as it is, and is linked to.

    Raises:
        UnknownModel: there is no such adapter. BrokenModel: it is not in mlx-lm's format.
    """
    if variant.is_plain:
        return files
    adapter = _adapter_files(variant.adapter) if variant.adapter else {}
    config = read_json(files.path / "config.json")
    # Where the adapter lies is this machine's affair.
    said = {**asdict(variant), "adapter": Path(variant.adapter).name}
    text = json.dumps({**config, SETTING: said}, indent=1)
    digest = hashlib.sha256(f"{files.path.resolve()}\n{text}".encode())
    for file in adapter.values():
        digest.update(file.read_bytes())
    directory = cache_dir / "models" / f"variant-{digest.hexdigest()[:32]}"
    if not directory.is_dir():
        beside = directory.with_name(f".{directory.name}-{os.getpid()}")
        beside.mkdir(parents=True, exist_ok=True)
        _fill(beside, files.path, adapter, text)
        try:
            beside.rename(directory)
        except OSError:
            # Another process was quicker; its directory is the same.
            _remove(beside)
    source = f"{files.source}?{variant}"
    return ModelFiles(files.name + variant.suffix, source, directory)


def _adapter_files(adapter: str) -> dict[str, Path]:
    path = Path(adapter.removeprefix("dir:")).expanduser()
    if not path.is_dir():
        raise UnknownModel(
            f"there is no adapter {path.absolute()}: give the directory that mlx_lm.lora has written, with "
            f"{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}"
        )
    found = {name: path / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)}
    for name, file in found.items():
        if not file.is_file():
            raise BrokenModel(f"{path.absolute()}: {name} is missing: an adapter of mlx-lm has it")
    return found


def _fill(directory: Path, model: Path, adapter: dict[str, Path], config: str) -> None:
    for file in model.iterdir():
        if file.is_file() and file.name != "config.json" and file.name not in adapter:
            (directory / file.name).symlink_to(file.resolve())
    for name, file in adapter.items():
        # Copied: a training run goes on to write over it.
        (directory / name).write_bytes(file.read_bytes())
    (directory / "config.json").write_text(config)


def _remove(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
