"""Probes that are under way, and those that others asked for (SWIM §3.1)."""

from dataclasses import dataclass, field

from .ring import PeerId, Run


@dataclass(slots=True)
class Probe:
    """A question to `target` whether it lives.

    began_s: when it was asked. end_s: when it will be suspected. relays: who was asked to try as well;
    nacks: which of them say that it does not answer them either.
    """

    target: PeerId
    run: Run
    began_s: float
    end_s: float
    relays: set[PeerId] = field(default_factory=set)
    nacks: set[PeerId] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Relay:
    """A probe that `asker` wants made: its answer, or a NACK, goes back under `asker_probe`."""

    asker: PeerId
    asker_probe: int
    target: PeerId


class Prober:
    """Numbers probes and relays, and remembers those that wait for an answer."""

    def __init__(self) -> None:
        self._count = 0
        self._probes: dict[int, Probe] = {}
        self._relays: dict[int, Relay] = {}

    def start(self, probe: Probe) -> int:
        """Remember a probe; return its number."""
        self._count = (self._count + 1) & 0xFFFFFFFF
        self._probes[self._count] = probe
        return self._count

    def start_relay(self, relay: Relay) -> int:
        """Remember a relay; return its number."""
        self._count = (self._count + 1) & 0xFFFFFFFF
        self._relays[self._count] = relay
        return self._count

    def probe(self, number: int) -> Probe | None:
        """The probe of that number, if it still waits."""
        return self._probes.get(number)

    def end(self, number: int) -> Probe | None:
        """Forget a probe; return it if it still waited."""
        return self._probes.pop(number, None)

    def relay(self, number: int) -> Relay | None:
        """The relay of that number, if it still waits."""
        return self._relays.get(number)

    def end_relay(self, number: int) -> Relay | None:
        """Forget a relay; return it if it still waited."""
        return self._relays.pop(number, None)

    def is_probing(self, peer: PeerId) -> bool:
        """Whether a probe of `peer` is under way."""
        return any(probe.target == peer for probe in self._probes.values())

    @property
    def relay_count(self) -> int:
        """How many relays wait."""
        return len(self._relays)

    def drop(self, peer: PeerId) -> None:
        """Forget the probes of a peer that began a new life."""
        for number in [number for number, probe in self._probes.items() if probe.target == peer]:
            del self._probes[number]

    def put_off(self, by_s: float) -> None:
        """Let every probe end that much later."""
        for probe in self._probes.values():
            probe.end_s += by_s
