"""The network of a simulation: what travels on it is counted and traced, and belongs to no host."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from meshinfer.transports.base import Address, Frame, LinkLimits, Packet
from meshinfer.transports.gates import Gates, Step
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.stream import StreamLink
from meshinfer.transports.weather import Weather
from meshinfer.transports.wire import Wire
from tests.simulation.loop import HOST
from tests.simulation.trace import Trace


class _WireGates(Gates):
    """What has left a process travels on whatever becomes of that process."""

    def leave(self, host: str, step: Step, *, is_datagram: bool = False) -> None:
        """Take `step` once the process of `host` may send, as nobody's step."""
        token = HOST.set("")
        try:
            super().leave(host, step, is_datagram=is_datagram)
        finally:
            HOST.reset(token)


class TracedNetwork(MemoryNetwork):
    """Counts what each host sends. busiest: datagrams that a host sent within one second, at most."""

    def __init__(self, random: Random, weather: Weather, trace: Trace, now_s: Callable[[], float]) -> None:
        super().__init__(random, weather)
        self._gates = _WireGates()
        self._trace = trace
        self._now_s = now_s
        self._this_second: Counter[tuple[str, int]] = Counter()
        self.datagrams: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()

    def send_datagram(self, host: str, packet: Packet, target: Address) -> None:
        """Send a datagram of `host` on its way to `target`."""
        now_s = self._now_s()
        self._trace.note(now_s, f"{host} to {target}", packet.data)
        self.datagrams[host] += 1
        self._this_second[host, int(now_s)] += 1
        super().send_datagram(host, packet, target)

    def frame_sent(self, host: str, remote: Address, frame: Frame) -> None:
        """Take note of a frame that a process hands to a link."""
        self.frames[host] += 1
        self._trace.note(self._now_s(), f"{host} by link to {remote}", frame.head)

    @property
    def busiest(self) -> int:
        """The most datagrams that one host sent within one second."""
        return max(self._this_second.values(), default=0)


class TracedTransport(MemoryTransport):
    """The links and datagrams of one host."""

    def __init__(self, network: TracedNetwork, host: str, limits: LinkLimits) -> None:
        super().__init__(network, host, limits)
        self._traced = network
        self._name = host
        self._link_limits = limits

    def link(self, wire: Wire, local: Address, remote: Address) -> StreamLink:
        """Make the owner's side of a link of this host."""
        return _TracedLink(wire, local, remote, self._link_limits, self._traced, self._name)


class _TracedLink(StreamLink):
    def __init__(
        self,
        wire: Wire,
        local: Address,
        remote: Address,
        limits: LinkLimits,
        network: TracedNetwork,
        host: str,
    ) -> None:
        super().__init__(wire, local, remote, limits)
        self._network = network
        self._host = host

    async def send(self, frame: Frame) -> None:
        """Send one frame."""
        self._network.frame_sent(self._host, self.remote, frame)
        await super().send(frame)

    def send_now(self, frame: Frame) -> bool:
        """Send one frame if it can go out at once."""
        is_sent = super().send_now(frame)
        if is_sent:
            self._network.frame_sent(self._host, self.remote, frame)
        return is_sent


def virtual_now_s() -> float:
    """The time of the loop that runs."""
    return asyncio.get_running_loop().time()
