"""A look at one lazy run of a model: how it goes through its layers, and where it can be cut."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import CacheList, make_prompt_cache

from meshinfer.errors import UnsupportedModel

from .cache import advance
from .families import PLAIN, Family
from .sides import HIDDEN, Parameters, gathers, returned, sides_of
from .slicing import disguised

# Enough to tell a hidden state (1, tokens, hidden) from a mask by its shape.
_SURVEY_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a look at one lazy run of a model shows.

    layer_paths: each layer's path among the model's modules, such as `model.layers.0`.
    layer_caches: which entries of the prompt cache each layer is given. What none is given counts as the
        first one's, since what stands before the layers uses it.
    cuts: layer indexes before which the model can be cut: there the hidden state goes from one layer to
        the next as it is, and nothing else does but what its family has cross a cut.
    lead: how many dimensions of the hidden state stand before rows and tokens; they cross a cut behind these.
    width: the dimensions of one token's hidden state as it crosses a cut, mostly (hidden size,).
    early, between, late: paths of modules outside the layers whose weights are read before the first
        layer, between layers, and after the last.
    """

    layer_paths: tuple[str, ...]
    layer_caches: tuple[frozenset[int], ...]
    cuts: frozenset[int]
    lead: int
    width: tuple[int, ...]
    early: frozenset[str]
    between: frozenset[str]
    late: frozenset[str]

    def caches_of(self, layers: Iterable[int]) -> frozenset[int]:
        """Which entries of the prompt cache some layers use."""
        return frozenset[int]().union(*(self.layer_caches[layer] for layer in layers))


def survey(model: Any, family: Family = PLAIN) -> Anatomy:
    """Run a model once, lazily and with inert layers, and note how it uses layers, caches and weights.

    Raises:
        UnsupportedModel: it does not walk through its layers one by one.
    """
    layers = list(model.layers)
    caches = make_prompt_cache(model)
    notes = _Notes(len(layers), caches, _cache_indexes(caches), family)
    paths = {id(module): path for path, module in model.named_modules()}
    layer_paths = tuple(paths[id(layer)] for layer in layers)
    outside = [
        (path, module) for path, module in model.named_modules() if not _is_inside_any(path, layer_paths)
    ]
    disguises = [(module, _watched(type(module), path, notes)) for path, module in outside]
    disguises += [(layer, _inspected(type(layer), index, notes)) for index, layer in enumerate(layers)]
    with disguised(disguises):
        try:
            model(mx.zeros((1, _SURVEY_TOKENS), mx.int32), cache=caches)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            raise UnsupportedModel(
                f"{type(model).__module__}: its layers do more than hand on a hidden state, so it cannot be "
                f"spread over several peers: {error}"
            ) from error
    return notes.anatomy(layer_paths)


def owned_modules(anatomy: Anatomy, layers: range) -> frozenset[str]:
    """Paths of the modules outside the layers whose weights a shard of `layers` needs."""
    owned = anatomy.between
    if layers.start == 0:
        owned |= anatomy.early
    if layers.stop == len(anatomy.layer_paths):
        owned |= anatomy.late
    return owned


@dataclass(frozen=True, slots=True)
class _Made:
    """Stands for a value beside the hidden state that a layer made."""

    layer: int


@dataclass(slots=True)
class _Notes:
    """What the disguised modules of one survey saw."""

    layer_count: int
    entries: list[Any]
    cache_indexes: dict[int, int]
    family: Family
    called: list[int] = field(default_factory=list)
    caches: list[frozenset[int]] = field(default_factory=list)
    cuts: set[int] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    between: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    last_hidden: Any = None

    def layer(self, index: int, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a call of layer `index`; return what it is to return."""
        hidden = parameters.read(HIDDEN, args, kwargs)
        given = sides_of(self.family.carried, parameters, args, kwargs)
        self._note_cuts(index, parameters, args, kwargs)
        self.called.append(index)
        self.caches.append(frozenset(self._caches_among([*args, *kwargs.values()])))
        # Some models look at a cache that a layer has written, or at what layers gathered.
        for entry in self.caches[-1]:
            advance(self.entries[entry], 1, _SURVEY_TOKENS)
        for value in given.values():
            if gathers(value) and value.raw is None:
                value.append(hidden)
        self.last_hidden = hidden
        return returned(hidden, given, self.family, _Made(index))

    def _note_cuts(
        self, index: int, parameters: Parameters, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Note whether the model can be cut before a layer, and between which others it cannot."""
        family, hidden = self.family, parameters.read(HIDDEN, args, kwargs)
        sides = (*family.carried, *family.carried_each, *family.carried_on, *family.remade)
        others = parameters.others(sides, args, kwargs)
        looks_like_one = any(isinstance(other, mx.array) and other.shape == hidden.shape for other in others)
        if hidden is self.last_hidden and not looks_like_one:
            self.cuts.add(index)
        for other in others:
            if isinstance(other, _Made):
                self.cuts.difference_update(range(other.layer + 1, index + 1))

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
        lead, shape = _lead_of(self.last_hidden), self.last_hidden.shape
        return Anatomy(
            layer_paths,
            (self.caches[0] | elsewhere, *self.caches[1:]),
            frozenset(cut for cut in self.cuts if not self._shares_a_cache(cut)),
            lead,
            (*shape[:lead], *shape[lead + 2 :]),
            frozenset(self.early),
            frozenset(self.between),
            frozenset(self.late),
        )

    def _shares_a_cache(self, cut: int) -> bool:
        """Whether layers on both sides of a cut use the same cache."""
        before, behind = (frozenset[int]().union(*part) for part in (self.caches[:cut], self.caches[cut:]))
        return not before.isdisjoint(behind)

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


def _lead_of(hidden: Any) -> int:
    """How many dimensions stand before the rows and tokens of a survey's hidden state."""
    places = [place for place in range(hidden.ndim) if hidden.shape[place : place + 2] == (1, _SURVEY_TOKENS)]
    if not places:
        raise UnsupportedModel(f"its hidden state has shape {tuple(hidden.shape)}, without rows and tokens")
    return places[0]


def _is_inside_any(path: str, layer_paths: tuple[str, ...]) -> bool:
    return any(path == layer or path.startswith(layer + ".") for layer in layer_paths)


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
    parameters = Parameters(base, notes.family)

    def call(_: Any, *args: Any, **kwargs: Any) -> Any:
        return notes.layer(index, parameters, args, kwargs)

    return type(base.__name__, (base,), {"__call__": call})
