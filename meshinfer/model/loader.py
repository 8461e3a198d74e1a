"""Loading one range of a model's layers: lazily built whole, evaluated and checked where it is local."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes, load_config, load_model

from meshinfer.errors import BrokenModel

from .adapters import add_adapter
from .anatomy import Anatomy, owned_modules, survey
from .base import ModelCard, ModelFiles, Progress
from .casting import cast
from .families import Family, allowed_cuts, check_cuts, family_of
from .foreign_code import needs_code, unknown_type
from .guard import Guard, poison
from .safetensors import read_header
from .settings import text_settings
from .variant import read_variant

# What mlx and mlx-lm raise for files and settings that do not fit together.
_MISFITS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    OSError,
)

T = TypeVar("T")

# Frames of another plan are computed between two pieces: a plain SSD reads one in some 30 ms.
_PIECE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A whole mlx-lm model of which only the local weights are in memory.

    anatomy: None when all layers are local.
    weights: the local weights by name, evaluated.
    kv_bits: of what its KV caches are to keep; 0 for floats.
    """

    model: Any
    family: Family
    anatomy: Anatomy | None
    weights: dict[str, Any]
    kv_bits: int = 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of the local weights."""
        return sum(weight.nbytes for weight in self.weights.values())


def load_shard_model(
    files: ModelFiles,
    card: ModelCard,
    layers: range,
    *,
    kept: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Load a model's layers at once, as `load_in_pieces` does."""
    return finished(load_in_pieces(files, card, layers, kept=kept, progress=progress))


def finished(steps: Generator[None, None, T]) -> T:
    """Take all steps; return what comes of them."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


def load_in_pieces(
    files: ModelFiles,
    card: ModelCard,
    layers: range,
    *,
    kept: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Generator[None, None, LoadedModel]:
    """Load a model's layers `layers`, and what the head or the tail needs besides if they are the ends.

    Yields after each piece, so that other work may go between; call it on the compute thread. Files that
    hold other layers only may be absent, and so may other layers' tensors in a directory that says so.
    kept: weights of the same model that are in memory already; those that are needed here are taken over,
        not loaded again.

    Raises:
        BrokenModel: a local tensor is missing, was not fetched, is torn, of another shape, or not part of the
            model; or its adapter is another model's.
        UnsupportedModel: mlx-lm does not know the architecture, it wants to run code of its own, or it
            cannot be cut like this.
    """
    _check_layers(files, card, layers)
    config = _read_config(files.path)
    variant = read_variant(config)
    for file in sorted(files.path.glob("model*.safetensors")):
        # mlx would say that a file is torn, and not which one.
        read_header(file)
    guard = Guard(files.path)
    guard.require(layers)
    model, stored = _build(files.path, config, guard)
    if variant.adapter:
        stored = add_adapter(model, files.path, stored, guard)
    architecture = type(model).__module__.rpartition(".")[2]
    family, settings = family_of(architecture), text_settings(config)
    check_cuts(architecture, allowed_cuts(architecture, settings, card.layer_count), layers, card.layer_count)
    if len(model.layers) != card.layer_count:
        raise BrokenModel(f"{files.path}: {len(model.layers)} layers are built, {card.layer_count} announced")
    is_whole = len(layers) == card.layer_count
    anatomy = None if is_whole else survey(model, family)
    if anatomy is not None:
        check_cuts(architecture, anatomy.cuts, layers, card.layer_count)
    wanted = _Wanted(anatomy, layers)
    expected = dict(tree_flatten(model.parameters()))
    taken = {name: weight for name, weight in (kept or {}).items() if name in expected}
    in_memory = {name: weight for name, weight in taken.items() if wanted.is_local(name)}
    stored |= in_memory
    # What is not needed must not stay in memory because of this load.
    del taken, kept
    _check_stored(files.path, wanted, expected, stored)
    doubtful = guard.doubtful(
        {name: stored[name] for name in expected if wanted.is_local(name) and name not in in_memory}
    )
    if variant.dtype:
        stored = cast(model, stored, variant.dtype) | in_memory
    weights = {name: stored[name] for name in expected if wanted.is_local(name)}
    del in_memory
    model.load_weights([*_elsewhere(wanted, expected, stored), *weights.items()], strict=False)
    # What was cast would stay in memory beside what came of it.
    stored.clear()
    for piece in _evaluate(files.path, wanted, weights, progress):
        guard.check_made((name, weights[name]) for name in piece if name in doubtful)
        yield
    return LoadedModel(model, family, anatomy, weights, variant.kv_bits)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which weights are local, by name; without an anatomy all are."""

    anatomy: Anatomy | None
    layers: range

    def layer_of(self, name: str) -> int | None:
        """The layer a weight belongs to; None outside the layers."""
        for index, path in enumerate(self.anatomy.layer_paths if self.anatomy else ()):
            if name.startswith(path + "."):
                return index
        return None

    def is_local(self, name: str) -> bool:
        """Whether this shard needs the weight."""
        if self.anatomy is None:
            return True
        layer = self.layer_of(name)
        if layer is not None:
            return layer in self.layers
        return name.rpartition(".")[0] in owned_modules(self.anatomy, self.layers)

    def group_of(self, name: str) -> str:
        """What to show while the weight is loaded."""
        parts = name.split(".")
        number = next((part for part in parts if part.isdecimal()), None)
        return "embeddings and head" if number is None else f"layer {number}"


