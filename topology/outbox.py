"""What the membership protocol wants said, and by which way; news ride along wherever there is room."""

from dataclasses import dataclass

from .broadcasts import Broadcasts, transmits
from .claim import Claim
from .knobs import MembershipKnobs
from .member import Status
from .packet import Sealer, Unsealed, claim_update, record_update
from .record import PeerRecord
from .record_codec import encode_record
from .ring import PeerId
from .roster import Entry, Roster
from .sync import Parcel, SyncDelta, SyncDigest


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Send a datagram to a peer's address."""

    address: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SendOnLink:
    """Send a message over the link to a peer; without one it is lost."""

    peer: PeerId
    message: SyncDigest | SyncDelta | Parcel


@dataclass(frozen=True, slots=True)
class Reach:
    """Try to link with a peer."""

    peer: PeerId
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewLife:
    """This run is taken for dead by others: begin a run greater than `than`, and drop all plans."""

    than: int


Effect = SendPacket | SendOnLink | Reach | NewLife


class Outbox:
    """Collects effects. In a small mesh, news that this peer itself brings up go to everybody at once."""

    def __init__(self, sealer: Sealer, roster: Roster, knobs: MembershipKnobs) -> None:
        self.sealer = sealer
        self.linked: dict[PeerId, int] = {}
        self._roster = roster
        self._knobs = knobs
        self._news = Broadcasts()
        self._urgent: dict[tuple[PeerId, str], bytes] = {}
        self._effects: list[Effect] = []

    @property
    def has_news(self) -> bool:
        """Whether anything waits to be passed on."""
        return len(self._news) > 0

    def put(self, effect: Effect) -> None:
        """Let an effect happen."""
        self._effects.append(effect)

    def take(self) -> list[Effect]:
        """All effects since the last call, urgent news told."""
        if self._urgent:
            self._tell_everybody()
        effects, self._effects = self._effects, []
        return effects

    def spread_claim(self, claim: Claim, accuser: PeerId, *, is_urgent: bool) -> None:
        """Let everybody hear of a claim."""
        # A suspicion that is lost costs little: the next one who suspects says it again.
        mends = 2 if claim.status is Status.SUSPECT else self._knobs.mending_transmits
        self._spread((claim.peer, "claim"), claim_update(claim, accuser), is_urgent, mends)

    def spread_record(self, record: PeerRecord, *, is_urgent: bool) -> None:
        """Let everybody have a record, or hear that there is a newer one."""
        update = record_update(encode_record(record), record.peer, record.run, record.version)
        self._spread((record.peer, "record"), update, is_urgent, self._knobs.mending_transmits)

    def _spread(self, subject: tuple[PeerId, str], update: bytes, is_urgent: bool, mends: int) -> None:
        told = 0
        if self._roster.size <= self._knobs.direct_peers:
            # Whoever brought it up told everybody; this only mends what was lost on the way.
            told = max(0, transmits(self._knobs, self._roster.size) - mends)
            if is_urgent:
                self._urgent[subject] = update
        self._news.add(subject, update, told)

    def _tell_everybody(self) -> None:
        urgent, self._urgent = self._urgent, {}
        for peer in self._roster.order:
            entry = self._roster.at(peer)
            packet = self.sealer.gossip()
            for update in urgent.values():
                if not packet.add(update):
                    self._send(peer, entry, packet)
                    packet = self.sealer.gossip()
                    packet.add(update)
            self._send(peer, entry, packet)

    def gossip(self, now_s: float) -> None:
        """Pass news on to a few peers, drawn at random."""
        pool = self._roster.order
        if self._roster.size <= self._knobs.direct_peers:
            # A suspect heard of it from who suspects it, and hears it again with every probe.
            pool = [peer for peer in pool if self._roster.at(peer).claim.status is Status.ALIVE]
        pool = pool + self._roster.gone(Status.DEAD, now_s - self._knobs.gossip_to_dead_s)
        if not pool and not self._roster.order:
            # Who comes later gets everything over its link.
            self._news.clear()
        for peer in self._roster.some(self._knobs.gossip_fanout, pool):
            if self._news:
                self.send(peer, self.sealer.gossip())

    def reach(self, peer: PeerId, entry: Entry) -> None:
        """Let a link to a peer be tried, if there is none and it is known where."""
        if entry.addresses and peer not in self.linked:
            self.put(Reach(peer, entry.addresses))

    def send(self, peer: PeerId, packet: Unsealed) -> None:
        """Send a packet to a known peer, filled up with news."""
        if self._news:
            limit = transmits(self._knobs, self._roster.size)
            for update in self._news.take(packet.room_bytes, limit):
                packet.add(update)
        self._send(peer, self._roster.at(peer), packet)

    def send_to(self, address: str, packet: Unsealed) -> None:
        """Send a packet to an address, whoever is there."""
        self._effects.append(SendPacket(address, self.sealer.seal(packet)))

    def send_on_link(self, peer: PeerId, packet: Unsealed) -> None:
        """Send a packet over the link to a peer, if there is one."""
        if peer in self.linked:
            self._effects.append(SendOnLink(peer, Parcel(self.sealer.seal(packet))))

    def goes_by_link(self, peer: PeerId, entry: Entry) -> bool:
        """Whether packets for a peer take its link, since datagrams don't arrive."""
        return entry.is_deaf and peer in self.linked

    def _send(self, peer: PeerId, entry: Entry, packet: Unsealed) -> None:
        if self.goes_by_link(peer, entry):
            self.send_on_link(peer, packet)
        elif address := entry.address:
            self.send_to(address, packet)
        else:
            self.send_on_link(peer, packet)
