"""The first lines of a peer: where it can be reached, and by whom. `demo` reads them back."""

import ipaddress
import re

from meshinfer.machine.interfaces import reachable_addresses
from meshinfer.transports.address import parse_address
from meshinfer.transports.base import Address

from .terminal import Line, Tone

USUAL_LISTEN_PORT = 52414
USUAL_API_PORT = 52415

_PEER = re.compile(r"peer (\S+) listens on (\S+)")
_API = re.compile(r"API on (\S+)/v1 ")


def greeting(name: str, address: Address, api_url: str) -> list[Line]:
    """Say where a peer that has just started takes links and requests."""
    host = parse_address(address).host
    if is_loopback(host):
        lines = [
            Line(f"peer {name} listens on {_bare(address)} (this machine only)"),
            Line(f"--listen 0.0.0.0:{USUAL_LISTEN_PORT} lets other machines join", Tone.DIM),
        ]
    else:
        seed = _bare(reachable_addresses(address)[0])
        lines = [
            Line(f"peer {name} listens on {_bare(address)} (others join with --peer {seed})"),
            Line(
                "whoever reaches that port can join and read along: meshinfer has no keys yet", Tone.WARNING
            ),
        ]
    if api_url:
        lines.append(Line(f"API on {api_url}/v1 — health at {api_url}/health"))
        if not is_loopback(parse_address(api_url).host):
            lines.append(Line("whoever reaches the API can use it: it asks for no key yet", Tone.WARNING))
    return lines


def read_listen_line(text: str) -> str | None:
    """The `HOST:PORT` that a peer's line says it listens on; None for other lines."""
    found = _PEER.match(text)
    return found[2] if found else None


def read_api_line(text: str) -> str | None:
    """The base URL that a peer's line says its API is on; None for other lines."""
    found = _API.match(text)
    return found[1] if found else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _bare(address: str) -> str:
    return address.partition("://")[2]
