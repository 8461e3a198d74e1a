"""Cutting any mlx-lm model to a range of its layers, without code for each architecture.

mlx is lazy: what is never evaluated is never loaded nor computed. So a shard is the whole model, in which
the layers of other peers hand on their input untouched. The first local layer ignores what the others
"computed" and takes the hidden state that came over the wire; what the last local layer makes is caught.
Embeddings, norm and head are built as ever and evaluated only where somebody asks for their result.
Objects, attributes and absolute layer indexes stay, so the model's own mask and cache logic stays right.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import CacheList, make_prompt_cache

from meshinfer.errors import StageFailed, UnsupportedModel

from .families import PLAIN, Family

# Enough to tell a hidden state (1, tokens, hidden) from a mask by its shape.
_SURVEY_TOKENS = 3

_WHOLE = "_meshinfer_whole"


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a look at one lazy run of a model shows.

    layer_paths: each layer's path among the model's modules, such as `model.layers.0`.
    layer_caches: which entries of the prompt cache each layer is given. What none is given counts as the
        first one's, since what stands before the layers uses it.
    cuts: layer indexes before which the model can be cut: there the hidden state goes from one layer to
        the next as it is, and nothing else does.
    hidden_size: the last dimension of the hidden state, (1, tokens, hidden_size).
    early, between, late: paths of modules outside the layers whose weights are read before the first
        layer, between layers, and after the last.
    """

    layer_paths: tuple[str, ...]
    layer_caches: tuple[frozenset[int], ...]
    cuts: frozenset[int]
    hidden_size: int
    early: frozenset[str]
    between: frozenset[str]
    late: frozenset[str]


@dataclass(slots=True)
class Cut:
    """Both ends of a sliced model, for the duration of one call of it.

    incoming: the hidden state that enters the first local layer; None at the head.
    outgoing: what the last local layer made, as a handle of its own.
    is_trimmed: let only the last token's hidden state go on to norm and head.
    """

    incoming: Any = None
    outgoing: Any = None
    is_trimmed: bool = False


def survey(model: Any, family: Family = PLAIN) -> Anatomy:
    """Run a model once, lazily and with inert layers, and note how it uses layers, caches and weights.

    Raises:
        UnsupportedModel: it does not walk through its layers one by one.
    """
    layers = list(model.layers)
    caches = make_prompt_cache(model)
    notes = _Notes(len(layers), _cache_indexes(caches), family)
    paths = {id(module): path for path, module in model.named_modules()}
    layer_paths = tuple(paths[id(layer)] for layer in layers)
    outside = [
        (path, module) for path, module in model.named_modules() if not _is_inside_any(path, layer_paths)
    ]
    disguises = [(module, _watched(type(module), path, notes)) for path, module in outside]
    disguises += [(layer, _inspected(type(layer), index, notes)) for index, layer in enumerate(layers)]
    with _disguised(disguises):
        try:
            model(mx.zeros((1, _SURVEY_TOKENS), mx.int32), cache=caches)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            raise UnsupportedModel(
                f"{type(model).__module__}: its layers do more than hand on a hidden state, so it cannot be "
                f"spread over several peers: {error}"
            ) from error
    return notes.anatomy(layer_paths)


def slice_model(model: Any, layers: range, family: Family = PLAIN) -> Cut:
    """Make `model` compute only `layers`, for good; return where hidden states go in and come out.

    A whole model (all layers) is left as it is, and its Cut is never used.
    """
    cut = Cut()
    everything = list(model.layers)
    if len(layers) == len(everything):
        return cut
    for index, layer in enumerate(everything):
        if index not in layers:
            layer.__class__ = _inert(type(layer), family)
        elif index in (layers[0], layers[-1]):
            layer.__class__ = _bordering(type(layer), index, layers, len(everything), cut)
    return cut


@contextmanager
def recut(model: Any, layers: range, family: Family = PLAIN) -> Iterator[Cut]:
    """Make a model compute only `layers` for a while, whatever it was sliced to before."""
    cut = Cut()
    everything = list(model.layers)

    def disguise(index: int, base: type) -> type:
        if index not in layers:
            return _inert(base, family)
        is_border = index in (layers[0], layers[-1])
        return _bordering(base, index, layers, len(everything), cut) if is_border else base

    with _disguised([(layer, disguise(i, _whole_class(layer))) for i, layer in enumerate(everything)]):
        yield cut


def owned_modules(anatomy: Anatomy, layers: range) -> frozenset[str]:
    """Paths of the modules outside the layers whose weights a shard of `layers` needs."""
    owned = anatomy.between
    if layers.start == 0:
        owned |= anatomy.early
    if layers.stop == len(anatomy.layer_paths):
        owned |= anatomy.late
    return owned


