import pytest

from meshinfer.machine.hardwareports import HardwarePort, read_hardware_ports
from meshinfer.machine.ifconfig import read_ifconfig
from meshinfer.machine.netkinds import Kind, NetworkFacts, cables_of, expected_bit_s, kind_of
from meshinfer.machine.network_macos import assemble
from meshinfer.machine.thunderbolt_profile import read_thunderbolt
from tests.platform import STUDIOS, told


def network(machine: str) -> NetworkFacts:
    return assemble(
        read_hardware_ports(told(machine, "hardwareports.txt")),
        read_ifconfig(told(machine, "ifconfig.txt")),
        read_thunderbolt(told(machine, "thunderbolt.json")),
    )


STUDIO = network("m3-ultra-1")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lo0", Kind.LOOPBACK),
        ("en0", Kind.ETHERNET),
        ("en1", Kind.WIFI),
        ("en5", Kind.THUNDERBOLT),
        # Called Ethernet Adapter, and no cable goes into it.
        ("en8", Kind.VIRTUAL),
        ("anpi0", Kind.VIRTUAL),
        ("awdl0", Kind.AWDL),
        ("llw0", Kind.AWDL),
        ("utun3", Kind.VPN),
        ("gif0", Kind.VIRTUAL),
    ],
)
def test_what_the_interfaces_of_a_studio_are(name: str, kind: Kind) -> None:
    assert kind_of(name, STUDIO, "darwin") is kind


def test_a_cable_is_told_by_its_socket_speed_and_carrier() -> None:
    en5 = STUDIO.find("en5")
    assert en5 is not None
    assert (en5.label, en5.speed_bit_s, en5.has_carrier, en5.mtu) == (
        "Thunderbolt 4",
        80_000_000_000,
        True,
        1500,
    )
    assert "192.168.0.1" in en5.addresses


def test_each_cable_between_four_studios_has_one_name() -> None:
    machines = [network(name) for name in STUDIOS]
    names = [cable for each in machines for face in each.interfaces for cable in cables_of(face.name, each)]
    assert len(names) == 12
    assert len(set(names)) == 6


def test_cables_come_before_radio_and_radio_before_vpn() -> None:
    names = sorted(["utun3", "en1", "en5"], key=lambda name: -expected_bit_s(name, STUDIO, "darwin"))
    assert names == ["en5", "en1", "utun3"]


def test_a_bridge_of_thunderbolt_is_what_its_members_are() -> None:
    facts = assemble(
        read_hardware_ports(told("bridge-on", "hardwareports.txt")),
        read_ifconfig(told("bridge-on", "ifconfig.txt")),
        (),
    )
    bridge = facts.find("bridge0")
    assert bridge is not None
    assert (bridge.kind, len(bridge.members)) == (Kind.BRIDGE, 6)
    assert kind_of("bridge0", facts) is Kind.THUNDERBOLT


def test_sockets_alone_tell_what_interfaces_are() -> None:
    facts = assemble(read_hardware_ports(told("mbp-m5max", "hardwareports.txt")), (), ())
    kinds = {each.name: each.kind for each in facts.interfaces}
    assert (kinds["en6"], kinds["en0"], kinds["en3"]) == (Kind.THUNDERBOLT, Kind.WIFI, Kind.VIRTUAL)
    assert facts.interfaces[0].mtu is None


def test_without_any_tool_there_are_no_interfaces() -> None:
    assert assemble((), (), ()) == NetworkFacts()


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("USB 10/100/1G/2.5G LAN", Kind.ETHERNET),
        ("Thunderbolt Ethernet Slot 1", Kind.ETHERNET),
        ("iPhone USB", Kind.OTHER),
        ("Bluetooth PAN", Kind.OTHER),
    ],
)
def test_sockets_of_other_names(label: str, kind: Kind) -> None:
    facts = assemble((HardwarePort(label, "en9"),), (), ())
    assert facts.interfaces[0].kind is kind


def test_an_adapter_with_a_medium_is_ethernet() -> None:
    text = "en8: flags=8863<UP,RUNNING> mtu 1500\n\tmedia: autoselect (1000baseT)\n\tstatus: active\n"
    facts = assemble((HardwarePort("Ethernet Adapter (en8)", "en8"),), read_ifconfig(text), ())
    assert (facts.interfaces[0].kind, facts.interfaces[0].speed_bit_s) == (Kind.ETHERNET, 1_000_000_000)
