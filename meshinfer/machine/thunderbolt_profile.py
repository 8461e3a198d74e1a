"""What `system_profiler SPThunderboltDataType -json` tells: a Mac's Thunderbolt ports, and who is there."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from .thunderbolt import FarEnd, ThunderboltPort

COMMAND = ("system_profiler", "SPThunderboltDataType", "-json")

_SPEED = re.compile(r"(\d{1,4}) Gb/s")
_DOMAIN = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_RECEPTACLE = re.compile(r"\d{1,3}")
_RDMA_PROTOCOL = 64087
"""A service of this number is there while the other computer has RDMA turned on; its name is not reliable."""

_DEEPEST = 8
"""Devices in one chain; Thunderbolt allows six."""
_MOST = 64


def read_thunderbolt(text: str) -> tuple[ThunderboltPort, ...]:
    """Read it; whatever is no port is passed over, and so is a text that is no JSON."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    buses = _dicts(whole.get("SPThunderboltDataType") if isinstance(whole, dict) else None)
    return tuple(port for bus in buses if (port := _port(bus)) is not None)


def _port(bus: dict[str, Any]) -> ThunderboltPort | None:
    """One bus is one socket of the computer; what shows no receptacle is none."""
    tag = bus.get("receptacle_1_tag")
    if not isinstance(tag, dict):
        return None
    number = _RECEPTACLE.fullmatch(_text(tag, "receptacle_id_key"))
    speed = _text(tag, "current_speed_key")
    found = _SPEED.search(speed)
    bit_s = int(found[1]) * 1_000_000_000 if found else 0
    is_idle = speed.startswith("Up to")
    return ThunderboltPort(
        domain=_domain(bus),
        receptacle=int(number[0]) if number else 0,
        speed_bit_s=0 if is_idle else bit_s,
        most_bit_s=bit_s if is_idle else 0,
        far_ends=tuple(_far_ends(_dicts(bus.get("_items")), 0)),
    )


def _far_ends(items: Sequence[dict[str, Any]], depth: int) -> Iterator[FarEnd]:
    """Computers have a bus of their own, and docks and disks have none but may lead to computers."""
    if depth >= _DEEPEST:
        return
    for item in items:
        if domain := _domain(item):
            protocols = [service.get("protocol_id_key") for service in _dicts(item.get("services_title"))]
            model = _text(item, "device_name_key")
            yield FarEnd(domain, model, _RDMA_PROTOCOL in protocols, is_via_hub=depth > 0)
        yield from _far_ends(_dicts(item.get("_items")), depth + 1)


def _domain(entry: dict[str, Any]) -> str:
    domain = _text(entry, "domain_uuid_key").upper()
    return domain if _DOMAIN.fullmatch(domain) else ""


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value[:100] if isinstance(value, str) else ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value[:_MOST] if isinstance(each, dict)] if isinstance(value, list) else []
