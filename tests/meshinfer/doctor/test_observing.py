import socket
from dataclasses import replace

import pytest

from meshinfer.config import DoctorLimits
from meshinfer.doctor.looking import Request
from meshinfer.doctor.observed import MemberSeen, Observed, PeerSeen
from meshinfer.doctor.observing import at_own_ports, observe, to_dial
from meshinfer.transports.base import Address
from meshinfer.transports.sighting import Announcement, Sighting

MEMBERS = (
    MemberSeen("mac-1", "alive", "0.1.0", ("tcp://10.0.0.1:1",)),
    MemberSeen("mac-2", "alive", "0.1.0", ("tcp://10.0.0.2:2", "tcp://[fe80::2%en5]:2", "nonsense")),
)
PEER = PeerSeen("http://127.0.0.1:1", "mac-1", "lab", True, "", MEMBERS)


def sighting(name: str, mesh: str) -> Sighting:
    return Sighting(Announcement(name, name, mesh, "0.1.0", 1, "open"), (Address("tcp://10.0.0.9:9"),))


def test_the_named_the_members_and_the_announced_are_tried_and_not_ourselves() -> None:
    sightings = (sighting("mac-2", "lab"), sighting("mac-9", "lab"), sighting("mac-8", "elsewhere"))
    observed = Observed(mesh="lab", peer=PEER, sightings=sightings)
    assert to_dial(observed, (("10.0.0.7", 7), ("10.0.0.7", 7))) == [
        ("", "10.0.0.7", 7),
        ("mac-2", "10.0.0.2", 2),
        ("mac-2", "fe80::2%en5", 2),
        ("mac-9", "10.0.0.9", 9),
    ]


def test_there_is_an_end_to_whom_is_tried() -> None:
    many = tuple((f"10.0.{number // 256}.{number % 256}", 1) for number in range(1000))
    assert len(to_dial(Observed(), many)) == 32


LOCAL = PeerSeen("http://127.0.0.1:81", "mac-1", "lab", True, "", MEMBERS)
USUAL = Request("http://127.0.0.1:81", (), "lab", ("0.0.0.0", 52414), 52415, (), is_listen_given=False)


def test_ports_are_looked_at_where_the_peer_that_runs_here_has_them() -> None:
    own = at_own_ports(USUAL, LOCAL)
    assert (own.listen, own.api_port) == (("0.0.0.0", 1), 81)


@pytest.mark.parametrize(
    ("request_", "peer"),
    [
        (USUAL, None),
        (replace(USUAL, is_listen_given=True), LOCAL),
        (USUAL, replace(LOCAL, url="http://10.0.0.2:81")),
        (USUAL, replace(LOCAL, members=())),
    ],
)
def test_else_they_are_those_that_were_named_or_are_usual(request_: Request, peer: PeerSeen | None) -> None:
    assert at_own_ports(request_, peer) == request_


async def test_nobody_is_waited_for_longer_than_is_configured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        limits = DoctorLimits(timeout_s=0.05, listen_s=0.0)
        request = Request(url, (), "lab", ("127.0.0.1", 0), 0, (), limits)
        observed = await observe(request, Observed())
    told = [observed.peer_silence, *observed.silent]
    assert observed.peer is None
    # The time may be over while it is dialled, while it is asked, or for the look as a whole.
    silences = {f"no peer answers at {url}", f"what listens at {url} does not answer in 0.05 s"}
    assert (silences | {"the peer: no answer in 0.1 s"}) & set(told)
