"""What comes in as packets: opened, checked for its sender's life, taken apart and answered."""

from collections.abc import Iterable

from .claim import Claim
from .exchange import Exchange
from .hearing import Hearing
from .member import Status
from .own import Own
from .packet import Dropped, Kind, Packet, Reason, Unsealed, claim_update
from .probing import Probing
from .roster import Entry
from .state import State

_ANSWER_EVERY_S = 1.0
"""Stale news of one peer are answered this often."""


class Inbox:
    """Hands each part of a packet to whom it concerns.

    Whoever is no member gets no longer an answer than it sent: nobody can be flooded through this peer.
    """

    def __init__(
        self, state: State, own: Own, hearing: Hearing, exchange: Exchange, probing: Probing
    ) -> None:
        self._state = state
        self._own = own
        self._hearing = hearing
        self._exchange = exchange
        self._probing = probing

    def take(self, source: str, data: bytes) -> None:
        """Take in a packet. source: where it came from, empty for one that came on a link."""
        state = self._state
        try:
            packet = state.out.sealer.open(data)
        except Dropped as dropped:
            state.counts[dropped.reason.value] += 1
            return
        if packet.sender == self._own.record.peer:
            self._hear_namesake(packet)
            return
        state.heard_s = state.now_s
        entry = state.roster.get(packet.sender)
        if entry is not None and not self._is_current(packet, source, len(data), entry):
            return
        stale = [
            self._hearing.hear(claim, accuser)
            for claim, accuser in zip(packet.claims, packet.accusers, strict=True)
        ]
        for encoded in packet.records:
            self._exchange.hear_encoded(encoded)
        for peer, run, version in packet.announced:
            self._exchange.hear_announced(peer, (run, version), packet.sender)
        if packet.kind is Kind.GOSSIP or self._is_member(packet):
            # Everything else of a stranger gets its own answer.
            self._correct(packet, source, len(data), (claim for claim in stale if claim is not None))
        self._answer(packet, source, is_stranger=entry is None)

    def _hear_namesake(self, packet: Packet) -> None:
        """A packet under this peer's own id: an echo, or somebody else has the same id in a later life."""
        self._state.counts[Reason.OWN_ECHO.value] += 1
        if packet.run > self._own.record.run:
            self._own.hear(Claim(packet.sender, packet.run, 0, Status.ALIVE))

    def _is_current(self, packet: Packet, source: str, size_bytes: int, entry: Entry) -> bool:
        """Whether a packet is of its sender's present life, and new; note when and where it came from."""
        if packet.run < entry.claim.run or (packet.run == entry.claim.run and not entry.is_present):
            self._state.counts[Reason.OLD_RUN.value] += 1
            self._correct(packet, source, size_bytes, [entry.claim])
            return False
        if packet.run > entry.claim.run:
            self._hearing.hear(Claim(packet.sender, packet.run, 0, Status.ALIVE), is_found=True)
        if not entry.window.take(packet.number):
            self._state.counts[Reason.REPLAYED.value] += 1
            return False
        entry.heard_s = self._state.now_s
        if source:
            entry.heard_from, entry.is_deaf = source, False
        return True

    # --- answering

    def _correct(self, packet: Packet, source: str, size_bytes: int, held: Iterable[Claim]) -> None:
        """Answer old news with what is held, so that whoever holds on to them learns better."""
        answer = self._state.out.sealer.gossip()
        for claim in held:
            update = claim_update(claim, self._own.record.peer)
            fits = answer.size_bytes + len(update) <= size_bytes or self._is_member(packet)
            if fits and self._is_answer_due(claim):
                answer.add(update)
        if answer.updates:
            self._send_back(packet, source, answer)

    def _is_answer_due(self, claim: Claim) -> bool:
        entry = self._state.roster.get(claim.peer)
        if entry is None:
            # Of this peer itself: once for each that lags, or it is taken for dead in the end.
            return True
        if self._state.now_s - entry.answered_s < _ANSWER_EVERY_S:
            return False
        entry.answered_s = self._state.now_s
        return True

    def _is_member(self, packet: Packet) -> bool:
        entry = self._state.roster.get(packet.sender)
        return entry is not None and entry.is_present and entry.claim.run == packet.run

    def _send_back(self, packet: Packet, source: str, answer: Unsealed) -> None:
        if source:
            self._state.out.send_to(source, answer)
        else:
            self._state.out.send_on_link(packet.sender, answer)

    def _answer(self, packet: Packet, source: str, *, is_stranger: bool) -> None:
        own, out = self._own, self._state.out
        match packet.kind:
            case Kind.PING if packet.target != own.record.peer:
                self._state.counts["misdirected"] += 1
            case Kind.PING if packet.target_run != own.record.run:
                # It asks for another life of ours: let it hear of this one.
                answer = out.sealer.gossip()
                answer.add(claim_update(own.claim))
                self._send_back(packet, source, answer)
            case Kind.PING if source and not is_stranger and self._is_member(packet):
                out.send(packet.sender, out.sealer.answer(Kind.ACK, packet.probe))
            case Kind.PING:
                self._send_back(packet, source, out.sealer.answer(Kind.ACK, packet.probe))
            case Kind.ACK:
                self._probing.acked(packet, source)
            case Kind.NACK:
                self._probing.nacked(packet)
            case Kind.PING_REQUEST if is_stranger or not self._is_member(packet):
                self._state.counts["relays_refused"] += 1
            case Kind.PING_REQUEST:
                self._probing.relay(packet)
            case Kind.GOSSIP:
                pass
