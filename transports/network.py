"""A network inside one process, with weather: delay, jitter, narrow wires, broken links, partitions."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from .base import Address
from .errors import ListenFailed
from .pipe import PipeEnd

_FIRST_FREE_PORT = 49152


@dataclass(frozen=True, slots=True)
class Weather:
    """How bytes fare in one direction between two hosts.

    delay_s: how long they are under way; jitter_s: up to this much longer, drawn for each piece.
    bytes_per_s: how wide the wire is; None is as wide as it takes.
    break_chance: the probability that a piece of up to 64 KiB breaks its link, since a stream can't lose.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    break_chance: float = 0.0


class Listening(Protocol):
    """Who listens at an address of a host."""

    @property
    def host(self) -> str:
        """The host's name."""
        ...

    @property
    def address(self) -> Address:
        """Where others find it."""
        ...

    def shut(self) -> None:
        """End, because the host did."""
        ...


class MemoryNetwork:
    """Hosts by name, the links between them, and what the weather does to those."""

    def __init__(self, random: Random, weather: Weather | None = None) -> None:
        self._random = random
        self._weather = weather or Weather()
        self._local_weather: dict[tuple[str, str], Weather] = {}
        self._blocked: set[tuple[str, str]] = set()
        self._held: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._listeners: dict[Address, Listening] = {}
        self._pipes: list[tuple[str, PipeEnd, str, PipeEnd]] = []
        self._last_port = _FIRST_FREE_PORT - 1

    def set_weather(self, weather: Weather, between: tuple[str, str] | None = None) -> None:
        """Change the weather from now on: everywhere, or both ways between two hosts."""
        if between is None:
            self._weather = weather
        else:
            one, other = between
            self._local_weather[one, other] = self._local_weather[other, one] = weather

    def block(self, source: str, target: str) -> None:
        """Hold back all that `source` sends to `target`, this way only."""
        self._blocked.add((source, target))

    def partition(self, one: str, other: str) -> None:
        """Hold back all between two hosts, both ways."""
        self.block(one, other)
        self.block(other, one)

    def heal(self, one: str, other: str) -> None:
        """Let through what was held back between two hosts, and all that follows."""
        for way in ((one, other), (other, one)):
            self._blocked.discard(way)
            for arrive in self._held.pop(way, []):
                arrive()

    def sever(self, one: str, other: str) -> None:
        """Break every link between two hosts, as pulling a cable and putting it back does."""
        for first, first_end, second, second_end in self._pipes:
            if {first, second} == {one, other}:
                self._break(first_end, second_end)

    def crash(self, host: str) -> None:
        """Break every link of `host` and free its addresses, as when its process is killed."""
        for first, first_end, second, second_end in self._pipes:
            if host in (first, second):
                self._break(first_end, second_end)
        for listener in [one for one in self._listeners.values() if one.host == host]:
            listener.shut()

    # For transports and listeners

    def free_port(self) -> int:
        """Find a port that nobody had before."""
        self._last_port += 1
        return self._last_port

    def bind(self, listener: Listening) -> None:
        """Let `listener` be found at its address.

        Raises:
            ListenFailed: somebody else listens there.
        """
        if listener.address in self._listeners:
            raise ListenFailed(f"cannot listen on {listener.address}: the port is already in use")
        self._listeners[listener.address] = listener

    def unbind(self, listener: Listening) -> None:
        """Let `listener` be found no more."""
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]

    def listener_at(self, address: Address) -> Listening | None:
        """Find who listens at `address`."""
        return self._listeners.get(address)

    async def cross(self, source: str, target: str) -> None:
        """Wait as long as a small packet from `source` to `target` needs; held back while blocked."""
        through = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            if not through.done():
                through.set_result(None)

        MemoryRoute(self, source, target).carry(0, arrive)
        await through

    def join(
        self,
        source: str,
        dialling: asyncio.BufferedProtocol,
        target: str,
        listening: asyncio.BufferedProtocol,
    ) -> None:
        """Make a pipe between two hosts' protocols."""
        there, back = MemoryRoute(self, source, target), MemoryRoute(self, target, source)
        near, far = PipeEnd(dialling, there), PipeEnd(listening, back)
        there.on_break = back.on_break = lambda: self._break(near, far)
        self._pipes = [pipe for pipe in self._pipes if not (pipe[1].is_gone and pipe[3].is_gone)]
        self._pipes.append((source, near, target, far))
        far.connect(near)
        near.connect(far)

    def weather_between(self, source: str, target: str) -> Weather:
        """Tell the weather from `source` to `target`."""
        return self._local_weather.get((source, target), self._weather)

    def draw(self) -> float:
        """Draw from [0, 1) for whatever the weather decides."""
        return self._random.random()

    def let_through(self, source: str, target: str, arrive: Callable[[], None]) -> None:
        """Let something arrive, or hold it back until the way is free."""
        if (source, target) in self._blocked:
            self._held.setdefault((source, target), []).append(arrive)
        else:
            arrive()

    def _break(self, one: PipeEnd, other: PipeEnd) -> None:
        for end in (one, other):
            end.shatter(ConnectionResetError("connection reset by the network"))


class MemoryRoute:
    """One way between two hosts, as one connection takes it."""

    def __init__(self, network: MemoryNetwork, source: str, target: str) -> None:
        self.on_break: Callable[[], None] | None = None
        self._network = network
        self._source = source
        self._target = target
        self._free_at_s = 0.0  # when the wire has put out what was handed over so far

    def carry(self, size_bytes: int, arrive: Callable[[], None]) -> None:
        """Call `arrive` when `size_bytes` have come through the weather of this moment."""
        loop = asyncio.get_running_loop()
        weather = self._network.weather_between(self._source, self._target)
        if self.on_break is not None and weather.break_chance and self._network.draw() < weather.break_chance:
            loop.call_soon(self.on_break)
            return
        now_s = loop.time()
        at_s = now_s + weather.delay_s
        if weather.jitter_s:
            at_s += weather.jitter_s * self._network.draw()
        if weather.bytes_per_s is not None:
            self._free_at_s = max(self._free_at_s, now_s) + size_bytes / weather.bytes_per_s
            at_s += self._free_at_s - now_s
        through = partial(self._network.let_through, self._source, self._target, arrive)
        if at_s <= now_s:
            loop.call_soon(through)
        else:
            loop.call_at(at_s, through)
