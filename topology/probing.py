"""Who answers: probes with the help of others, and probes for others (SWIM §3.1, §4.1; Lifeguard)."""

from .hearing import Hearing
from .measures import Measures
from .member import Status
from .own import Own
from .packet import Kind, Packet, claim_update
from .prober import Probe, Prober, Relay
from .ring import PeerId
from .roster import Entry
from .state import State
from .timers import Task

_MAX_RELAYS = 256
"""Probes for others that are under way at once."""

_MAX_WAYS = 4
"""Addresses of a silent peer that are tried."""


class Probing:
    """Asks peers one by one whether they live, and suspects those that answer nobody."""

    def __init__(self, state: State, own: Own, hearing: Hearing, prober: Prober, measures: Measures) -> None:
        self._state = state
        self._own = own
        self._hearing = hearing
        self._prober = prober
        self._measures = measures

    # --- own probes

    def probe_next(self) -> None:
        """Probe whoever is next."""
        target = self._state.roster.next_target()
        if target is not None and (self._state.roster.at(target).address or target in self._state.out.linked):
            self._probe(target)

    def probe_now(self, target: PeerId) -> None:
        """Probe a peer out of its turn, unless that is under way."""
        if not self._prober.is_probing(target):
            self._probe(target)

    def _probe(self, target: PeerId) -> None:
        state, entry = self._state, self._state.roster.at(target)
        end_s = state.now_s + state.probe_interval_s
        number = self._prober.start(Probe(target, entry.claim.run, state.now_s, end_s))
        self._ping(number, target, entry)
        state.timers.set(state.now_s + state.knobs.probe_timeout_s, Task.PROBE_TIMEOUT, number)
        state.timers.set(end_s, Task.PROBE_END, number)

    def _ping(self, number: int, target: PeerId, entry: Entry) -> None:
        packet = self._state.out.sealer.ping(number, target, entry.claim.run)
        if entry.claim.status is Status.SUSPECT:
            # First of all it hears that it is suspected (Lifeguard's buddy system).
            packet.add(claim_update(entry.claim, self._own.record.peer))
        self._state.out.send(target, packet)

    def ask_relays(self, number: int) -> None:
        """The target is silent: let others try, and try every other way to it."""
        state, out = self._state, self._state.out
        probe = self._prober.probe(number)
        if probe is None:
            return
        entry = state.roster.get(probe.target)
        if entry is None or not entry.is_present:
            self._prober.end(number)
            return
        left_s = max(0.0, probe.end_s - state.now_s)
        budget_ms = int(1000 * left_s * state.knobs.relay_share)
        for peer in state.roster.some(state.knobs.relays, state.roster.order, but=probe.target):
            if state.roster.at(peer).claim.status is Status.ALIVE:
                probe.relays.add(peer)
                # One with a scope is good on this machine alone; who is asked may know another.
                address = "" if "%" in entry.address else entry.address
                request = out.sealer.ping_request(number, probe.target, probe.run, address, budget_ms)
                out.send(peer, request)
        out.send_on_link(probe.target, out.sealer.ping(number, probe.target, probe.run))
        for address in _other_ways(entry, is_tried=not out.goes_by_link(probe.target, entry)):
            out.send_to(address, out.sealer.ping(number, probe.target, probe.run))

    def end(self, number: int) -> None:
        """A probe's time is over: if it still waits, its target is suspected."""
        probe = self._prober.end(number)
        if probe is None:
            return
        # Relays that are silent as well speak against this peer; without any, so does the silence.
        self._state.health.change(len(probe.relays - probe.nacks) if probe.relays else 1)
        entry = self._state.roster.get(probe.target)
        if entry is not None and entry.is_present and entry.claim.run == probe.run:
            self._hearing.conclude(entry, Status.SUSPECT)

    def acked(self, packet: Packet, source: str) -> None:
        """The target of a probe lives, as it says itself, or a relay. source: empty if it came on a link."""
        probe = self._prober.probe(packet.probe)
        if probe is None:
            relay = self._prober.relay(packet.probe)
            if relay is not None and packet.sender == relay.target:
                self._prober.end_relay(packet.probe)
                self._answer_asker(relay, Kind.ACK)
            return
        if packet.sender != probe.target and packet.sender not in probe.relays:
            return
        self._prober.end(packet.probe)
        self._state.health.change(-1)
        entry = self._state.roster.get(probe.target)
        if packet.sender == probe.target and entry is not None:
            entry.is_deaf = not source
            if source and not probe.relays:
                now_s = self._state.now_s
                self._measures.took(probe.target, now_s - probe.began_s, now_s)

    def nacked(self, packet: Packet) -> None:
        """A relay heard nothing from the target either: but the relay is heard."""
        probe = self._prober.probe(packet.probe)
        if probe is not None and packet.sender in probe.relays:
            probe.nacks.add(packet.sender)

    # --- probes for others

    def relay(self, packet: Packet) -> None:
        """Probe a peer for somebody else."""
        state, out = self._state, self._state.out
        if self._prober.relay_count >= _MAX_RELAYS:
            state.counts["relays_refused"] += 1
            return
        entry = state.roster.get(packet.target)
        number = self._prober.start_relay(Relay(packet.sender, packet.probe, packet.target))
        ping = out.sealer.ping(number, packet.target, packet.target_run)
        if entry is not None and entry.is_present:
            out.send(packet.target, ping)
            out.send_on_link(packet.target, out.sealer.ping(number, packet.target, packet.target_run))
        elif packet.address:
            out.send_to(packet.address, ping)
        # Nobody waits for longer than the slowest of probes.
        longest_s = state.knobs.probe_interval_s * (state.knobs.max_health + 1)
        state.timers.set(state.now_s + min(packet.budget_ms / 1000, longest_s), Task.RELAY_END, number)

    def end_relay(self, number: int) -> None:
        """A relay's time is over: if it still waits, who asked hears that."""
        if (relay := self._prober.end_relay(number)) is not None:
            self._answer_asker(relay, Kind.NACK)

    def _answer_asker(self, relay: Relay, kind: Kind) -> None:
        out, entry = self._state.out, self._state.roster.get(relay.asker)
        if entry is not None and entry.is_present:
            out.send(relay.asker, out.sealer.answer(kind, relay.asker_probe))


def _other_ways(entry: Entry, *, is_tried: bool) -> list[str]:
    """Addresses of a peer, one of each place. is_tried: all but the one where it is spoken to anyway."""
    ways = {
        _place(address): address for address in (*entry.addresses[:_MAX_WAYS], entry.heard_from) if address
    }
    if is_tried:
        ways.pop(_place(entry.address), None)
    return list(ways.values())


def _place(address: str) -> str:
    """Host and port: links and datagrams of a peer share them."""
    return address.partition("://")[2]
