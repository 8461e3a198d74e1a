"""What comes over the network, and what people paste: frames, messages, datagrams, addresses, invitations."""

import base64
from collections.abc import Iterator

from meshinfer import wire
from meshinfer.errors import ConfigError
from meshinfer.keys.invitation import Invitation, _check
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import KEY_BYTES, MeshKey
from meshinfer.keys.sealing import DatagramSeal, Refused
from meshinfer.messages import Relayed
from meshinfer.transports.address import datagram_address
from meshinfer.transports.base import Address, Frame, LinkLimits
from meshinfer.transports.buffers import PooledBuffers
from meshinfer.transports.errors import BadAddress, ProtocolError, Tampered
from meshinfer.transports.frame import FrameDecoder, encode_prefix
from meshinfer.transports.hail import NONCE_BYTES, Call, Hail, decode_hail, encode_hail
from meshinfer.transports.label import LABEL_BYTES, Kind, Label, labelled, unlabelled
from meshinfer.transports.records import Opener, Sealer
from meshinfer.transports.resend import Incoming, Numbered, Outgoing
from meshinfer.transports.sighting import Announcement
from tests.meshinfer.test_wire import MESSAGES

from .target import MSGPACK, Target

_LIMITS = LinkLimits(max_head_bytes=1 << 20, max_payload_bytes=1 << 20)
_BUFFERS = PooledBuffers()
_KEY = MeshKey(bytes(range(KEY_BYTES)))
_PAYLOAD_UNIT = 4
_STEPS_BYTES = (4096, 700, 97, 20)


def _frames(data: bytes) -> None:
    """Receive `data` in pieces; the first byte says how long they are."""
    decoder = FrameDecoder(_LIMITS, _BUFFERS)
    step = _STEPS_BYTES[data[0] % len(_STEPS_BYTES)] if data else 1
    at = 1
    while at < len(data):
        room = decoder.wanted()
        piece = data[at : at + min(step, room.nbytes)]
        room[: len(piece)] = piece
        at += len(piece)
        for frame in decoder.received(len(piece)):
            if frame.buffer is not None:
                frame.buffer.release()
    decoder.close()
    if decoder.fault is not None:
        raise decoder.fault


def _frame_seeds() -> Iterator[bytes]:
    everything = b""
    for message in MESSAGES:
        frame = wire.encode(message)
        prefix = encode_prefix(len(frame.head), frame.payload_bytes, _LIMITS)
        everything += prefix + frame.head + b"".join(bytes(view) for view in frame.payload)
    yield b"\x00" + everything[:2000]
    yield b"\x01" + everything
    yield b"\x03" + everything[:200] + encode_prefix(70_000, 10, _LIMITS)


def _message(data: bytes) -> wire.Message:
    """The first byte says how long the payload is, in units of a float; the rest is the head."""
    payload = memoryview(bytes(_PAYLOAD_UNIT * data[0] if data else 0))
    return wire.decode(Frame(data[1:], (payload,) if payload.nbytes else ())).message


