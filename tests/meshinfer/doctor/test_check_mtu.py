from dataclasses import replace

from meshinfer.doctor.check_mtu import check_mtu
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Dialled, Observed
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts

from .seen import linux, only

CABLE = InterfaceFacts("en5", Kind.THUNDERBOLT, mtu=9000, addresses=("10.0.0.1", "fe80::1%en5"))
MACHINE = linux(NetworkFacts((CABLE,)))


def dialled(mss: int, local: str = "10.0.0.1") -> Dialled:
    return Dialled("mac-2", "10.0.0.2", 52414, local=local, mss=mss)


def test_an_end_with_smaller_packets_is_told() -> None:
    finding = only(check_mtu(replace(MACHINE, dialled=(dialled(1448),))), Mark.WARNING)
    assert finding.text == "en5 takes packets of 9000 bytes, mac-2 at the other end of 1500 at most"
    assert finding.remedies == ("set both ends to the same size, here: sudo ip link set en5 mtu 1500",)


def test_the_options_of_tcp_are_no_difference() -> None:
    only(check_mtu(replace(MACHINE, dialled=(dialled(8948), dialled(8928, "fe80::1%en5")))), Mark.GOOD)


def test_members_of_a_bridge_must_agree() -> None:
    bridge = InterfaceFacts("bridge0", Kind.BRIDGE, members=("en5", "en6"))
    network = NetworkFacts((CABLE, replace(CABLE, name="en6", mtu=1500), bridge))
    finding = only(check_mtu(replace(linux(network), platform="darwin")), Mark.BAD)
    assert finding.text == "members of bridge0 take packets of different sizes: en5 9000, en6 1500"
    assert finding.remedies == ("sudo ifconfig en5 mtu 1500",)


def test_what_failed_or_went_elsewhere_is_not_judged() -> None:
    failed = replace(dialled(536), errno=61)
    elsewhere = dialled(536, "10.9.9.9")
    assert [each.mark for each in check_mtu(replace(MACHINE, dialled=(failed, elsewhere)))] == [Mark.GOOD]
    assert check_mtu(MACHINE) == check_mtu(Observed()) == []


def test_a_machine_that_speaks_with_itself_is_not_judged() -> None:
    loopback = replace(CABLE, name="lo", kind=Kind.LOOPBACK, mtu=65536)
    seen = replace(linux(NetworkFacts((loopback,))), dialled=(dialled(32768),))
    assert [each.mark for each in check_mtu(seen)] == [Mark.GOOD]