def _check_layers(files: ModelFiles, card: ModelCard, layers: range) -> None:
    if layers.step != 1 or not 0 <= layers.start < layers.stop <= card.layer_count:
        raise ValueError(f"{files.name}: layers {layers} of a model of {card.layer_count} layers")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = load_config(path)
        config["model_type"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BrokenModel(
            f"{path / 'config.json'}: no readable config with a model_type: {error!r}"
        ) from error
    if config.get("model_file") is not None:
        raise needs_code(path, repr(config["model_file"]))
    try:
        _get_classes(config)
    except ValueError as error:
        raise unknown_type(path, config) from error
    return config


def _build(path: Path, config: dict[str, Any], guard: Guard) -> tuple[Any, dict[str, Any]]:
    """Build the model without weights; return it and what its files hold, lazily, under the model's names."""
    model_class: Any
    model_class, args_class = _get_classes(config)
    stored: dict[str, Any] = {}

    class Listening(model_class):  # type: ignore[misc]
        """The model, which notes the weights that mlx-lm would load instead of taking them."""

        def sanitize(self, weights: Any) -> Any:
            admitted = guard.admit(weights)
            return super().sanitize(admitted) if hasattr(model_class, "sanitize") else admitted

        def load_weights(self, file_or_weights: Any, strict: bool = True) -> Any:
            stored.update(file_or_weights)
            return self

    try:
        model, _ = load_model(
            path, lazy=True, strict=False, get_model_classes=lambda config: (Listening, args_class)
        )
    except KeyError as error:
        # Some ten families look at layer 0 to tell a raw checkpoint from a converted one.
        raise BrokenModel(
            f"{path}: mlx-lm misses {error} to build the model; where only some layers' files are there, "
            "use a model that mlx_lm.convert has written"
        ) from error
    except _MISFITS as error:
        raise BrokenModel(f"{path}: mlx-lm cannot build the model: {error!r}") from error
    model.__class__ = model_class
    found = dict(stored)
    # The class above holds on to it, in a cycle: nothing would go before the collector comes.
    stored.clear()
    return model, found


def _check_stored(
    path: Path, wanted: _Wanted, expected: Mapping[str, Any], stored: Mapping[str, Any]
) -> None:
    """Check that every local weight comes from the files; mlx-lm would leave random numbers."""
    for name, weight in expected.items():
        if not wanted.is_local(name):
            continue
        if name not in stored:
            raise BrokenModel(
                f"{path}: tensor {name} is missing from model*.safetensors; fetch the model again"
            )
        if stored[name].shape != weight.shape:
            raise BrokenModel(
                f"{path}: tensor {name} has shape {tuple(stored[name].shape)}, expected {tuple(weight.shape)}"
            )
    for name in stored:
        if name not in expected and wanted.layer_of(name) in (None, *wanted.layers):
            raise BrokenModel(f"{path}: tensor {name} is not part of the model that config.json describes")


def _elsewhere(
    wanted: _Wanted, expected: Mapping[str, Any], stored: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """What stands for weights outside the layers that only other peers need. They are never evaluated.

    Should a model use one here all the same, it is loaded, or poisons the result if its file is absent:
    mlx-lm's random numbers would look like an answer.
    """
    return [
        (name, stored.get(name, poison(weight)))
        for name, weight in expected.items()
        if not wanted.is_local(name) and wanted.layer_of(name) is None
    ]


def _evaluate(
    path: Path, wanted: _Wanted, weights: Mapping[str, Any], progress: Progress | None
) -> Iterator[list[str]]:
    """Load weights into memory, piece by piece, so that the peak stays near the sum; yields their names."""
    groups: dict[str, list[str]] = {}
    for name in weights:
        groups.setdefault(wanted.group_of(name), []).append(name)
    total_bytes = sum(weight.nbytes for weight in weights.values())
    done_bytes = 0
    for group, names in groups.items():
        for piece in _pieces(names, weights):
            try:
                mx.eval([weights[name] for name in piece])
            except RuntimeError as error:
                raise BrokenModel(f"{path}: {group} cannot be read: {error}") from error
            mx.clear_cache()
            done_bytes += sum(weights[name].nbytes for name in piece)
            if progress is not None:
                progress(group, done_bytes, total_bytes)
            yield piece


def _pieces(names: list[str], weights: Mapping[str, Any]) -> Iterator[list[str]]:
    """Cut a group into pieces of `_PIECE_BYTES`, or of a single larger weight."""
    piece: list[str] = []
    for name in names:
        if piece and sum(weights[held].nbytes for held in piece) + weights[name].nbytes > _PIECE_BYTES:
            yield piece
            piece = []
        piece.append(name)
    if piece:
        yield piece
