import socket
from contextlib import closing

import pytest

from meshinfer.doctor.probe_multicast import question, try_multicast
from meshinfer.transports.interfaces import Interface, interfaces_for, list_interfaces


def free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_question_is_one_of_mdns() -> None:
    packet = question(b"\x12\x34")
    assert packet.startswith(
        b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0a_meshinfer\x04_tcp\x05local\x00"
    )
    assert packet.endswith(b"\x00\x0c\x00\x01")


def test_where_multicast_works_the_question_comes_back() -> None:
    used = interfaces_for("0.0.0.0", list_interfaces())
    if not used:
        pytest.skip("this machine has no network")
    heard = try_multicast(used[0], 10.0, free_port())
    assert heard.is_heard or heard.reason


def test_a_port_that_somebody_keeps_to_himself_is_the_reason() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as selfish:
        selfish.bind(("", 0))
        heard = try_multicast(Interface("lo", 1, ("127.0.0.1",)), 1.0, selfish.getsockname()[1])
    assert not heard.is_heard
    assert "holds UDP port" in heard.reason


def test_an_interface_that_is_not_there_is_no_error() -> None:
    gone = try_multicast(Interface("gone0", 4242, ("fe80::1%gone0",)), 1.0, free_port())
    assert not gone.is_heard
    assert gone.errno
    assert gone.reason
