"""What a layer is given, by its parameters' names, and how values beside the hidden state cross a cut."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import mlx.core as mx

from meshinfer.errors import StageFailed

from .families import Family

Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

HIDDEN = "hidden"
"""What a hidden state is called where it crosses a cut."""

ELSEWHERE = object()
"""What stands for a value that a layer of another peer would have made."""


class Parameters:
    """The parameters of one class of layers; the one that takes the hidden state is called HIDDEN here."""

    def __init__(self, layer_class: Any, family: Family) -> None:
        # The first one is the layer itself.
        self._names = list(inspect.signature(layer_class.__call__).parameters)[1:]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._places[HIDDEN] = self._places.get(family.hidden, 0)

    def read(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What a call gives for a parameter; None where it gives nothing."""
        place = self._places.get(name, len(args))
        return args[place] if place < len(args) else kwargs.get(self._name_of(name))

    def replaced(self, values: Mapping[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """A call's arguments with other values for some parameters."""
        positional, named = list(args), dict(kwargs)
        for name, value in values.items():
            place = self._places[name]
            if place < len(positional):
                positional[place] = value
            else:
                named[self._name_of(name)] = value
        return tuple(positional), named

    def others(self, names: Iterable[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """What a call gives beside the hidden state and the parameters of these names."""
        known = {HIDDEN, self._name_of(HIDDEN), *names}
        given = {**dict(zip(self._names, args, strict=False)), **kwargs}
        return [value for name, value in given.items() if name not in known]

    def _name_of(self, name: str) -> str:
        return self._names[self._places[HIDDEN]] if name == HIDDEN else name


def sides_of(
    names: Iterable[str], parameters: Parameters, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """What a call of a layer gives for some parameters, in their order."""
    return {name: parameters.read(name, args, kwargs) for name in names}


def returned(hidden: Any, given: Mapping[str, Any], family: Family, instead: Any) -> Any:
    """What a layer returns that hands on its input: what it was `given`, or `instead`, for side values."""
    if not family.side_outputs:
        return hidden
    carried = [instead if value is None else value for value in given.values()]
    return (hidden, *carried, *[instead] * (family.side_outputs - len(carried)))


def packed(name: str, value: Any) -> dict[str, Any]:
    """The arrays (rows, tokens, …) that stand for a value where it crosses a cut; none for nothing."""
    if isinstance(value, mx.array):
        return {name: owned(value)}
    if isinstance(value, list | tuple):
        return {f"{name}.{place}": owned(part) for place, part in enumerate(value)}
    if gathers(value) and value.raw is not None:
        # They lie there as (states, rows, tokens, size).
        return {name: owned(mx.moveaxis(value.raw, 0, 2))}
    return {}


def owned(array: Any) -> Any:
    """The same numbers, contiguous, in memory of their own.

    What only passes through a shard lies where it was received, and that is overwritten by the next step.
    """
    return mx.contiguous(array * 1)


def unpacked(name: str, given: Any, arrays: Mapping[str, Any]) -> Any:
    """The value that some arrays stand for; `given`: what other peers' layers handed on instead.

    Raises:
        StageFailed: its arrays are not there.
    """
    if gathers(given):
        if name not in arrays:
            raise StageFailed(f"{name} did not come with the hidden state")
        for place in range(arrays[name].shape[2]):
            given.append(arrays[name][:, :, place])
        return given
    if name in arrays:
        return arrays[name]
    parts = [array for key, array in sorted(arrays.items()) if key.startswith(f"{name}.")]
    return tuple(parts) if parts else None


def gathers(value: Any) -> bool:
    """Whether a value is an object to which layers append hidden states of theirs."""
    return hasattr(value, "raw") and hasattr(value, "append")
