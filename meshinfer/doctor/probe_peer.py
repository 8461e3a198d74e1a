"""Asks the peer that runs here about its mesh, and each member for the time."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from meshinfer.fabric import JACCL, RING

from .observed import ClockSeen, MemberSeen, NoPeerSeen, PeerSeen

_MOST = 256
_KEY_WANTED = 401
_CLOCK_STEP_S = 1.0
"""The header tells whole seconds."""


async def ask_peer(
    url: str,
    timeout_s: float,
    headers: Mapping[str, str],
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> PeerSeen | NoPeerSeen:
    """The peer at `url`; why there is none to ask, where there is none.

    headers: carry the user's key, if any. transport: how requests travel, None for the network.
    """
    client = httpx2.AsyncClient(headers=headers, timeout=timeout_s, trust_env=False, transport=transport)
    try:
        async with client as http:
            health, mesh = await asyncio.gather(http.get(f"{url}/health"), http.get(f"{url}/mesh"))
            if mesh.status_code == _KEY_WANTED:
                wants = "refuses the key it was shown" if headers else "asks for a key"
                return NoPeerSeen(f"what answers at {url} {wants}", wants_key=True)
            return read_peer(url, health.json(), mesh.json())
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        return NoPeerSeen(f"no peer answers at {url}")
    except httpx2.TimeoutException:
        return NoPeerSeen(f"what listens at {url} does not answer in {timeout_s:g} s")
    except httpx2.HTTPError as error:
        return NoPeerSeen(f"what listens at {url} does not answer: {str(error) or type(error).__name__}")
    except (ValueError, KeyError, TypeError):
        return NoPeerSeen(f"what answers at {url} is no meshinfer peer, or of another release")


def read_peer(url: str, health: Any, mesh: Any) -> PeerSeen:
    """Read what a peer told.

    Raises:
        KeyError, TypeError, ValueError: something is missing.
    """
    members = mesh["members"][:_MOST]
    names = {str(each["peer"]): str(each["name"]) for each in members}
    return PeerSeen(
        url,
        str(health["name"]),
        str(mesh["mesh"]),
        mesh["state"] == "live",
        str(mesh["reason"] or ""),
        tuple(_member(each, names) for each in members),
        str(health.get("key", "")),
        tuple(_fabrics(health.get("links", ()))),
        tuple((str(name), str(why)) for name, why in health.get("fabric", {}).get("failures", ())[:_MOST]),
    )


def _fabrics(links: Any) -> Iterator[tuple[str, str]]:
    for link in links[:_MOST]:
        backend = str(link["local"]).partition("://")[0]
        if link["is_primary"] and backend in (RING, JACCL):
            yield str(link["name"]), backend


def _member(body: Any, names: dict[str, str]) -> MemberSeen:
    broken = [each["peer"] for each in body.get("links", ()) if not each["is_up"]]
    return MemberSeen(
        str(body["name"]),
        str(body["status"]),
        str(body["release"]),
        tuple(str(each) for each in body["addresses"]),
        str(body["api"] or ""),
        str(body["fault"] or ""),
        tuple(names[peer] for peer in broken if peer in names),
    )


async def ask_clocks(
    members: Sequence[MemberSeen], timeout_s: float, *, transport: httpx2.AsyncBaseTransport | None = None
) -> tuple[ClockSeen, ...]:
    """What time it is at those whose API can be reached from here.

    Gossip told where they are, so no key is shown to them; `/health` needs none.
    """
    async with httpx2.AsyncClient(timeout=timeout_s, trust_env=False, transport=transport) as http:
        told = await asyncio.gather(*(_clock(http, each) for each in members if each.api))
    return tuple(each for each in told if each is not None)


async def _clock(http: httpx2.AsyncClient, member: MemberSeen) -> ClockSeen | None:
    asked_s = time.time()
    try:
        answer = await http.get(f"{member.api}/health")
    except httpx2.HTTPError:
        return None
    return read_clock(member.name, answer.headers.get("date", ""), asked_s, time.time())


def read_clock(name: str, date: str, asked_s: float, answered_s: float) -> ClockSeen | None:
    """From the `Date` of an answer; None where there is none. asked_s, answered_s: by our own clock."""
    try:
        told: datetime = parsedate_to_datetime(date)
    except ValueError:
        return None
    middle_s, half_s = (asked_s + answered_s) / 2, abs(answered_s - asked_s) / 2
    ahead_s = told.timestamp() + _CLOCK_STEP_S / 2 - middle_s
    return ClockSeen(name, ahead_s, half_s + _CLOCK_STEP_S / 2)
