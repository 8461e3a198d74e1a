"""Listens who is announced on the network by mDNS."""

import asyncio
from contextlib import aclosing

from meshinfer.transports.base import Address
from meshinfer.transports.errors import DiscoveryFailed
from meshinfer.transports.mdns import Discovery
from meshinfer.transports.sighting import Sighting

_EVERYWHERE = Address("tcp://0.0.0.0:9")
"""Nothing is announced, so the port means nothing; mDNS goes out wherever a peer would."""

_MOST = 256


async def listen_for_peers(seconds: float) -> tuple[tuple[Sighting, ...] | None, str]:
    """Those that are announced within so many seconds; None, and why, where nobody can be heard."""
    seen: dict[str, Sighting] = {}
    try:
        async with Discovery(_EVERYWHERE) as discovery:
            try:
                async with asyncio.timeout(seconds), aclosing(discovery.browse()) as sightings:
                    async for sighting in sightings:
                        if isinstance(sighting, Sighting) and len(seen) < _MOST:
                            seen[sighting.who.peer_id] = sighting
            except TimeoutError:
                pass
    except DiscoveryFailed as error:
        return None, str(error)
    return tuple(seen.values()), ""
