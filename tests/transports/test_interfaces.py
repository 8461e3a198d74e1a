import pytest

from meshinfer.transports.interfaces import (
    Interface,
    interfaces_for,
    is_sensible,
    leads_to_peers,
    list_interfaces,
)

LOOPBACK = Interface("lo", 1, ("127.0.0.1", "::1"), is_loopback=True)
CABLE = Interface("eth0", 2, ("192.168.1.4", "fe80::1%eth0"))
DOCKER = Interface("docker0", 3, ("172.17.0.1",))
ALL = [LOOPBACK, CABLE, DOCKER]


@pytest.mark.parametrize("name", ["eth0", "enp3s0", "wlan0", "bond0", "thunderbolt0", "ib0"])
def test_cables_and_radios_of_linux_are_sensible(name: str) -> None:
    assert is_sensible(name, "linux")


@pytest.mark.parametrize(
    "name", ["lo", "docker0", "br-1f2e", "veth12", "virbr0", "tailscale0", "wg0", "tun0"]
)
def test_containers_and_tunnels_of_linux_are_not(name: str) -> None:
    assert not is_sensible(name, "linux")


@pytest.mark.parametrize("name", ["en0", "en7", "bridge0", "bridge1"])
def test_cables_radios_and_the_thunderbolt_bridge_of_a_mac_are_sensible(name: str) -> None:
    assert is_sensible(name, "darwin")


@pytest.mark.parametrize(
    "name",
    [
        "lo0",
        "awdl0",
        "llw0",
        "utun3",
        "ipsec0",
        "ppp0",
        "gif0",
        "stf0",
        "anpi1",
        "ap1",
        "bridge100",
        "vmenet0",
        "feth0",
        "vnic1",
    ],
)
def test_what_a_mac_uses_for_itself_is_not(name: str) -> None:
    assert not is_sensible(name, "darwin")


def test_flags_count_besides_names() -> None:
    assert leads_to_peers(CABLE, "linux")
    assert not leads_to_peers(Interface("eth9", 9, ()), "linux")
    assert not leads_to_peers(Interface("eth9", 9, ("10.0.0.1",), is_point_to_point=True), "linux")
    assert not leads_to_peers(Interface("odd", 9, ("127.0.0.2",), is_loopback=True), "linux")


def test_who_listens_everywhere_is_found_on_all_that_lead_to_peers() -> None:
    assert interfaces_for("0.0.0.0", [LOOPBACK, CABLE]) == [Interface("eth0", 2, ("192.168.1.4",))]
    assert interfaces_for("::", [LOOPBACK, CABLE]) == [CABLE]


def test_who_listens_on_loopback_is_found_there_only() -> None:
    assert interfaces_for("localhost", ALL) == [Interface("lo", 1, ("127.0.0.1",), is_loopback=True)]


def test_who_listens_on_one_address_is_found_under_it_alone() -> None:
    assert interfaces_for("192.168.1.4", ALL) == [Interface("eth0", 2, ("192.168.1.4",))]
    assert interfaces_for("fe80::1%eth0", ALL) == [Interface("eth0", 2, ("fe80::1%eth0",))]
    assert interfaces_for("10.9.9.9", ALL) == []
    assert interfaces_for("some.name", ALL) == []


def test_this_machine_has_a_loopback() -> None:
    assert any(each.is_loopback for each in list_interfaces())
