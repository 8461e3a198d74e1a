"""What comes as gossip, from somebody who has the key: packets, records, and a whole peer that hears them."""

from collections.abc import Iterator
from dataclasses import replace

from meshinfer import wire
from meshinfer.topology.claim import Claim
from meshinfer.topology.codec import Malformed
from meshinfer.topology.equipment import Cable, Carrier, Equipment
from meshinfer.topology.member import Status
from meshinfer.topology.packet import _MAC_BYTES, MAX_PACKET_BYTES, Dropped, Kind, Sealer
from meshinfer.topology.record import PeerRecord
from meshinfer.topology.record_codec import decode_record, encode_record
from meshinfer.topology.ring import Run
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.base import Frame
from meshinfer.transports.errors import ProtocolError
from tests.meshinfer.test_wire import MESSAGES, RECORD
from tests.topology.voices import KEY, ME, MESH, B, C, Voice, address, claim, member_of, peer, record

from .target import MSGPACK, Target

_OPENER = Sealer(MESH, KEY, ME, Run(1))


def _signed(data: bytes) -> bytes:
    """What a member of the mesh would send with this body."""
    body = data[: MAX_PACKET_BYTES - _MAC_BYTES]
    mac = _OPENER._mac.copy()
    mac.update(body)
    return body + mac.digest()


def _packet(data: bytes) -> object:
    return _OPENER.open(_signed(data))


def _packet_seeds() -> Iterator[bytes]:
    voice = Voice(1)
    claims = [claim(index, status) for index, status in enumerate(Status, start=1)]
    told: list[Claim | PeerRecord] = [*claims, record(1, version=3), record(2, api="http://10.0.0.2:8000")]
    for packet in (
        voice.gossip(*told),
        voice.gossip(replace(record(1), fault="long " * 90, activity="too long " * 50)),
        voice.ping(ME, 1, *told),
        voice.answer(Kind.ACK, 7, *told),
        voice.answer(Kind.NACK, 7),
        voice.ask(2),
    ):
        yield packet[:-_MAC_BYTES]


def _heard(data: bytes) -> None:
    """A peer among four hears a packet, by datagram and on a link, and lives on for ten seconds."""
    core = member_of(4)
    packet = _signed(data)
    core.packet(address(1), packet, 0.1)
    core.message(B, Parcel(packet), 0.2)
    core.linked(C, Run(1), 0.3)
    for second in range(1, 4):
        core.tick(3.0 * second)
    core.members()


def _synced(data: bytes) -> None:
    """A peer among four is told a digest, a delta or a parcel by a linked member."""
    message = wire.decode(Frame(data, ())).message
    if not isinstance(message, (SyncDigest, SyncDelta, Parcel)):
        return
    core = member_of(4)
    core.linked(B, Run(1), 0.1)
    core.message(B, message, 0.2)
    core.tick(1.0)
    core.tick(10.0)
    core.members()


def _sync_seeds() -> Iterator[bytes]:
    lines = tuple((peer(index), 1, 0, 0, 1, 9) for index in range(5))
    told = [message for message in MESSAGES if isinstance(message, (SyncDigest, SyncDelta, Parcel))]
    for message in (*told, SyncDigest(lines, ()), SyncDelta(lines, (record(1, version=4), record(9)))):
        yield wire.encode(message).head


def _record_seeds() -> Iterator[bytes]:
    carriers = (Carrier((B, C), "en5", "Thunderbolt 5", "jaccl"), Carrier((ME,), "", "loopback"))
    equipped = Equipment("on en5", 38_000, carriers, (Cable("a" * 32, "b" * 32, is_used=True),))
    drained = replace(RECORD, fault="", activity="é" * 100, is_drained=True)
    for each in (RECORD, record(3, equipment=equipped), drained):
        yield encode_record(each)


def _record(data: bytes) -> PeerRecord:
    """A record that is read is written again in the same way, or peers would pass on different ones."""
    read = decode_record(data)
    if decode_record(encode_record(read)) != read:
        raise AssertionError("a record comes back as another one")
    return read


GOSSIP_TARGETS = (
    Target("gossip.packet", _packet, (Dropped,), _packet_seeds),
    Target("gossip.record", _record, (Malformed,), _record_seeds),
    Target("gossip.member", _heard, (), _packet_seeds),
    Target("gossip.sync", _synced, (ProtocolError,), _sync_seeds, MSGPACK),
)
