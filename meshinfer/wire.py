"""Messages as frames: a msgpack head `[tag, fields, tensor descriptors]`, then the tensors' own bytes.

Tags are never reused (3 and 17 were the heartbeat and the pulse of earlier releases). What does not fit its
dataclass is a ProtocolError that names the field.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.base import Buffer, Frame
from meshinfer.transports.errors import ProtocolError

from . import freight as f
from . import handover as h
from . import messages as m

Message = (
    m.Hello
    | m.Farewell
    | m.Pairing
    | m.FabricOffer
    | m.FabricAnswer
    | m.ClearOffer
    | m.ClearAnswer
    | m.Relayed
    | m.Unreachable
    | SyncDigest
    | SyncDelta
    | Parcel
    | m.Submit
    | m.Recall
    | m.Recalled
    | m.Rebuild
    | m.Rebuilt
    | m.Queued
    | m.Advanced
    | m.Activation
    | m.StepDone
    | m.Token
    | m.Admitted
    | m.Refused
    | m.Cancel
    | m.Release
    | m.WrongEpoch
    | m.Failed
    | m.AskTimes
    | m.Times
    | f.AskBlueprint
    | f.BlueprintPart
    | f.AskHeld
    | f.Held
    | f.AskPiece
    | f.PieceOf
    | h.AskKey
    | h.GiveKey
)

TAGS: dict[int, type[Message]] = {
    1: m.Hello,
    2: m.Farewell,
    4: m.Submit,
    5: m.Activation,
    6: m.StepDone,
    7: m.Token,
    8: m.Admitted,
    9: m.Refused,
    10: m.Cancel,
    11: m.Release,
    12: m.WrongEpoch,
    13: m.Failed,
    14: SyncDigest,
    15: SyncDelta,
    16: Parcel,
    18: m.Recall,
    19: m.Recalled,
    20: m.Rebuild,
    21: m.Rebuilt,
    22: m.Queued,
    23: m.Advanced,
    24: m.Relayed,
    25: m.Unreachable,
    26: f.AskBlueprint,
    27: f.BlueprintPart,
    28: f.AskHeld,
    29: f.Held,
    30: f.AskPiece,
    31: f.PieceOf,
    40: m.AskTimes,
    41: m.Times,
    60: m.Pairing,
    61: m.FabricOffer,
    62: m.FabricAnswer,
    63: m.ClearOffer,
    64: m.ClearAnswer,
    70: h.AskKey,
    71: h.GiveKey,
}
_Laden = m.Activation | m.Relayed | f.BlueprintPart | f.PieceOf
_LADEN = (m.Activation, m.Relayed, f.BlueprintPart, f.PieceOf)
_OF_LINKS = (
    m.Hello,
    m.Farewell,
    m.Pairing,
    m.FabricOffer,
    m.FabricAnswer,
    m.ClearOffer,
    m.ClearAnswer,
    m.Relayed,
    m.Unreachable,
    h.AskKey,
    h.GiveKey,
)
_TAG_OF = {kind: tag for tag, kind in TAGS.items()}

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int32": 4, "uint32": 4, "uint8": 1, "bool": 1}
"""What a tensor between stages may be made of, and the size of one element."""

MAX_TENSORS = 16
MAX_DIMENSIONS = 8


_ENCODER = msgspec.msgpack.Encoder()
_PARTS = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw])
_TAG = msgspec.msgpack.Decoder()
_DESCRIPTORS = msgspec.msgpack.Decoder(tuple[tuple[str, str, tuple[int, ...]], ...])
_FIELDS: dict[type[Message], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in TAGS.values()
}
"""Straight from bytes to a message: what lies between, objects of objects, costs several times as much."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message and the memory its tensors lie in; whoever is done with them releases it."""

    message: Message
    buffer: Buffer | None


def encode(message: Message) -> Frame:
    """Make a frame of a message; tensors are lent, not copied."""
    tensors = message.tensors if isinstance(message, _LADEN) else ()
    descriptors = [(t.name, t.dtype, t.shape) for t in tensors]
    head = _ENCODER.encode((_TAG_OF[type(message)], _without_tensors(message), descriptors))
    return Frame(head, tuple(t.data for t in tensors))


