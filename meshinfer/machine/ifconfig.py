"""What `ifconfig` tells on macOS: interfaces, their state, addresses and bridges."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

COMMAND = ("ifconfig",)

_HEAD = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9.]{0,14}): flags=[0-9a-f]{1,8}<(?P<flags>[A-Z0-9_,]*)>(?: .*)?"
)
_MTU = re.compile(r" mtu (\d{1,7})")
_STATUS = re.compile(r"^[ \t]+status: (\w+)", re.MULTILINE)
_MEDIA = re.compile(r"^[ \t]+media: (.+)", re.MULTILINE)
_MEDIA_SPEED = re.compile(r"(?P<number>\d{1,4})(?P<unit>G?)[Bb]ase")
_ADDRESS = re.compile(r"^[ \t]+inet6? ([0-9A-Fa-f.:]{2,45}(?:%[A-Za-z0-9.]{1,15})?)", re.MULTILINE)
_MEMBER = re.compile(r"^[ \t]+member: ([A-Za-z][A-Za-z0-9.]{0,14}) ", re.MULTILINE)
_MOST = 256


@dataclass(frozen=True, slots=True)
class Configured:
    """An interface. mtu, has_carrier, speed_bit_s: None where they are not told. media: as it is printed."""

    name: str
    flags: frozenset[str]
    mtu: int | None
    has_carrier: bool | None
    media: str
    speed_bit_s: int | None
    addresses: tuple[str, ...]
    members: tuple[str, ...]


def read_ifconfig(text: str) -> tuple[Configured, ...]:
    """Read it; blocks that are no interface are passed over."""
    return tuple(interface for interface, _ in zip(_interfaces(text), range(_MOST), strict=False))


def _interfaces(text: str) -> Iterator[Configured]:
    """Each interface begins at the first column, and what belongs to it is indented."""
    for block in re.split(r"\n(?=\S)", text):
        first, _, rest = block.partition("\n")
        if (head := _HEAD.fullmatch(first.rstrip())) is not None:
            yield _interface(head["name"], head["flags"], first, rest)


def _interface(name: str, flags: str, first: str, rest: str) -> Configured:
    mtu, status, media = _MTU.search(first), _STATUS.search(rest), _MEDIA.search(rest)
    shown = media[1][:200] if media else ""
    return Configured(
        name=name,
        flags=frozenset(flags.split(",")) - {""},
        mtu=int(mtu[1]) if mtu else None,
        has_carrier=status[1] == "active" if status else None,
        media=shown,
        speed_bit_s=_speed_bit_s(shown),
        addresses=tuple(_ADDRESS.findall(rest)[:_MOST]),
        members=tuple(_MEMBER.findall(rest)[:_MOST]),
    )


def _speed_bit_s(media: str) -> int | None:
    """Of `autoselect (10Gbase-T <full-duplex>)`; cables of Thunderbolt tell none."""
    speed = _MEDIA_SPEED.search(media)
    if speed is None:
        return None
    return int(speed["number"]) * (1_000_000_000 if speed["unit"] else 1_000_000)
