from dataclasses import replace

from meshinfer.doctor.check_bridge import check_bridge
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts

from .seen import linux, mac, only, with_network

BRIDGED = mac("bridge-on")


def test_before_a_third_computer_is_cabled_the_bridge_is_to_go() -> None:
    finding = only(check_bridge(BRIDGED), Mark.WARNING)
    assert "bridge0 joins the Thunderbolt ports (a cable is plugged into en5)" in finding.text
    assert finding.remedies[0] == "sudo networksetup -setnetworkserviceenabled 'Thunderbolt Bridge' off"
    assert "sudo ifconfig bridge0 deletem en5" in finding.remedies
    assert "sudo networksetup -createnetworkservice 'Thunderbolt 4' 'Thunderbolt 4'" in finding.remedies
    assert finding.remedies[-1] == "sudo networksetup -setdhcp 'Thunderbolt 6'"


def test_with_two_cables_in_it_there_may_be_a_loop() -> None:
    assert BRIDGED.facts is not None
    interfaces = tuple(
        replace(each, has_carrier=True) if each.name == "en6" else each
        for each in BRIDGED.facts.network.interfaces
    )
    finding = only(check_bridge(with_network(BRIDGED, NetworkFacts(interfaces))), Mark.BAD)
    assert finding.text.startswith("bridge0 joins en5 and en6")


def test_a_bridge_of_another_name_is_found_as_well() -> None:
    assert BRIDGED.facts is not None
    interfaces = tuple(
        replace(each, name="bridge7") if each.name == "bridge0" else each
        for each in BRIDGED.facts.network.interfaces
    )
    finding = only(check_bridge(with_network(BRIDGED, NetworkFacts(interfaces))), Mark.WARNING)
    # Its service has another name too, which is not made up.
    assert finding.remedies[0] == "sudo ifconfig bridge7 deletem en2"


def test_ports_that_have_a_service_get_no_second_one() -> None:
    seen = replace(BRIDGED, services=mac("m3-ultra-1").services)
    assert not any("createnetworkservice" in each for each in check_bridge(seen)[0].remedies)


def test_studios_without_a_bridge_are_well() -> None:
    only(check_bridge(mac("m3-ultra-1")), Mark.GOOD)


def test_linux_has_commands_of_its_own() -> None:
    cable = InterfaceFacts("thunderbolt0", Kind.THUNDERBOLT, has_carrier=True)
    bridge = InterfaceFacts("br0", Kind.BRIDGE, members=("thunderbolt0",))
    finding = only(check_bridge(linux(NetworkFacts((cable, bridge)))), Mark.WARNING)
    assert finding.remedies == ("sudo ip link set thunderbolt0 nomaster",)


def test_without_thunderbolt_there_is_nothing_to_say() -> None:
    assert check_bridge(linux(NetworkFacts((InterfaceFacts("eth0", Kind.ETHERNET),)))) == []
    assert check_bridge(Observed()) == []