def decode(frame: Frame) -> Decoded:
    """Read a message; its tensors are views into the frame's buffer.

    Raises:
        ProtocolError: the head is no message that this release knows, or tensors and payload disagree.
            The frame's buffer is released.
    """
    try:
        return Decoded(_decode(frame), frame.buffer)
    except ProtocolError:
        if frame.buffer is not None:
            frame.buffer.release()
        raise


def enclose(message: Message, to: PeerId, sender: m.Hello, hops: int) -> m.Relayed:
    """Put a message into one that another peer passes on; tensors are lent, not copied."""
    frame = encode(message)
    pieces = tuple(m.Tensor("", "uint8", (view.nbytes,), view) for view in frame.payload)
    return m.Relayed(to, sender, hops, frame.head, pieces)


def disclose(relayed: m.Relayed, buffer: Buffer | None) -> Decoded:
    """Read the message that was passed on. buffer: where the payload of the Relayed lies.

    Raises:
        ProtocolError: as `decode`; or it is a message that only the two ends of a link exchange.
    """
    payload = (buffer.view,) if buffer is not None else ()
    decoded = decode(Frame(relayed.head, payload, buffer))
    if isinstance(decoded.message, _OF_LINKS):
        raise ProtocolError(f"{type(decoded.message).__name__} from {relayed.sender.name} came over a relay")
    return decoded


def _decode(frame: Frame) -> Message:
    try:
        raw_tag, fields, descriptors = _PARTS.decode(frame.head)
        tag = _TAG.decode(raw_tag)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = f"a frame's head of {len(frame.head)} bytes is no msgpack of [tag, fields, tensors]: {error}"
        raise ProtocolError(reason) from error
    kind = TAGS.get(tag) if isinstance(tag, int) else None
    if kind is None:
        raise ProtocolError(
            f"a frame carries the unknown message tag {tag!r}: run the same release everywhere"
        )
    tensors = _tensors(descriptors, frame)
    if kind not in _LADEN and (tensors or frame.payload_bytes):
        raise ProtocolError(f"{kind.__name__} carries {frame.payload_bytes} bytes of payload, it takes none")
    message = _build(kind, fields)
    return _with_tensors(message, tensors) if isinstance(message, _LADEN) else message


def _build(kind: type[Message], fields: msgspec.Raw) -> Message:
    try:
        message: Message = _FIELDS[kind].decode(fields)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # ValueError: a dataclass's own check, such as a ring that leaves a layer out.
        raise ProtocolError(f"{kind.__name__} from a peer is not valid: {error}") from error
    return message


def _tensors(descriptors: msgspec.Raw, frame: Frame) -> tuple[m.Tensor, ...]:
    try:
        table = _DESCRIPTORS.decode(descriptors)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"tensor descriptors are not valid: {error}") from error
    if len(table) > MAX_TENSORS:
        raise ProtocolError(f"a frame carries {len(table)} tensors, limit {MAX_TENSORS}")
    payload = frame.payload[0] if frame.payload else memoryview(b"")
    tensors, offset = [], 0
    for name, dtype, shape in table:
        size = _size_bytes(name, dtype, shape)
        tensors.append(m.Tensor(name, dtype, shape, payload[offset : offset + size]))
        offset += size
    if offset != frame.payload_bytes:
        raise ProtocolError(f"tensors of {offset} bytes are announced, {frame.payload_bytes} came")
    return tuple(tensors)


def _size_bytes(name: str, dtype: str, shape: tuple[int, ...]) -> int:
    if dtype not in DTYPE_BYTES:
        raise ProtocolError(f"tensor {name[:64]!r} has the unknown dtype {dtype[:32]!r}")
    if len(shape) > MAX_DIMENSIONS or any(not 0 <= size < 1 << 40 for size in shape):
        raise ProtocolError(f"tensor {name[:64]!r} has the impossible shape {shape[:MAX_DIMENSIONS]}")
    return math.prod(shape) * DTYPE_BYTES[dtype]


def _without_tensors(message: Message) -> Message:
    return _with_tensors(message, ()) if isinstance(message, _LADEN) and message.tensors else message


def _with_tensors(message: _Laden, tensors: tuple[m.Tensor, ...]) -> _Laden:
    if not isinstance(message, m.Activation):
        return replace(message, tensors=tensors)
    # Written out: `replace` takes several times as long, and each step of an answer comes by here.
    return m.Activation(
        message.target,
        message.rows,
        message.first_layer,
        tensors,
        message.until_layer,
        message.spent_us,
        message.slowest_us,
    )
