from meshinfer.transports.base import Address
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.ways import Way, interface_of, ways_to

ETH = Interface(
    "eth0",
    2,
    ("10.0.0.1", "fe80::1%eth0", "fd00::1"),
    networks=("10.0.0.1/24", "fe80::1%eth0/64", "fd00::1/64"),
)
TB1 = Interface("tb1", 3, ("169.254.3.1", "fe80::2%tb1"), networks=("169.254.3.1/16", "fe80::2%tb1/64"))
TB2 = Interface("tb2", 4, ("169.254.3.2",), networks=("169.254.3.2/16",))
ALL = [ETH, TB1, TB2]


def ways(*addresses: str) -> list[Way]:
    return ways_to(map(Address, addresses), ALL)


def test_an_address_is_dialled_from_the_interface_in_whose_network_it_lies() -> None:
    assert ways("tcp://10.0.0.7:1") == [Way(Address("tcp://10.0.0.7:1"), "10.0.0.1", "eth0")]
    assert ways("tcp://[fd00::7]:1") == [Way(Address("tcp://[fd00::7]:1"), "fd00::1", "eth0")]


def test_where_several_have_the_same_network_each_is_a_way() -> None:
    address = Address("tcp://169.254.9.9:1")
    assert ways(address) == [Way(address, "169.254.3.1", "tb1"), Way(address, "169.254.3.2", "tb2")]


def test_a_link_local_address_goes_by_its_interface_or_not_at_all() -> None:
    address = Address("tcp://[fe80::9%tb1]:1")
    assert ways(address) == [Way(address, "fe80::2%tb1", "tb1")]
    assert ways("tcp://[fe80::9%gone]:1") == []


def test_elsewhere_the_system_finds_the_way() -> None:
    for address in (
        Address("tcp://198.51.100.7:1"),
        Address("tcp://studio.local:1"),
        Address("memory://a:1"),
    ):
        assert ways(address) == [Way(address)]


def test_each_interface_comes_once_before_any_comes_twice() -> None:
    found = ways("tcp://10.0.0.7:1", "tcp://10.0.0.8:1", "tcp://169.254.9.9:1", "tcp://198.51.100.7:1")
    assert [way.interface for way in found] == ["eth0", "tb1", "tb2", "eth0", ""]


def test_addresses_keep_their_order_where_nothing_is_known_of_interfaces() -> None:
    addresses = [Address(f"memory://{host}:1") for host in "cab"]
    assert ways_to(addresses, ()) == [Way(address) for address in addresses]


def test_an_own_address_tells_its_interface() -> None:
    assert interface_of(Address("tcp://[fe80::2%tb1]:40000"), ALL) == "tb1"
    assert interface_of(Address("tcp://192.0.2.1:40000"), ALL) == ""
    assert interface_of(Address("tcp://unknown"), ALL) == ""
