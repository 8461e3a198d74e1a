"""The directories of variants: what the model's own has, with another config.json and an adapter's two files.

Of a model that is here whole, all else is linked to. Of one that is partly here, a directory is laid out
that is filled as any other: what the model's own holds is copied into it.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from meshinfer.errors import BrokenModel, UnknownModel

from .base import ModelFiles
from .blueprint import Blueprint, SmallFile, WeightFile, blueprint_of
from .directory import read_json
from .manifest import read_manifest
from .partial import Partial, lay_out, partials_directory
from .safetensors import StoredTensor, copy_prefixed, read_header, read_header_bytes
from .variant import ADAPTER_CONFIG, ADAPTER_PREFIX, ADAPTER_WEIGHTS, SETTING, Variant


def check_adapter(variant: Variant) -> None:
    """Check that the adapter is on this machine, if one is wanted.

    Raises:
        UnknownModel: there is no such directory. BrokenModel: it lacks a file.
    """
    if variant.adapter:
        _adapter_files(Path(_settled(variant).adapter))


def make_variant(files: ModelFiles, variant: Variant, cache_dir: Path) -> ModelFiles:
    """Make the directory of a variant of a whole model, unless it is there; the model's own stays as it is.

    Raises:
        UnknownModel: there is no such adapter. BrokenModel: it is not in mlx-lm's format, or only some of
            the model is here. OSError: the disk does not take it.
    """
    if variant.is_plain:
        return files
    variant = _settled(variant)
    if read_manifest(files.path) is not None:
        raise BrokenModel(
            f"{files.path} holds only some of {files.name}: give its repository's name, not the directory"
        )
    models = cache_dir / "models"
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".variant-", dir=models) as temporary:
        made = Path(temporary) / "model"
        made.mkdir()
        own = _own_files(variant, files.path, made)
        linked = {
            file.name: file.resolve()
            for file in sorted(files.path.iterdir())
            if file.is_file() and file.name not in (*own, ADAPTER_CONFIG, ADAPTER_WEIGHTS)
        }
        for name, target in linked.items():
            (made / name).symlink_to(target)
        directory = models / f"variant-{_digest(own, linked)}"
        if not directory.is_dir():
            try:
                made.rename(directory)
            except OSError:
                # Another process was quicker; its directory is the same.
                if not directory.is_dir():
                    raise
    return ModelFiles(*_called(files, variant), directory)


def make_partial_variant(base: Partial, variant: Variant, cache_dir: Path) -> ModelFiles:
    """Lay out a variant of a model that is partly here; what is here of it is copied.

    Raises:
        UnknownModel, BrokenModel: as `make_variant`. DiskFull: no room for the copies.
    """
    partials, variant = partials_directory(cache_dir), _settled(variant)
    with tempfile.TemporaryDirectory(prefix=".variant-", dir=partials) as temporary:
        made = Path(temporary)
        own = _own_files(variant, base.files.path, made)
        blueprint = _changed(blueprint_of(base.files, None), own)
        name, source = _called(base.files, variant)
        partial = lay_out(blueprint, partials / blueprint.fingerprint, name, source)
        given = {tensor: _Given(stored, base.sha256_of(tensor)) for tensor, stored in base.tensors.items()}
        here = {tensor: each for tensor, each in given.items() if base.has(tensor)}
        if ADAPTER_WEIGHTS in own:
            here |= {tensor.name: _Given(tensor) for tensor in read_header(own[ADAPTER_WEIGHTS])}
        _copy(here, partial)
    return partial.files


@dataclass(frozen=True, slots=True)
class _Given:
    """A tensor on this disk, and what it hashes to where that is known."""

    stored: StoredTensor
    sha256: str | None = None


def _copy(given: dict[str, _Given], partial: Partial) -> None:
    pieces = partial.missing(given)
    if not pieces:
        return
    partial.require_room(given)
    with partial.filling(lambda: True) as filling:
        for piece in pieces:
            stored = given[piece.tensor].stored
            with stored.file.open("rb") as stream:
                stream.seek(stored.offset + piece.offset - partial.tensors[piece.tensor].offset)
                filling.write(piece, stream.read(piece.size_bytes))
        for name in {piece.tensor for piece in pieces}:
            filling.finish(name, given[name].sha256, str(given[name].stored.file))


def _settled(variant: Variant) -> Variant:
    """The same with its adapter's whole path, since a relative one means something else elsewhere."""
    path = os.path.abspath(os.path.expanduser(variant.adapter.removeprefix("dir:")))
    return replace(variant, adapter=path) if variant.adapter else variant


def _called(files: ModelFiles, variant: Variant) -> tuple[str, str]:
    """Name and source of a variant."""
    return files.name + variant.suffix, f"{files.source}?{variant}"


def _own_files(variant: Variant, model: Path, directory: Path) -> dict[str, Path]:
    """Write into `directory` what a variant has of its own; return it by name."""
    # Where the adapter lies is this machine's affair.
    said = {**asdict(variant), "adapter": Path(variant.adapter).name}
    config = {**read_json(model / "config.json"), SETTING: said}
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    names = ["config.json"]
    if variant.adapter:
        adapter = _adapter_files(Path(variant.adapter))
        # Copied: a training run goes on to write over them.
        (directory / ADAPTER_CONFIG).write_bytes(adapter[ADAPTER_CONFIG].read_bytes())
        copy_prefixed(adapter[ADAPTER_WEIGHTS], directory / ADAPTER_WEIGHTS, ADAPTER_PREFIX)
        names += [ADAPTER_CONFIG, ADAPTER_WEIGHTS]
    return {name: directory / name for name in names}


def _adapter_files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        raise UnknownModel(
            f"there is no adapter {path}: give the directory that mlx_lm.lora has written, with "
            f"{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}"
        )
    found = {name: path / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)}
    for name, file in found.items():
        if not file.is_file():
            raise BrokenModel(f"{path}: {name} is missing: an adapter of mlx-lm has it")
    return found


def _changed(blueprint: Blueprint, own: dict[str, Path]) -> Blueprint:
    """The blueprint of a variant of a model, which has these files of its own."""
    small = {file.name: file for file in blueprint.small_files}
    weights = [weight for weight in blueprint.weight_files if weight.name != ADAPTER_WEIGHTS]
    for name, file in own.items():
        if name == ADAPTER_WEIGHTS:
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            weights.append(WeightFile(name, file.stat().st_size, sha256, read_header_bytes(file)))
        else:
            small[name] = SmallFile(name, file.read_bytes())
    return Blueprint(tuple(small[name] for name in sorted(small)), tuple(weights))


def _digest(own: dict[str, Path], linked: dict[str, Path]) -> str:
    """32 hex digits over what a variant has of its own, and what it links to."""
    digest = hashlib.sha256()
    for name, file in own.items():
        with file.open("rb") as stream:
            digest.update(f"{name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    for name, target in linked.items():
        digest.update(f"{name} ".encode() + os.fsencode(target) + b"\n")
    return digest.hexdigest()[:32]
