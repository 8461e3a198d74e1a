"""One way between two hosts of a network inside one process, through its weather and its gates."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from .gates import Gates, Step
from .weather import Weather


class Conditions(Protocol):
    """What a route asks of the network."""

    @property
    def gates(self) -> Gates:
        """What holds things back."""
        ...

    def weather_between(self, source: str, target: str) -> Weather:
        """Tell the weather from `source` to `target`."""
        ...

    def draw(self) -> float:
        """Draw from [0, 1) for whatever the weather decides."""
        ...


class MemoryRoute:
    """One way between two hosts, as one connection takes it, or all datagrams."""

    def __init__(self, network: Conditions, source: str, target: str) -> None:
        self.on_break: Callable[[], None] | None = None
        self._network = network
        self._gates = network.gates
        self._source = source
        self._target = target
        self._free_at_s = 0.0  # when the wire has put out what was handed over so far

    def carry(self, size_bytes: int, arrive: Step) -> None:
        """Call `arrive` when `size_bytes` of a stream have come from process to process."""
        enter = partial(self._gates.enter, self._target, arrive)
        self._gates.leave(self._source, partial(self.carry_by_kernel, size_bytes, enter))

    def carry_by_kernel(self, size_bytes: int, arrive: Step) -> None:
        """Call `arrive` when `size_bytes` have come from machine to machine, whatever the processes do."""
        weather = self._weather
        if self.on_break is not None and weather.break_chance and self._network.draw() < weather.break_chance:
            asyncio.get_running_loop().call_soon(self.on_break)
            return
        self._set_out(size_bytes, partial(self._gates.cross, self._source, self._target, arrive))

    def carry_datagram(self, size_bytes: int, arrive: Step) -> None:
        """Call `arrive` when a datagram has come from process to process: once, twice or never."""
        enter = partial(self._gates.enter, self._target, arrive, is_datagram=True)
        self._gates.leave(self._source, partial(self._cast, size_bytes, enter), is_datagram=True)

    @property
    def _weather(self) -> Weather:
        return self._network.weather_between(self._source, self._target)

    def _cast(self, size_bytes: int, arrive: Step) -> None:
        weather = self._weather
        if not self._gates.is_open(self._source, self._target):
            return
        if weather.loss and self._network.draw() < weather.loss:
            return
        is_doubled = bool(weather.duplicate) and self._network.draw() < weather.duplicate
        through = partial(self._gates.cross, self._source, self._target, arrive, is_datagram=True)
        for _ in range(1 + is_doubled):
            self._set_out(size_bytes, through)

    def _set_out(self, size_bytes: int, through: Step) -> None:
        """Call `through` when the weather of this moment has let `size_bytes` pass: later, never at once."""
        loop = asyncio.get_running_loop()
        weather = self._weather
        now_s = loop.time()
        at_s = now_s + weather.delay_s
        if weather.jitter_s:
            at_s += weather.jitter_s * self._network.draw()
        if weather.bytes_per_s is not None:
            self._free_at_s = max(self._free_at_s, now_s) + size_bytes / weather.bytes_per_s
            at_s += self._free_at_s - now_s
        if at_s <= now_s:
            loop.call_soon(through)
        else:
            loop.call_at(at_s, through)
