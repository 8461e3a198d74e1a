"""The first lines of a peer: where it can be reached, and by whom. `demo` reads them back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from meshinfer.config import is_loopback
from meshinfer.machine.facts import MachineFacts
from meshinfer.machine.interfaces import reachable_addresses
from meshinfer.machine.network_line import network_line
from meshinfer.transports.address import parse_address
from meshinfer.transports.base import Address
from meshinfer.transports.interfaces import interfaces_for

from .terminal import Line, Tone

USUAL_LISTEN_PORT = 52414
USUAL_API_PORT = 52415

_PEER = re.compile(r"peer (\S+) listens on (\S+)")
_API = re.compile(r"API on (\S+)/v1 ")


@dataclass(frozen=True, slots=True)
class KeyNews:
    """What a peer that has just started tells of its key. label: empty where it is open.

    invitation: what to paste on the next machine, where the key was made just now. former: the label of the
    key whose place this one took.
    """

    label: str
    invitation: str = ""
    former: str = ""


def greeting(name: str, address: Address, api_url: str, key: KeyNews) -> list[Line]:
    """Say where a peer that has just started takes links and requests, and who else can join."""
    is_alone = is_loopback(parse_address(address).host)
    where = "this machine only" if is_alone else f"as {_bare(reachable_addresses(address)[0])}"
    lines = [Line(f"peer {name} listens on {_bare(address)} ({where})"), *_key_lines(key, is_alone)]
    if api_url:
        lines.append(Line(f"API on {api_url}/v1 — health at {api_url}/health"))
    return lines


def network_story(address: Address, machine: MachineFacts | None) -> Line | None:
    """Say on which interfaces peers are looked for, and what those are; None where only this machine is."""
    host = parse_address(address).host
    if machine is None or is_loopback(host):
        return None
    used = interfaces_for(host, machine.up)
    return Line(f"uses {network_line(used, machine.up, machine.network)}", Tone.DIM)


def _key_lines(key: KeyNews, is_alone: bool) -> Iterator[Line]:
    if not key.label:
        reach = "any program on this machine" if is_alone else "whoever reaches that port"
        yield Line(f"this mesh is open: {reach} can join it and read along", Tone.WARNING)
        return
    if key.former:
        yield Line(f"the invitation's key {key.label} takes the place of {key.former}", Tone.WARNING)
    if is_alone:
        yield Line(f"--listen 0.0.0.0:{USUAL_LISTEN_PORT} lets other machines join", Tone.DIM)
    elif key.invitation:
        yield Line("on the next machine, paste:")
        yield Line(f"meshinfer join --invite {key.invitation}")
        yield Line("whoever has this line can join: `meshinfer key show` prints it again", Tone.DIM)
    else:
        yield Line("`meshinfer key show` prints what to paste on another machine", Tone.DIM)


def read_listen_line(text: str) -> str | None:
    """The `HOST:PORT` that a peer's line says it listens on; None for other lines."""
    found = _PEER.match(text)
    return found[2] if found else None


def read_api_line(text: str) -> str | None:
    """The base URL that a peer's line says its API is on; None for other lines."""
    found = _API.match(text)
    return found[1] if found else None


def _bare(address: str) -> str:
    return address.partition("://")[2]