@dataclass(slots=True)
class _Notes:
    """What the disguised modules of one survey saw."""

    layer_count: int
    cache_indexes: dict[int, int]
    family: Family
    called: list[int] = field(default_factory=list)
    caches: list[frozenset[int]] = field(default_factory=list)
    cuts: set[int] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    between: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    last_hidden: Any = None

    def layer(self, index: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a call of layer `index`; return what it is to return."""
        hidden = _hidden_of(args, kwargs)
        if hidden is self.last_hidden and not _has_side_input(hidden, args, kwargs):
            self.cuts.add(index)
        self.called.append(index)
        self.caches.append(frozenset(self._caches_among([*args, *kwargs.values()])))
        self.last_hidden = hidden
        return _with_sides(hidden, self.family)

    def weights_of(self, path: str) -> None:
        """Note that weights of a module outside the layers are read now."""
        if not self.called:
            self.early.add(path)
        elif len(self.called) < self.layer_count:
            self.between.add(path)
        else:
            self.late.add(path)

    def anatomy(self, layer_paths: tuple[str, ...]) -> Anatomy:
        """Sum up.

        Raises:
            UnsupportedModel: the layers were not called once each, in order.
        """
        if self.called != list(range(self.layer_count)):
            raise UnsupportedModel(
                "the model does not run through its layers once, in order, so it cannot be spread over "
                f"several peers: {self.layer_count} layers, called {self.called[:200]}"
            )
        elsewhere = frozenset(self.cache_indexes.values()).difference(*self.caches)
        return Anatomy(
            layer_paths,
            (self.caches[0] | elsewhere, *self.caches[1:]),
            frozenset(self.cuts),
            int(self.last_hidden.shape[-1]),
            frozenset(self.early),
            frozenset(self.between),
            frozenset(self.late),
        )

    def _caches_among(self, values: Sequence[Any]) -> Iterator[int]:
        for value in values:
            if id(value) in self.cache_indexes:
                yield self.cache_indexes[id(value)]
            elif isinstance(value, list | tuple):
                yield from self._caches_among(value)


def _cache_indexes(caches: Sequence[Any]) -> dict[int, int]:
    """Which entry of the prompt cache an object is, or is part of, by `id`."""
    indexes: dict[int, int] = {}
    for index, entry in enumerate(caches):
        if entry is not None:
            indexes[id(entry)] = index
        if isinstance(entry, CacheList):
            indexes.update((id(part), index) for part in entry.caches)
    return indexes


def _hidden_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A layer's hidden state: mlx-lm passes it first, by position or (rarely) by name."""
    return args[0] if args else next(iter(kwargs.values()))


def _has_side_input(hidden: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a layer is given something else that looks like a hidden state."""
    others = [value for value in (*args, *kwargs.values()) if isinstance(value, mx.array)][1:]
    return any(other.shape == hidden.shape for other in others)


def _with_sides(hidden: Any, family: Family) -> Any:
    return (hidden, *[None] * family.side_outputs) if family.side_outputs else hidden


def _is_inside_any(path: str, layer_paths: tuple[str, ...]) -> bool:
    return any(path == layer or path.startswith(layer + ".") for layer in layer_paths)


@contextmanager
def _disguised(disguises: list[tuple[Any, type]]) -> Iterator[None]:
    """Give modules other classes for a while."""
    originals = [(module, type(module)) for module, _ in disguises]
    for module, disguise in disguises:
        module.__class__ = disguise
    try:
        yield
    finally:
        for module, original in originals:
            module.__class__ = original


def _watched(base: Any, path: str, notes: _Notes) -> type:
    """A class like `base` that notes when a weight of its module is read."""

    def note(value: Any) -> Any:
        if isinstance(value, mx.array):
            notes.weights_of(path)
        return value

    def read_attribute(self: Any, key: str) -> Any:
        return note(base.__getattr__(self, key))

    def read_item(self: Any, key: str) -> Any:
        return note(base.__getitem__(self, key))

    return type(base.__name__, (base,), {"__getattr__": read_attribute, "__getitem__": read_item})


def _inspected(base: type, index: int, notes: _Notes) -> type:
    def call(_: Any, *args: Any, **kwargs: Any) -> Any:
        return notes.layer(index, args, kwargs)

    return type(base.__name__, (base,), {"__call__": call})


def _inert(base: type, family: Family) -> type:
    """A layer of another peer: hands on its input."""

    def call(_: Any, *args: Any, **kwargs: Any) -> Any:
        return _with_sides(_hidden_of(args, kwargs), family)

    return _sliced(base, call)


def _bordering(base: Any, index: int, layers: range, layer_count: int, cut: Cut) -> type:
    """The first or the last local layer, or both in one."""
    is_entry = index == layers[0] and index != 0
    is_exit = index == layers[-1]
    is_last = index == layer_count - 1

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_entry:
            args, kwargs = _injected(cut.incoming, args, kwargs)
        made = base.__call__(self, *args, **kwargs)
        if is_exit:
            made = _caught(made, cut, is_last)
        return made

    return _sliced(base, call)


def _sliced(base: type, call: Callable[..., Any]) -> type:
    return type(base.__name__, (base,), {"__call__": call, _WHOLE: base})


def _whole_class(layer: Any) -> type:
    """A layer's class as mlx-lm wrote it."""
    whole: type = getattr(type(layer), _WHOLE, type(layer))
    return whole


def _injected(
    incoming: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A layer's arguments with the hidden state replaced by the one that came over the wire."""
    expected = _hidden_of(args, kwargs)
    if incoming is None or incoming.shape != expected.shape:
        found = None if incoming is None else tuple(incoming.shape)
        raise StageFailed(f"the hidden state has shape {found}, expected {tuple(expected.shape)}")
    if args:
        return (incoming, *args[1:]), kwargs
    return args, {**kwargs, next(iter(kwargs)): incoming}


def _caught(made: Any, cut: Cut, is_last: bool) -> Any:
    """Keep a handle of the hidden state; what the model does to its own afterwards does not touch it."""
    hidden, *sides = made if isinstance(made, tuple) else (made,)
    cut.outgoing = mx.contiguous(hidden)
    if is_last and cut.is_trimmed:
        hidden = hidden[:, -1:]
    return (hidden, *sides) if isinstance(made, tuple) else hidden
