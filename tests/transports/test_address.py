from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.address import Endpoint, datagram_address, format_address, parse_address
from meshinfer.transports.base import Address
from meshinfer.transports.errors import BadAddress, TransportError


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("tcp://192.168.1.4:52414", Endpoint("tcp", "192.168.1.4", 52414)),
        ("tcp://studio-2.local:1", Endpoint("tcp", "studio-2.local", 1)),
        ("tcp://[::1]:0", Endpoint("tcp", "::1", 0)),
        ("tcp://[fe80::1%en5]:65535", Endpoint("tcp", "fe80::1%en5", 65535)),
        ("memory://a:1", Endpoint("memory", "a", 1)),
    ],
)
def test_an_address_can_be_taken_apart_and_put_together(address: str, endpoint: Endpoint) -> None:
    assert parse_address(address) == endpoint
    assert format_address(endpoint.scheme, endpoint.host, endpoint.port) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tcp://",
        "tcp://host",
        "host:1",
        "tcp://:1",
        "tcp://::1:5",
        "tcp://h:-1",
        "tcp://h:1/x",
        "tcp://a b:1",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadAddress, match=r"expected scheme://host:port"):
        parse_address(text)


def test_a_port_out_of_range_is_named() -> None:
    with pytest.raises(BadAddress, match="port 65536 is out of range"):
        parse_address("tcp://h:65536")


@given(st.text(max_size=400))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(BadAddress):
        parse_address(text)


def test_a_bad_address_is_caught_as_a_transport_error_and_as_a_bad_value() -> None:
    assert issubclass(BadAddress, TransportError)
    assert issubclass(BadAddress, ValueError)


def test_addresses_are_plain_texts() -> None:
    assert isinstance(format_address("tcp", "h", 1), str)
    assert format_address("tcp", "h", 1) == Address("tcp://h:1")


@pytest.mark.parametrize(
    ("link", "datagrams"),
    [
        ("tcp://192.168.1.4:52414", "udp://192.168.1.4:52414"),
        ("tcp://[fe80::1%en5]:1", "udp://[fe80::1%en5]:1"),
        ("udp://192.168.1.4:52414", "udp://192.168.1.4:52414"),
        ("memory://a:1", "memory://a:1"),
    ],
)
def test_a_peer_receives_datagrams_where_it_is_dialled(link: str, datagrams: str) -> None:
    assert datagram_address(Address(link)) == datagrams


def test_what_is_no_address_has_none_for_datagrams() -> None:
    with pytest.raises(BadAddress):
        datagram_address(Address("pigeon"))
