"""A network inside one process: hosts, the links and datagrams between them, and what befalls those."""

import asyncio
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from .address import parse_address
from .base import Address, Packet
from .errors import ListenFailed
from .gates import Gates
from .pipe import PipeEnd
from .route import MemoryRoute
from .weather import Weather

_FIRST_FREE_PORT = 49152


class Bound(Protocol):
    """Who has an address of a host."""

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


class BoundBox(Bound, Protocol):
    """Who takes datagrams at an address of a host."""

    def take(self, packet: Packet) -> None:
        """Take in one that arrived."""
        ...


@dataclass(frozen=True, slots=True)
class _Pipe:
    """A connection: the host that dialled, its end, and those of the other side."""

    first: str
    first_end: PipeEnd
    second: str
    second_end: PipeEnd

    @property
    def is_gone(self) -> bool:
        """Whether both ends are closed for good."""
        return self.first_end.is_gone and self.second_end.is_gone

    def end_of(self, host: str) -> list[PipeEnd]:
        """The ends that `host` has of it: none, one, or both when it dialled itself."""
        ends = ((self.first, self.first_end), (self.second, self.second_end))
        return [end for owner, end in ends if owner == host]


class MemoryNetwork:
    """Hosts by name, what travels between them, and what the weather and the operator do to it.

    A host's tasks go on whatever happens to it here: who crashes or freezes one ends or heeds them too.
    """

    def __init__(self, random: Random, weather: Weather | None = None) -> None:
        self._random = random
        self._weather = weather or Weather()
        self._local_weather: dict[tuple[str, str], Weather] = {}
        self._gates = Gates()
        self._listeners: dict[Address, Bound] = {}
        self._boxes: dict[Address, BoundBox] = {}
        self._pipes: list[_Pipe] = []
        self._datagram_routes: dict[tuple[str, str], MemoryRoute] = {}
        self._last_port = _FIRST_FREE_PORT - 1

    def set_weather(
        self, weather: Weather, between: tuple[str, str] | None = None, *, is_one_way: bool = False
    ) -> None:
        """Change the weather from now on: everywhere, or between two hosts.

        is_one_way: from the first of the two to the second only.
        """
        if between is None:
            self._weather = weather
            return
        self._local_weather[between] = weather
        if not is_one_way:
            self._local_weather[between[1], between[0]] = weather

    # What befalls ways and cables

    def block(self, source: str, target: str) -> None:
        """Hold back all that `source` sends to `target`, this way only; datagrams are lost."""
        self._gates.block(source, target)

    def partition(self, one: str, other: str) -> None:
        """Hold back all between two hosts, both ways; datagrams are lost."""
        self.block(one, other)
        self.block(other, one)

    def heal(self, one: str, other: str) -> None:
        """Let through what was held back between two hosts, and all that follows."""
        self._gates.unblock(one, other)
        self._gates.unblock(other, one)

    def unplug(self, host: str) -> None:
        """Take `host` off the network: nobody is told, links stay, dials time out, datagrams are lost."""
        self._gates.unplug(host)

    def plug(self, host: str) -> None:
        """Put `host` on the network again; what its links held back comes through."""
        self._gates.plug(host)

    def sever(self, one: str, other: str) -> None:
        """Break every link between two hosts, as a firewall's reset does."""
        for pipe in self._pipes:
            if {pipe.first, pipe.second} == {one, other}:
                self._break(pipe)

    # What befalls hosts

    def crash(self, host: str) -> None:
        """Free the addresses of `host` and reset its links, as when its process is killed.

        The machine stays: dials are refused, and resets travel behind what was sent, if they can.
        """
        self._gates.end(host)
        for end in self._ends_of(host):
            end.die()
        self._shut_all(host)

    def cut_power(self, host: str) -> None:
        """Let `host` vanish: nobody is told, and its links stay half open at their other ends.

        It is off the network until `plug`: then dials are refused, and whoever still sends on an old link
        is answered with a reset.
        """
        self._gates.unplug(host)
        self._gates.end(host)
        for end in self._ends_of(host):
            end.forget()
        self._shut_all(host)

    def freeze(self, host: str, *, is_asleep: bool = False) -> None:
        """Stop the process of `host`, as SIGSTOP does: nothing is delivered to it or sent by it.

        Its kernel goes on: links stay, dials are answered and then meet silence. What is sent to it waits,
        as does what it tries to send; of its datagrams the first 256 each way. is_asleep: the whole
        machine sleeps, as a laptop does: dials time out, and datagrams to it are lost.
        """
        self._gates.freeze(host, is_asleep=is_asleep)

    def thaw(self, host: str) -> None:
        """Let a frozen host go on: what waited comes through."""
        self._gates.thaw(host)

    # For transports, listeners and routes

    @property
    def gates(self) -> Gates:
        """What holds things back."""
        return self._gates

    def free_port(self) -> int:
        """Find a port that nobody had before."""
        self._last_port += 1
        return self._last_port

    def bind(self, listener: Bound) -> None:
        """Let `listener` be found at its address.

        Raises:
            ListenFailed: somebody else listens there.
        """
        _check_free(self._listeners, listener.address)
        self._listeners[listener.address] = listener

    def bind_box(self, box: BoundBox) -> None:
        """Let `box` take the datagrams to its address.

        Raises:
            ListenFailed: somebody else takes them.
        """
        _check_free(self._boxes, box.address)
        self._boxes[box.address] = box

    def unbind(self, bound: Bound) -> None:
        """Let a listener or box be found no more."""
        if self._listeners.get(bound.address) is bound:
            del self._listeners[bound.address]
        if self._boxes.get(bound.address) is bound:
            del self._boxes[bound.address]

    def listener_at(self, address: Address) -> Bound | None:
        """Find who listens at `address`."""
        return self._listeners.get(address)

    def send_datagram(self, host: str, packet: Packet, target: Address) -> None:
        """Send a datagram of `host` on its way to `target`.

        Raises:
            BadAddress: `target` is no address.
        """
        way = (host, parse_address(target).host)
        if way not in self._datagram_routes:
            self._datagram_routes[way] = MemoryRoute(self, *way)
        self._datagram_routes[way].carry_datagram(len(packet.data), partial(self._deliver, packet, target))

    async def knock(self, source: str, target: str) -> None:
        """Wait as long as a dial needs from the process of `source` to the machine of `target`."""
        through = asyncio.get_running_loop().create_future()
        route = MemoryRoute(self, source, target)
        self._gates.leave(source, partial(route.carry_by_kernel, 0, partial(_resolve, through)))
        await through

    async def answer(self, source: str, target: str) -> None:
        """Wait as long as its answer needs from the machine of `source` to the process of `target`."""
        through = asyncio.get_running_loop().create_future()
        arrive = partial(self._gates.enter, target, partial(_resolve, through))
        MemoryRoute(self, source, target).carry_by_kernel(0, arrive)
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
        pipe = _Pipe(source, PipeEnd(dialling, there), target, PipeEnd(listening, back))
        there.on_break = back.on_break = partial(self._break, pipe)
        self._pipes = [each for each in self._pipes if not each.is_gone]
        self._pipes.append(pipe)
        pipe.second_end.connect(pipe.first_end)
        pipe.first_end.connect(pipe.second_end)

    def weather_between(self, source: str, target: str) -> Weather:
        """Tell the weather from `source` to `target`."""
        return self._local_weather.get((source, target), self._weather)

    def draw(self) -> float:
        """Draw from [0, 1) for whatever the weather decides."""
        return self._random.random()

    def _deliver(self, packet: Packet, target: Address) -> None:
        box = self._boxes.get(target)
        if box is not None:
            box.take(packet)

    def _ends_of(self, host: str) -> list[PipeEnd]:
        return [end for pipe in self._pipes for end in pipe.end_of(host)]

    def _shut_all(self, host: str) -> None:
        for bound in [*self._listeners.values(), *self._boxes.values()]:
            if bound.host == host:
                bound.shut()

    def _break(self, pipe: _Pipe) -> None:
        error = ConnectionResetError("connection reset by the network")
        for host, end in ((pipe.first, pipe.first_end), (pipe.second, pipe.second_end)):
            self._gates.enter(host, partial(end.shatter, error))


def _check_free(bound: dict[Address, Bound] | dict[Address, BoundBox], address: Address) -> None:
    if address in bound:
        raise ListenFailed(f"cannot listen on {address}: the port is already in use")


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
