from dataclasses import replace

from meshinfer.doctor.check_cables import check_cables
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort

from .seen import linux, mac, only

PORT = ThunderboltPort("A", 4, 80_000_000_000, far_ends=(FarEnd("B", "Mac15,14"),))
CABLED = InterfaceFacts("en5", Kind.THUNDERBOLT, "Thunderbolt 4", has_carrier=True, port=PORT)


def test_each_cable_is_told_with_who_is_there_and_how_fast() -> None:
    findings = check_cables(mac("m3-ultra-1"))
    assert [finding.mark for finding in findings] == [Mark.GOOD] * 3
    assert findings[2].text == "en5 (Thunderbolt 4): Mac15,14 at 80 Gb/s"


def test_a_device_in_between_is_told() -> None:
    port = replace(PORT, far_ends=(FarEnd("B", "Mac16,5", is_via_hub=True),))
    finding = only(check_cables(linux(NetworkFacts((replace(CABLED, port=port),)))), Mark.WARNING)
    assert "through a device in between" in finding.text


def test_a_cable_without_a_network_on_it_is_told() -> None:
    dead = replace(CABLED, has_carrier=False)
    finding = only(check_cables(linux(NetworkFacts((dead,)))), Mark.WARNING)
    assert "no network runs on it" in finding.text


def test_a_cable_of_which_only_the_carrier_is_told_is_a_cable() -> None:
    finding = only(check_cables(mac("bridge-on")), Mark.NOTE)
    assert finding.text == "en5 (Thunderbolt 4): a cable is plugged in, and nothing tells who is there"


def test_without_a_cable_that_is_said_and_without_a_port_nothing() -> None:
    only(check_cables(mac("mbp-m5max")), Mark.GOOD)
    idle = replace(CABLED, port=ThunderboltPort("A", 4))
    dark = replace(idle, name="en6", port=None, has_carrier=False)
    only(check_cables(linux(NetworkFacts((idle, dark)))), Mark.NOTE)
    assert check_cables(linux(NetworkFacts())) == check_cables(Observed()) == []
