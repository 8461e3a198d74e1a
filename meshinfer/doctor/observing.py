"""Looks at this machine, its network and its peers, all at once, each for so long at most."""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from meshinfer.config import is_loopback
from meshinfer.machine.off_loop import off_loop
from meshinfer.transports.address import parse_address
from meshinfer.transports.errors import BadAddress

from .looking import AT_PORTS, LOOKS, Change, Request
from .observed import Observed, PeerSeen
from .probe_dial import dial_all
from .probe_neighbours import listen_for_peers
from .probe_peer import ask_clocks, ask_peer

_MOST_DIALLED = 32


async def observe(request: Request, observed: Observed) -> Observed:
    """Add to `observed` all that can be seen. What takes too long is left out and named in `silent`."""
    looks = _looks((name for name in LOOKS if name not in AT_PORTS), request)
    looks["the peer"] = _peer(request)
    looks["mDNS"] = _neighbours(request)
    observed = await _all(looks, request, observed)
    # Whom to try, and at which ports, is known only now.
    request = at_own_ports(request, observed.peer)
    observed = replace(observed, port=request.listen[1])
    looks = _looks((name for name in LOOKS if name in AT_PORTS), request)
    looks["peers"] = _dials(request, observed)
    looks["clocks"] = _clocks(request, observed)
    return await _all(looks, request, observed)


def at_own_ports(request: Request, peer: PeerSeen | None) -> Request:
    """The same request, at the ports of the peer that runs on this machine, unless others are meant."""
    if peer is None or request.is_listen_given:
        return request
    url = urlsplit(peer.url)
    if not is_loopback(url.hostname or ""):
        # It may as well run on another machine.
        return request
    listen = [(host, port) for _, host, port in _addresses(peer.name, peer.addresses)]
    if not listen:
        return request
    return replace(request, listen=(request.listen[0], listen[0][1]), api_port=url.port or request.api_port)


def _looks(names: Iterable[str], request: Request) -> dict[str, Awaitable[Change]]:
    return {name: off_loop(partial(LOOKS[name], request), f"doctor {name}") for name in names}


async def _all(looks: dict[str, Awaitable[Change]], request: Request, observed: Observed) -> Observed:
    within_s = request.limits.timeout_s * 2 + request.limits.listen_s
    changes = await asyncio.gather(*(_within(within_s, name, each) for name, each in looks.items()))
    for change in changes:
        observed = change(observed)
    return observed


async def _within(within_s: float, name: str, looking: Awaitable[Change]) -> Change:
    try:
        async with asyncio.timeout(within_s):
            return await looking
    except TimeoutError:
        return _silent(f"{name}: no answer in {within_s:g} s")
    except OSError as error:
        return _silent(f"{name}: {error}")


def _silent(text: str) -> Change:
    return lambda seen: replace(seen, silent=(*seen.silent, text))


async def _peer(request: Request) -> Change:
    told = await ask_peer(request.url, request.limits.timeout_s, request.headers)
    if isinstance(told, PeerSeen):
        return lambda seen: replace(seen, peer=told, mesh=told.mesh)
    return lambda seen: replace(seen, peer_silence=told.reason, peer_wants_key=told.wants_key)


async def _neighbours(request: Request) -> Change:
    sightings, reason = await listen_for_peers(request.limits.listen_s)
    return lambda seen: replace(seen, sightings=sightings, no_sightings=reason)


async def _dials(request: Request, observed: Observed) -> Change:
    dialled = await dial_all(to_dial(observed, request.peers), request.limits.timeout_s)
    return lambda seen: replace(seen, dialled=dialled)


async def _clocks(request: Request, observed: Observed) -> Change:
    clocks = await ask_clocks(observed.peer.members if observed.peer else (), request.limits.timeout_s)
    return lambda seen: replace(seen, clocks=clocks)


def to_dial(observed: Observed, peers: tuple[tuple[str, int], ...]) -> list[tuple[str, str, int]]:
    """Whom to try: those that were named, the other members of the mesh, and those that are announced."""
    own = observed.peer.name if observed.peer is not None else ""
    members = [each for each in (observed.peer.members if observed.peer else ()) if each.name != own]
    known = {own, *(member.name for member in members)}
    announced = [
        each
        for each in observed.sightings or ()
        if each.who.mesh == observed.mesh and each.who.name not in known
    ]
    found = [("", host, port) for host, port in peers]
    found += [each for member in members for each in _addresses(member.name, member.addresses)]
    found += [each for sighting in announced for each in _addresses(sighting.who.name, sighting.addresses)]
    return list(dict.fromkeys(found))[:_MOST_DIALLED]


def _addresses(name: str, addresses: tuple[str, ...]) -> list[tuple[str, str, int]]:
    found = []
    for address in addresses:
        try:
            endpoint = parse_address(address)
        except BadAddress:
            continue
        found.append((name, endpoint.host, endpoint.port))
    return found
