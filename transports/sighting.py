"""What peers tell the local network about themselves, and what is believed of it."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .address import format_address
from .base import Address

SERVICE = "_meshinfer._tcp.local."

OPEN = "open"
"""What stands for a key's label where a mesh has no key."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What a peer and a mesh may be called."""

_AND = "+"

_PEER = re.compile(r"[0-9A-Za-z_-]{1,63}", re.ASCII)  # 63 bytes: a label of DNS
_MAX_TEXT_BYTES = 128
_MAX_ADDRESSES = 16


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a peer says about itself. The peer's id names the service: it must be a DNS label.

    key: the label of its mesh's key, by which people tell keys apart, or `OPEN`; the labels of both, with a
    plus sign between them, while the mesh changes its key.
    """

    peer_id: str
    name: str
    mesh: str
    release: str
    wire_version: int
    key: str

    def __post_init__(self) -> None:
        if _PEER.fullmatch(self.peer_id) is None:
            raise ValueError(f"peer id {self.peer_id!r}: expected 1 to 63 of 0-9, A-Z, a-z, _ and -")
        for name in (self.name, self.mesh):
            if NAME.fullmatch(name) is None:
                raise ValueError(f"{name[:40]!r}: expected 1 to 63 letters, digits, '.', '_' or '-'")
        for text in (self.release, self.key):
            if len(text.encode()) > _MAX_TEXT_BYTES or not text.isprintable():
                raise ValueError(f"{text[:40]!r}: expected at most {_MAX_TEXT_BYTES} printable bytes")
        if not 0 <= self.wire_version <= 0xFFFF:
            raise ValueError(f"wire version {self.wire_version}: expected 0 to 65535")

    @property
    def keys(self) -> tuple[str, ...]:
        """The labels of the keys that it accepts."""
        return tuple(self.key.split(_AND))

    @property
    def service_name(self) -> str:
        """The name of this peer's service instance."""
        return f"{self.peer_id}.{SERVICE}"

    def to_txt(self) -> dict[str, str]:
        """Make the service's TXT record."""
        return {
            "peer": self.peer_id,
            "name": self.name,
            "mesh": self.mesh,
            "release": self.release,
            "wire": str(self.wire_version),
            "key": self.key,
        }


def key_text(labels: Iterable[str]) -> str:
    """The labels of keys, as they are announced."""
    return _AND.join(labels)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A peer that somebody on the local network announces; nothing of it is proven yet."""

    who: Announcement
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Vanished:
    """A peer that is announced no more. Its links may be well."""

    peer_id: str


def read_sighting(
    service_name: str, txt: Mapping[bytes, bytes | None], addresses: Iterable[str], port: int
) -> Sighting | None:
    """Read what the network said; None when it is not what a peer would say."""
    peer_id = peer_of(service_name)
    try:
        fields = {key.decode(): (value or b"").decode() for key, value in txt.items()}
        if peer_id is None or fields["peer"] != peer_id or not 0 < port <= 0xFFFF:
            return None
        wire_version = int(fields["wire"][:6])
        texts = fields["name"], fields["mesh"], fields["release"]
        who = Announcement(peer_id, *texts, wire_version, fields["key"])
    except (KeyError, ValueError):  # UnicodeDecodeError is one
        return None
    dialable = [format_address("tcp", host, port) for host in addresses if _is_dialable(host)]
    return Sighting(who, tuple(dialable[:_MAX_ADDRESSES])) if dialable else None


def peer_of(service_name: str) -> str | None:
    """Find the peer's id in the name of its service instance."""
    label = service_name.removesuffix("." + SERVICE)
    return label if label != service_name and _PEER.fullmatch(label) else None


def _is_dialable(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local and not address.scope_id:
        return False  # good on one interface only, and nobody said which
    return not (address.is_unspecified or address.is_multicast)
