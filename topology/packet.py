"""Gossip packets: what fits into one datagram, and how it looks on the wire.

A packet is a header (magic, protocol, kind, tag of the mesh, sender, run, sequence number), what its kind
needs, any number of updates, and a checksum that only members of the mesh can make. Whatever differs is
dropped before anything of it is believed.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum

from .claim import NOBODY, Claim
from .codec import HEADER, Malformed, Reader, Writer
from .member import Status
from .record import HIGHEST_RUN
from .record_codec import MAX_GOSSIP_BYTES
from .ring import PeerId, Run

PROTOCOL = 1
MAX_PACKET_BYTES = 1400
"""Fits into one frame of an Ethernet or a Wi-Fi network, tunnels included."""

_MAGIC = b"MI"
_MAC_BYTES = 12
_OVERHEAD_BYTES = HEADER.size + _MAC_BYTES
_MAX_ADDRESS_BYTES = 280
_INCARNATION_BYTES = 3


class Kind(Enum):
    """What a packet is for."""

    PING = 1
    ACK = 2
    PING_REQUEST = 3
    NACK = 4
    GOSSIP = 5


class Reason(Enum):
    """Why a packet was dropped; the values are names of counters."""

    TOO_LONG = "too_long"
    NOT_OURS = "not_ours"
    OTHER_VERSION = "other_version"
    OTHER_MESH = "other_mesh"
    FORGED = "forged"
    MALFORMED = "malformed"
    REPLAYED = "replayed"
    OLD_RUN = "old_run"
    OWN_ECHO = "own_echo"


class Dropped(ValueError):
    """A packet that is not believed."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that was read.

    probe: number of the probe that a PING, ACK, PING_REQUEST or NACK belongs to.
    target, target_run: whom a PING is meant for, or whom a PING_REQUEST asks to try, at `address`.
    budget_ms: how long the one who is asked may take until it says that it failed.
    claims, records: the updates; records are still encoded. announced: (peer, run, version) of records
    that are too long for packets.
    """

    kind: Kind
    sender: PeerId
    run: Run
    number: int
    probe: int
    target: PeerId
    target_run: Run
    address: str
    budget_ms: int
    claims: tuple[Claim, ...]
    accusers: tuple[PeerId, ...]
    records: tuple[bytes, ...]
    announced: tuple[tuple[PeerId, int, int], ...]


_CLAIM_TAGS = {Status.ALIVE: 1, Status.SUSPECT: 2, Status.DEAD: 3, Status.LEFT: 4}
_STATUS_OF = {tag: status for status, tag in _CLAIM_TAGS.items()}
_RECORD_TAG = 5
_ANNOUNCED_TAG = 6


def claim_update(claim: Claim, accuser: PeerId = NOBODY) -> bytes:
    """A claim as an update; accuser: who suspects it."""
    out = Writer()
    out.number(_CLAIM_TAGS[claim.status], 1)
    out.id(claim.peer)
    out.number(claim.run, 8)
    if not claim.is_final:
        out.number(claim.incarnation, _INCARNATION_BYTES)
    if claim.status is Status.SUSPECT:
        out.id(accuser)
    return out.bytes()


def record_update(encoded: bytes, peer: PeerId, run: int, version: int) -> bytes:
    """A record as an update, or word of it where it is too long."""
    out = Writer()
    if len(encoded) <= MAX_GOSSIP_BYTES:
        out.number(_RECORD_TAG, 1)
        out.blob(encoded)
    else:
        out.number(_ANNOUNCED_TAG, 1)
        out.id(peer)
        out.number(run, 8)
        out.number(version, 4)
    return out.bytes()


class Sealer:
    """Makes and opens the packets of one mesh, as one peer in one run.

    key: what only members know (until meshes have keys, derived from the mesh's name: it keeps meshes apart
    and finds damage, it keeps nobody out).
    """

    def __init__(self, mesh: str, key: bytes, peer: PeerId, run: Run) -> None:
        self._tag = hashlib.blake2b(mesh.encode(), digest_size=4, person=b"meshinfer-tag").digest()
        self._mac = hashlib.blake2b(key=key[:64], digest_size=_MAC_BYTES, person=b"meshinfer-mac")
        self._peer = bytes.fromhex(peer)
        self._run = run
        self._number = 0

    def ping(self, probe: int, target: PeerId, target_run: Run) -> "Unsealed":
        """A probe of `target`."""
        out = Writer()
        out.number(probe, 4)
        out.id(target)
        out.number(target_run, 8)
        return Unsealed(Kind.PING, out.bytes())

    def answer(self, kind: Kind, probe: int) -> "Unsealed":
        """An ACK or a NACK."""
        return Unsealed(kind, probe.to_bytes(4, "big"))

    def ping_request(
        self, probe: int, target: PeerId, target_run: Run, address: str, budget_ms: int
    ) -> "Unsealed":
        """Ask another peer to probe `target`."""
        out = Writer()
        out.number(probe, 4)
        out.id(target)
        out.number(target_run, 8)
        out.number(min(budget_ms, 0xFFFF), 2)
        out.text(address)
        return Unsealed(Kind.PING_REQUEST, out.bytes())

    def gossip(self) -> "Unsealed":
        """Nothing but updates."""
        return Unsealed(Kind.GOSSIP, b"")

    def seal(self, packet: "Unsealed") -> bytes:
        """The packet's bytes; each sealed packet has a number of its own."""
        self._number += 1
        header = HEADER.pack(
            _MAGIC, PROTOCOL, packet.kind.value, self._tag, self._peer, self._run, self._number & 0xFFFFFFFF
        )
        body = b"".join((header, packet.body, *packet.updates))
        mac = self._mac.copy()
        mac.update(body)
        return body + mac.digest()

    def open(self, data: bytes) -> Packet:
        """Read a packet.

        Raises:
            Dropped: it is not of this mesh, or damaged.
        """
        if len(data) > MAX_PACKET_BYTES:
            raise Dropped(Reason.TOO_LONG, f"a packet of {len(data)} bytes, limit {MAX_PACKET_BYTES}")
        if len(data) < _OVERHEAD_BYTES or data[:2] != _MAGIC:
            raise Dropped(Reason.NOT_OURS, f"{len(data)} bytes that are no packet of meshinfer")
        _, protocol, kind, tag, sender, run, number = HEADER.unpack_from(data)
        if protocol != PROTOCOL:
            raise Dropped(Reason.OTHER_VERSION, f"gossip protocol {protocol}, this release speaks {PROTOCOL}")
        if tag != self._tag:
            raise Dropped(Reason.OTHER_MESH, "a packet of another mesh")
        mac = self._mac.copy()
        mac.update(memoryview(data)[:-_MAC_BYTES])
        if not hmac.compare_digest(mac.digest(), data[-_MAC_BYTES:]):
            raise Dropped(Reason.FORGED, "a packet that is damaged, or not made by a member of the mesh")
        try:
            if run > HIGHEST_RUN:
                raise Malformed(f"nobody lives in run {run}")
            return _read(Kind(kind), PeerId(sender.hex()), Run(run), number, data[HEADER.size : -_MAC_BYTES])
        except ValueError as error:
            raise Dropped(Reason.MALFORMED, str(error)) from error


