import pytest

from meshinfer.cli.greeting import (
    KeyNews,
    greeting,
    network_story,
    read_api_line,
    read_listen_line,
)
from meshinfer.cli.terminal import Tone
from meshinfer.machine.facts import MachineFacts
from meshinfer.machine.hardware import Hardware
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.rdma import Readiness
from meshinfer.transports.base import Address
from meshinfer.transports.interfaces import Interface

HERE, OUT = Address("tcp://127.0.0.1:52414"), Address("tcp://192.168.1.4:52414")
API = "http://127.0.0.1:52415"


def test_on_loopback_it_says_that_nobody_else_can_join_and_how_they_could() -> None:
    texts = [line.text for line in greeting("mac-1", HERE, API, KeyNews("1a2b3c4d"))]
    assert texts == [
        "peer mac-1 listens on 127.0.0.1:52414 (this machine only)",
        "--listen 0.0.0.0:52414 lets other machines join",
        "API on http://127.0.0.1:52415/v1 — health at http://127.0.0.1:52415/health",
    ]


def test_beyond_loopback_a_new_key_is_shown_as_the_line_to_paste() -> None:
    lines = greeting("mac-1", OUT, API, KeyNews("1a2b3c4d", "meshinfer1_abc"))
    assert lines[0].text == "peer mac-1 listens on 192.168.1.4:52414 (as 192.168.1.4:52414)"
    assert "meshinfer join --invite meshinfer1_abc" in [line.text for line in lines]
    assert not [line for line in lines if line.tone is Tone.WARNING]


def test_a_key_that_was_there_is_not_shown_again() -> None:
    texts = [line.text for line in greeting("mac-1", OUT, API, KeyNews("1a2b3c4d"))]
    assert "`meshinfer key show` prints what to paste on another machine" in texts


@pytest.mark.parametrize(
    ("address", "who"), [(HERE, "any program on this machine"), (OUT, "whoever reaches")]
)
def test_an_open_mesh_is_warned_of(address: Address, who: str) -> None:
    (warning,) = [line for line in greeting("mac-1", address, API, KeyNews("")) if line.tone is Tone.WARNING]
    assert who in warning.text


def test_a_key_that_gave_way_is_named() -> None:
    lines = greeting("mac-1", OUT, API, KeyNews("1a2b3c4d", former="99999999"))
    assert any("takes the place of 99999999" in line.text for line in lines)


def test_what_is_said_can_be_read_back() -> None:
    texts = [line.text for line in greeting("mac-1", Address("tcp://[::1]:7"), API, KeyNews("1a2b3c4d"))]
    assert [read_listen_line(text) for text in texts] == ["[::1]:7", None, None]
    assert [read_api_line(text) for text in texts] == [None, None, API]


def test_a_peer_of_several_machines_says_which_interfaces_it_uses() -> None:
    network = NetworkFacts((InterfaceFacts("eth0", Kind.ETHERNET, speed_bit_s=10**10),))
    up = (Interface("lo", 1, ("127.0.0.1",), is_loopback=True), Interface("eth0", 2, ("10.0.0.1",)))
    machine = MachineFacts(Hardware("Linux", "EPYC", 2, 1 << 34), network, Readiness(), up)
    line = network_story(Address("tcp://0.0.0.0:52414"), machine)
    assert line is not None
    assert line.text == "uses eth0 Ethernet 10 Gb/s"
    assert network_story(Address("tcp://127.0.0.1:52414"), machine) is None
    assert network_story(Address("tcp://0.0.0.0:52414"), None) is None
