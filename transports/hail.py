"""What peers call out on each cable, and answer: tiny datagrams, and what is believed of them.

    magic 4 | wire version 2 | kind 1 | digest of the mesh 8 | peer 16 | nonce 8 | port 2      (big-endian)

and four texts, each behind its length in one byte: name, mesh, release, the key's label.

The layout is for ever up to the texts, so that peers of other versions are told apart and named.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from .sighting import Announcement

_FRONT = struct.Struct(">4sHB8s16s8sH")
_MAGIC = b"\x89mhi"
_PERSON = b"meshinfer-hail"
NONCE_BYTES = 8
_TEXTS = 4
MAX_HAIL_BYTES = _FRONT.size + _TEXTS * (1 + 128)


class Call(IntEnum):
    """HAIL: who is there? ANSWER: I am, to one who hailed."""

    HAIL = 1
    ANSWER = 2


@dataclass(frozen=True, slots=True)
class Hail:
    """A call or an answer. nonce: of the call, and the same in its answer. port: where `who` takes links."""

    call: Call
    who: Announcement
    nonce: bytes
    port: int


def encode_hail(hail: Hail) -> bytes:
    """Make a datagram of it."""
    who = hail.who
    front = _FRONT.pack(
        _MAGIC,
        who.wire_version,
        hail.call,
        _digest(who.mesh),
        bytes.fromhex(who.peer_id),
        hail.nonce,
        hail.port,
    )
    texts = (text.encode() for text in (who.name, who.mesh, who.release, who.key))
    return front + b"".join(bytes((len(text),)) + text for text in texts)


def decode_hail(data: bytes) -> Hail | None:
    """Read a datagram; None when it is not what a peer would say."""
    if not _FRONT.size <= len(data) <= MAX_HAIL_BYTES:
        return None
    magic, version, call, digest, peer, nonce, port = _FRONT.unpack_from(data)
    if magic != _MAGIC or not port:
        return None
    texts, at = [], _FRONT.size
    try:
        for _ in range(_TEXTS):
            end = at + 1 + data[at]
            if end > len(data):
                return None
            texts.append(data[at + 1 : end].decode())
            at = end
        name, mesh, release, key = texts
        who = Announcement(peer.hex(), name, mesh, release, version, key)
        hail = Hail(Call(call), who, nonce, port)
    except (IndexError, ValueError):  # UnicodeDecodeError is one
        return None
    return hail if digest == _digest(who.mesh) else None


def _digest(mesh: str) -> bytes:
    return hashlib.blake2b(mesh.encode(), digest_size=8, person=_PERSON).digest()
