from typing import Any

import httpx2
import pytest

from meshinfer.doctor.observed import ClockSeen, MemberSeen, NoPeerSeen, PeerSeen
from meshinfer.doctor.probe_peer import ask_clocks, ask_peer, read_clock, read_peer
from tests.ports import absent_server

MEMBER = {
    "peer": "b",
    "name": "mac-2",
    "status": "alive",
    "release": "0.1.0",
    "addresses": ["tcp://10.0.0.2:1"],
}
REST: dict[str, Any] = {"api": None, "fault": None}
LINKS = {"links": [{"peer": "a", "rtt_us": 9, "mb_s": 0, "is_up": False}, {"peer": "x", "is_up": False}]}
MESH = {
    "mesh": "lab",
    "state": "waiting",
    "reason": "nobody has told",
    "members": [
        MEMBER | REST | LINKS,
        {**MEMBER, "peer": "a", "name": "mac-1", "fault": "no room", "api": "http://x"},
    ],
}


def test_what_a_peer_tells_is_read() -> None:
    peer = read_peer("http://127.0.0.1:1", {"name": "mac-1"}, MESH)
    assert (peer.name, peer.mesh, peer.is_live, peer.reason) == ("mac-1", "lab", False, "nobody has told")
    two, one = peer.members
    assert (two.broken_links, two.fault, two.api) == (("mac-1",), "", "")
    assert (one.fault, one.api, one.broken_links) == ("no room", "http://x", ())


def test_what_a_peer_tells_of_its_fabrics_is_read() -> None:
    links = [
        {"name": "mac-2", "local": "jaccl://mac-1:0", "is_primary": True},
        {"name": "mac-2", "local": "tcp://10.0.0.1:1", "is_primary": False},
        {"name": "mac-3", "local": "ring://mac-1:0", "is_primary": False},
        {"name": "mac-3", "local": "tcp://10.0.0.1:2", "is_primary": True},
    ]
    fabric = {"backend": "jaccl", "why_not": "", "failures": [["mac-4", "it needs macOS"]]}
    peer = read_peer("http://127.0.0.1:1", {"name": "mac-1", "links": links, "fabric": fabric}, MESH)
    assert peer.fabrics == (("mac-2", "jaccl"),)
    assert peer.fabric_failures == (("mac-4", "it needs macOS"),)


@pytest.mark.parametrize("mesh", [{}, [], None, {**MESH, "members": [{}]}, {**MESH, "members": 5}])
def test_what_is_no_mesh_is_refused(mesh: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_peer("http://127.0.0.1:1", {"name": "mac-1"}, mesh)


async def test_where_nobody_listens_nobody_is_asked() -> None:
    with absent_server() as url:
        assert await ask_peer(url, 60.0, {}) == NoPeerSeen(f"no peer answers at {url}")
    peer = PeerSeen(url, "mac-1", "lab", True, "", ())
    assert await ask_clocks(peer.members, 30.0) == ()


KEY = {"Authorization": "Bearer secret"}


def guarded(request: httpx2.Request) -> httpx2.Response:
    """A peer with an API key, `secret`."""
    if request.url.path == "/health":
        return httpx2.Response(200, json={"name": "mac-1"})
    if request.headers.get("authorization") != KEY["Authorization"]:
        return httpx2.Response(401, json={"error": {"message": "this API needs a key"}})
    return httpx2.Response(200, json=MESH)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "what answers at http://a:1 asks for a key"),
        ({"Authorization": "Bearer x"}, "what answers at http://a:1 refuses the key it was shown"),
    ],
)
async def test_a_peer_that_asks_for_a_key_is_no_stranger(headers: dict[str, str], reason: str) -> None:
    told = await ask_peer("http://a:1", 60.0, headers, transport=httpx2.MockTransport(guarded))
    assert told == NoPeerSeen(reason, wants_key=True)


async def test_a_peer_is_asked_with_the_key_of_the_user() -> None:
    told = await ask_peer("http://a:1", 60.0, KEY, transport=httpx2.MockTransport(guarded))
    assert isinstance(told, PeerSeen)


async def test_no_key_goes_to_whom_gossip_names() -> None:
    asked: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200)

    member = MemberSeen("mac-2", "alive", "0.1.0", api="http://b:2")
    await ask_clocks([member], 60.0, transport=httpx2.MockTransport(handle))
    assert [(request.url.host, request.headers.get("authorization")) for request in asked] == [("b", None)]


def test_a_clock_is_compared_within_what_its_answer_took() -> None:
    assert read_clock("mac-2", "Thu, 01 Jan 1970 00:01:40 GMT", 10.0, 12.0) == ClockSeen("mac-2", 89.5, 1.5)


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 1970 00:00:00 GMT"])
def test_what_is_no_date_is_no_clock(date: str) -> None:
    assert read_clock("mac-2", date, 0.0, 0.0) is None