def _message_seeds() -> Iterator[bytes]:
    for message in MESSAGES:
        frame = wire.encode(message)
        yield bytes((frame.payload_bytes // _PAYLOAD_UNIT,)) + frame.head


def _body(data: bytes) -> wire.Message:
    return wire.decode(Frame(data, ())).message


def _body_seeds() -> Iterator[bytes]:
    return (frame.head for frame in map(wire.encode, MESSAGES) if not frame.payload_bytes)


def _disclosed(data: bytes) -> object:
    message = _message(data)
    return wire.disclose(message, None) if isinstance(message, Relayed) else None


def _relayed_seeds() -> Iterator[bytes]:
    hello = next(message.sender for message in MESSAGES if isinstance(message, Relayed))
    for message in MESSAGES:
        frame = wire.encode(wire.enclose(message, hello.peer, hello, 2))
        yield bytes((frame.payload_bytes // _PAYLOAD_UNIT,)) + frame.head


def _labels(data: bytes) -> None:
    """A path's frames one after the other: what they acknowledge, and which of them are new."""
    incoming, outgoing = Incoming(), Outgoing(16, 1 << 20)
    for number in range(3):
        outgoing.add(Frame(b"head"))
        outgoing.sent(number)
    for at in range(0, len(data), LABEL_BYTES + 4):
        label, frame = unlabelled(Frame(data[at : at + LABEL_BYTES + 4]))
        outgoing.acknowledged(label.acknowledged)
        if label.kind is Kind.DATA:
            incoming.came(Numbered(label.number, frame))


def _label_seeds() -> Iterator[bytes]:
    labels = [Label(Kind.DATA, number, number) for number in range(3)]
    others = [Label(Kind.PING, 7, 2), Label(Kind.BURST, 1, 3, 1 << 20), Label(Kind.GAUGED, 1, 3, 1 << 30)]
    yield b"".join(labelled(label, Frame(b"head")).head for label in (*labels, *others))


def _invitation(data: bytes) -> Invitation:
    """A sealed body where the first byte is even, so that what lies behind the check is reached."""
    if data[:1] < b"\x80":
        body = data[1:]
        coded = base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")
        return Invitation.from_text("meshinfer1_" + coded)
    return Invitation.from_text(data[1:].decode(errors="replace"))


def _invitation_seeds() -> Iterator[bytes]:
    for addresses in ((), ("10.0.0.1:52414", "[fe80::1%en5]:52414")):
        text = Invitation("home", _KEY, addresses).to_text()
        yield b"\xff" + text.encode()
        coded = text.removeprefix("meshinfer1_")
        yield b"\x00" + base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))[4:]


def _address(data: bytes) -> Address:
    return datagram_address(Address(data.decode(errors="replace")))


def _hail_seeds() -> Iterator[bytes]:
    who = Announcement("ab" * 16, "shelf", "home", "0.1.0", 2, "k" * 8)
    for call in Call:
        yield encode_hail(Hail(call, who, bytes(NONCE_BYTES), 52414))


_SEAL = DatagramSeal(Keyring(_KEY))


def _sealed_seeds() -> Iterator[bytes]:
    """Of several lives: each datagram is opened once, and some of those that are changed a little are new."""
    for size_bytes in (0, 20, 1200):
        yield DatagramSeal(Keyring(_KEY)).seal(bytes(size_bytes))


class _Proved:
    """Takes what records prove."""

    def __init__(self) -> None:
        self._room = memoryview(bytearray(100_000))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= self._room.nbytes


def _records(data: bytes) -> None:
    """What comes over a link that leaves payloads in clear, in pieces as long as the first byte says."""
    opener = Opener(_KEY.secret, _Proved())
    step = _STEPS_BYTES[data[0] % len(_STEPS_BYTES)] if data else 1
    at = 1
    while at < len(data):
        room = opener.wanted()
        piece = data[at : at + min(step, room.nbytes)]
        room[: len(piece)] = piece
        at += len(piece)
        opener.received(len(piece))
        while opener.open_next():
            pass


def _record_seeds() -> Iterator[bytes]:
    pieces = (b"a head", memoryview(bytes(3000)), b"another head", memoryview(b"payload"), bytes(5000))
    for step in range(len(_STEPS_BYTES)):
        sealer = Sealer(_KEY.secret)
        yield bytes((step,)) + b"".join(part for piece in pieces for part in sealer.records(piece))


WIRE_TARGETS = (
    Target("frame", _frames, (ProtocolError,), _frame_seeds),
    Target("records", _records, (Tampered,), _record_seeds),
    Target("label", _labels, (ProtocolError,), _label_seeds),
    Target("message", _message, (ProtocolError,), _message_seeds),
    Target("message.shaped", _body, (ProtocolError,), _body_seeds, MSGPACK),
    Target("message.relayed", _disclosed, (ProtocolError,), _relayed_seeds),
    Target("hail", decode_hail, (), _hail_seeds),
    Target("sealed", _SEAL.open, (Refused,), _sealed_seeds),
    Target("invitation", _invitation, (ConfigError,), _invitation_seeds),
    Target("address", _address, (BadAddress,), lambda: (b"tcp://10.0.0.1:52414", b"tcp://[fe80::1%en5]:1")),
)
