"""What stands before the head of each frame on a path: which frame it is, and which came the other way."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from .base import Frame
from .errors import Unlabelled

_LABEL = struct.Struct(">BQQQ")
LABEL_BYTES = _LABEL.size


class Kind(IntEnum):
    """What a frame on a path is for.

    DATA: a frame of the trunk; number: its place among all of them.
    ACK: nothing but the acknowledgement that every label carries.
    PING, PONG: a question whether the path works, and its answer; number: which question.
    BURST: bytes that measure how wide the path is; number: which burst, detail: how many bytes of it follow.
    GAUGED: a burst came; number: which one, detail: bytes a second.
    """

    DATA = 0
    ACK = 1
    PING = 2
    PONG = 3
    BURST = 4
    GAUGED = 5


_KINDS = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Label:
    """A frame's label. acknowledged: all frames of the trunk below this number have come to who says so."""

    kind: Kind
    number: int
    acknowledged: int
    detail: int = 0


def labelled(label: Label, frame: Frame) -> Frame:
    """Put a label before a frame's head; the payload stays where it lies."""
    front = _LABEL.pack(label.kind, label.number, label.acknowledged, label.detail)
    return Frame(front + frame.head, frame.payload)


def bare(label: Label) -> Frame:
    """A frame that is a label and nothing else."""
    return Frame(_LABEL.pack(label.kind, label.number, label.acknowledged, label.detail))


def unlabelled(frame: Frame) -> tuple[Label, Frame]:
    """Take the label off a frame that came.

    Raises:
        Unlabelled: it has none that is known here. Its buffer is released.
    """
    if len(frame.head) >= LABEL_BYTES:
        kind, number, acknowledged, detail = _LABEL.unpack_from(frame.head)
        if (known := _KINDS.get(kind)) is not None:
            rest = Frame(frame.head[LABEL_BYTES:], frame.payload, frame.buffer)
            return Label(known, number, acknowledged, detail), rest
    if frame.buffer is not None:
        frame.buffer.release()
    raise Unlabelled(f"a frame with a head of {len(frame.head)} bytes came without a label")
