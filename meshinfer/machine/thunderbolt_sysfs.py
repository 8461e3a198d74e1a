"""What Linux shows of Thunderbolt cables below /sys/bus/thunderbolt: who is there, and how fast."""

import re
from pathlib import Path

from .sysfs import read_line, read_number
from .thunderbolt import FarEnd, ThunderboltPort

_SERVICE = re.compile(r"(?P<far>(?P<domain>\d{1,4})-(?P<route>[0-9a-f]{1,16}))\.\d{1,4}")
"""A service of another computer, such as `0-1.0`: the host's number, the way there, the service's number."""

_SPEED = re.compile(r"(\d{1,4})(?:\.\d)? Gb/s")
_ONE_HOP = 0xFF


def port_of(interface: Path, sys: Path) -> ThunderboltPort | None:
    """The port behind an interface of thunderbolt-net; None where the kernel does not show it.

    interface: its folder below class/net. Linux does not know what is written beside a socket, so there is
    no receptacle. An older kernel tells no speeds, and then it is 0.
    """
    try:
        service = _SERVICE.fullmatch((interface / "device").resolve(strict=True).name)
    except (OSError, RuntimeError):
        return None
    if service is None:
        return None
    devices = sys / "bus" / "thunderbolt" / "devices"
    far, route = devices / service["far"], int(service["route"], 16)
    domain = read_line(far / "unique_id").upper()
    end = FarEnd(domain, read_line(far / "device_name"), is_via_hub=route > _ONE_HOP)
    return ThunderboltPort(
        domain=read_line(devices / f"{service['domain']}-0" / "unique_id").upper(),
        receptacle=0,
        speed_bit_s=_speed_bit_s(far),
        far_ends=(end,) if domain else (),
    )


def _speed_bit_s(far: Path) -> int:
    """The slower direction: so much a lane, times its lanes."""
    ways = []
    for way in ("rx", "tx"):
        speed = _SPEED.match(read_line(far / f"{way}_speed"))
        lanes = read_number(far / f"{way}_lanes")
        ways.append(int(speed[1]) * 1_000_000_000 * max(lanes or 0, 1) if speed else 0)
    return min(ways)
