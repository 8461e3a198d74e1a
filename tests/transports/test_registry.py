import pytest

from meshinfer.transports.base import Address, LinkLimits
from meshinfer.transports.buffers import PooledBuffers
from meshinfer.transports.errors import BadAddress
from meshinfer.transports.registry import transport_for
from meshinfer.transports.tcp import TcpTransport


def test_a_scheme_finds_its_transport() -> None:
    made = transport_for(Address("tcp://0.0.0.0:0"), LinkLimits(), PooledBuffers())
    assert isinstance(made, TcpTransport)


def test_an_unknown_scheme_is_named_with_those_that_are_known() -> None:
    with pytest.raises(BadAddress, match=r"unknown scheme 'pigeon', known are tcp"):
        transport_for(Address("pigeon://coop:1"), LinkLimits(), PooledBuffers())