class Unsealed:
    """A packet in the making: updates may be added as long as they fit. size_bytes: once it is sealed."""

    def __init__(self, kind: Kind, body: bytes) -> None:
        self.kind = kind
        self.body = body
        self.updates: list[bytes] = []
        self.size_bytes = _OVERHEAD_BYTES + len(body)

    @property
    def room_bytes(self) -> int:
        """What updates may still take."""
        return MAX_PACKET_BYTES - self.size_bytes

    def add(self, update: bytes) -> bool:
        """Add an update if it fits; return whether it did."""
        if len(update) > self.room_bytes:
            return False
        self.updates.append(update)
        self.size_bytes += len(update)
        return True


def _read(kind: Kind, sender: PeerId, run: Run, number: int, body: bytes) -> Packet:
    read = Reader(body)
    probe, target, target_run, address, budget_ms = 0, NOBODY, 0, "", 0
    if kind is not Kind.GOSSIP:
        probe = read.number(4)
    if kind in (Kind.PING, Kind.PING_REQUEST):
        target, target_run = read.peer(), read.number(8)
    if kind is Kind.PING_REQUEST:
        budget_ms, address = read.number(2), read.text(_MAX_ADDRESS_BYTES)
    claims: list[Claim] = []
    accusers: list[PeerId] = []
    records: list[bytes] = []
    announced: list[tuple[PeerId, int, int]] = []
    while not read.is_at_end:
        tag = read.number(1)
        if (status := _STATUS_OF.get(tag)) is not None:
            claims.append(_read_claim(read, status))
            accusers.append(read.peer() if status is Status.SUSPECT else NOBODY)
        elif tag == _RECORD_TAG:
            records.append(read.blob(MAX_GOSSIP_BYTES))
        elif tag == _ANNOUNCED_TAG:
            announced.append((read.peer(), read.number(8), read.number(4)))
        else:
            raise Malformed(f"an update of the unknown kind {tag}")
    return Packet(
        kind,
        sender,
        run,
        number,
        probe,
        target,
        Run(target_run),
        address,
        budget_ms,
        tuple(claims),
        tuple(accusers),
        tuple(records),
        tuple(announced),
    )


def _read_claim(read: Reader, status: Status) -> Claim:
    peer, run = read.peer(), Run(read.number(8))
    is_final = status in (Status.DEAD, Status.LEFT)
    return Claim(peer, run, 0 if is_final else read.number(_INCARNATION_BYTES), status)
