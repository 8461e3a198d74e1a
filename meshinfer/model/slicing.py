"""Cutting any mlx-lm model to a range of its layers, without code for each architecture.

mlx is lazy: what is never evaluated is never loaded nor computed. So a shard is the whole model, in which
the layers of other peers hand on their input untouched. The first local layer ignores what the others
"computed" and takes the hidden state that came over the wire; what the first layer behind the local ones is
given is caught. Where layers share more than the hidden state, that crosses the cut with it (see `Family`).
Embeddings, norm and head are built as ever and evaluated only where somebody asks for their result.
Objects, attributes and absolute layer indexes stay, so the model's own mask and cache logic stays right.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from meshinfer.errors import StageFailed

from .families import PLAIN, Family
from .sides import ELSEWHERE, HIDDEN, Arguments, Parameters, owned, packed, returned, sides_of, unpacked

_WHOLE = "_meshinfer_whole"


@dataclass(slots=True)
class Cut:
    """Both ends of a sliced model, for the duration of one call of it.

    incoming: what enters the first local layer, by name, (rows, tokens, …) each: `hidden`, and what else its
        family has cross a cut; empty at the head.
    outgoing: the same for the first layer behind the local ones; empty at the tail.
    is_trimmed: let only the last token's hidden state go on to norm and head.
    """

    incoming: dict[str, Any] = field(default_factory=dict)
    outgoing: dict[str, Any] = field(default_factory=dict)
    is_trimmed: bool = False

    def clear(self) -> None:
        """Let go of all arrays."""
        self.incoming, self.outgoing = {}, {}


def slice_model(model: Any, layers: range, family: Family = PLAIN, lead: int = 0) -> Cut:
    """Make `model` compute only `layers`, for good; return where hidden states go in and come out.

    lead: as in its anatomy. A whole model (all layers) is left as it is, and its Cut is never used.
    """
    everything = list(model.layers)
    slicing = _Slicing(layers, len(everything), family, lead)
    if len(layers) < len(everything):
        for index, layer in enumerate(everything):
            layer.__class__ = slicing.class_of(index, type(layer))
    return slicing.cut


@contextmanager
def recut(model: Any, layers: range, family: Family = PLAIN, lead: int = 0) -> Iterator[Cut]:
    """Make a model compute only `layers` for a while, whatever it was sliced to before."""
    everything = list(model.layers)
    slicing = _Slicing(layers, len(everything), family, lead)
    with disguised([(layer, slicing.class_of(i, _whole_class(layer))) for i, layer in enumerate(everything)]):
        yield slicing.cut


@contextmanager
def disguised(disguises: list[tuple[Any, type]]) -> Iterator[None]:
    """Give modules other classes for a while; what a call of them keeps in them is forgotten again."""
    originals = [(module, type(module), dict(module), dict(vars(module))) for module, _ in disguises]
    for module, disguise in disguises:
        module.__class__ = disguise
    try:
        yield
    finally:
        for module, original, items, attributes in originals:
            module.__class__ = original
            for found, before in ((module, items), (vars(module), attributes)):
                dict.clear(found)
                dict.update(found, before)


class _Slicing:
    """What the layers of one sliced model do, by the class that each is given."""

    def __init__(self, layers: range, layer_count: int, family: Family, lead: int) -> None:
        self.cut = Cut()
        self._layers = layers
        self._layer_count = layer_count
        self._family = family
        self._lead = lead
        self._later: dict[str, list[Any]] = {}

    def class_of(self, index: int, base: Any) -> type:
        """The class of layer `index` instead of `base`; `base` itself where nothing is to be changed."""
        layers, parameters = self._layers, Parameters(base, self._family)
        if index not in layers:
            return _sliced(base, self._inert(index, parameters))
        is_last = index == self._layer_count - 1
        is_changed = index == layers[0] or bool(self._family.carried_each or self._family.carried_on)
        if layers[0] != 0 and is_changed:
            return _sliced(base, self._entered(index, base, parameters, is_last))
        return _sliced(base, self._trimmed(base)) if is_last else base

    def _inert(self, index: int, parameters: Parameters) -> Callable[..., Any]:
        """A layer of another peer: hands on its input, and catches it if it comes behind the local ones."""

        def call(_: Any, *args: Any, **kwargs: Any) -> Any:
            if index >= self._layers.stop:
                self._catch(index, parameters, args, kwargs)
            given = sides_of(self._family.carried, parameters, args, kwargs)
            return returned(parameters.read(HIDDEN, args, kwargs), given, self._family, ELSEWHERE)

        return call

    def _entered(self, index: int, base: Any, parameters: Parameters, is_last: bool) -> Callable[..., Any]:
        """A local layer that takes some of its input from what came over the wire."""

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = self._injected(index, parameters, args, kwargs)
            made = base.__call__(layer, *args, **kwargs)
            return self._last_token(made) if is_last else made

        return call

    def _trimmed(self, base: Any) -> Callable[..., Any]:
        """The model's last layer."""

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            return self._last_token(base.__call__(layer, *args, **kwargs))

        return call

    def _injected(
        self, index: int, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments:
        """A layer's arguments, those from other peers' layers replaced."""
        values = {
            name: None if given is None else self._each(name, index)
            for name, given in sides_of(self._family.carried_each, parameters, args, kwargs).items()
        }
        for name in self._family.carried_on:
            values[name] = self._came(name)
        if index == self._layers[0]:
            for name, given in sides_of(self._family.carried, parameters, args, kwargs).items():
                values[name] = None if given is None else unpacked(name, given, self.cut.incoming)
            for name, given in sides_of(self._family.remade, parameters, args, kwargs).items():
                values[name] = None if given is ELSEWHERE else given
            values[HIDDEN] = self._hidden_in(parameters.read(HIDDEN, args, kwargs))
        return parameters.replaced(values, args, kwargs) if values else (args, kwargs)

    def _hidden_in(self, expected: Any) -> Any:
        """The hidden state that came over the wire, in the shape of the model's own."""
        lead = self._lead
        incoming = self.cut.incoming.get(HIDDEN)
        order = (*range(2, 2 + lead), 0, 1, *range(2 + lead, expected.ndim))
        if lead and incoming is not None and incoming.ndim == expected.ndim:
            incoming = incoming.transpose(order)
        if incoming is None or incoming.shape != expected.shape:
            found = None if incoming is None else tuple(incoming.shape)
            raise StageFailed(f"the hidden state has shape {found}, expected {tuple(expected.shape)}")
        return incoming

    def _each(self, name: str, index: int) -> Any:
        """What came over the wire for one layer."""
        return self._came(name)[:, :, index - self._layers.start]

    def _came(self, name: str) -> Any:
        """What came over the wire by this name."""
        if name not in self.cut.incoming:
            raise StageFailed(f"{name} did not come with the hidden state")
        return self.cut.incoming[name]

    def _catch(
        self, index: int, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Keep what crosses the cut behind the local layers."""
        if index == self._layers.stop:
            self._later = {}
            self.cut.outgoing = {HIDDEN: self._hidden_out(parameters.read(HIDDEN, args, kwargs))}
            for name, given in sides_of(self._family.carried, parameters, args, kwargs).items():
                self.cut.outgoing |= packed(name, given)
            for name, given in sides_of(self._family.carried_on, parameters, args, kwargs).items():
                self.cut.outgoing[name] = owned(given if self._layers.start == 0 else self._came(name))
        for name, given in sides_of(self._family.carried_each, parameters, args, kwargs).items():
            if given is not None:
                one = given if self._layers.start == 0 else self._each(name, index)
                self._later.setdefault(name, []).append(one)
        if index == self._layer_count - 1:
            self.cut.outgoing |= {name: owned(mx.stack(each, axis=2)) for name, each in self._later.items()}
            self._later = {}

    def _hidden_out(self, hidden: Any) -> Any:
        """A hidden state with rows and tokens first; what the model does to its own does not touch it."""
        lead = self._lead
        if lead:
            order = (lead, lead + 1, *range(lead), *range(lead + 2, hidden.ndim))
            hidden = hidden.transpose(order)
        return mx.contiguous(hidden)

    def _last_token(self, made: Any) -> Any:
        """What the last layer made, for the last token only where that is enough."""
        # What is carried goes on to norm and head too, and for all tokens.
        if not self.cut.is_trimmed or self._family.carried:
            return made
        hidden, *sides = made if isinstance(made, tuple) else (made,)
        everything = (slice(None),) * (self._lead + 1)
        hidden = hidden[(*everything, slice(-1, None))]
        return (hidden, *sides) if isinstance(made, tuple) else hidden


def _sliced(base: type, call: Callable[..., Any]) -> type:
    return type(base.__name__, (base,), {"__call__": call, _WHOLE: base})


def _whole_class(layer: Any) -> type:
    """A layer's class as mlx-lm wrote it."""
    whole: type = getattr(type(layer), _WHOLE, type(layer))
    return whole
