import pytest

from meshinfer.machine.netkinds import (
    InterfaceFacts,
    Kind,
    NetworkFacts,
    cables_of,
    expected_bit_s,
    kind_by_name,
    kind_of,
)
from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort

GIGABIT = 1_000_000_000
CABLED = ThunderboltPort("AAAA", 4, 80 * GIGABIT, far_ends=(FarEnd("BBBB"),))
FACTS = NetworkFacts(
    (
        InterfaceFacts("en0", Kind.ETHERNET, "Ethernet", 10 * GIGABIT, 1500, True),
        InterfaceFacts("en1", Kind.WIFI, "Wi-Fi", has_carrier=True),
        InterfaceFacts("en4", Kind.THUNDERBOLT, has_carrier=False, port=ThunderboltPort("C", 3)),
        InterfaceFacts("en5", Kind.THUNDERBOLT, "Thunderbolt 4", 80 * GIGABIT, 1500, True, port=CABLED),
        InterfaceFacts("bridge0", Kind.BRIDGE, "Thunderbolt Bridge", members=("en4", "en5")),
        InterfaceFacts("bridge1", Kind.BRIDGE, members=("en0", "en5")),
        InterfaceFacts("bridge2", Kind.BRIDGE, members=("gone",)),
        InterfaceFacts("utun3", Kind.VPN),
    )
)


def test_a_bridge_of_cables_is_what_its_cables_are() -> None:
    assert kind_of("bridge0", FACTS) is Kind.THUNDERBOLT
    assert kind_of("bridge1", FACTS) is Kind.BRIDGE
    assert kind_of("bridge2", FACTS) is Kind.BRIDGE
    assert cables_of("bridge0", FACTS) == cables_of("en5", FACTS) == ("AAAA/BBBB",)
    assert cables_of("en0", FACTS) == ()


def test_what_the_system_did_not_tell_of_is_judged_by_its_name() -> None:
    assert kind_of("utun7", FACTS, "darwin") is Kind.VPN
    assert kind_of("en9", FACTS, "darwin") is Kind.OTHER


@pytest.mark.parametrize(
    ("platform", "name", "kind"),
    [
        ("darwin", "lo0", Kind.LOOPBACK),
        ("darwin", "awdl0", Kind.AWDL),
        ("darwin", "llw0", Kind.AWDL),
        ("darwin", "utun4", Kind.VPN),
        ("darwin", "bridge0", Kind.BRIDGE),
        ("darwin", "bridge100", Kind.VIRTUAL),
        ("darwin", "anpi1", Kind.VIRTUAL),
        ("darwin", "en5", Kind.OTHER),
        ("linux", "lo", Kind.LOOPBACK),
        ("linux", "thunderbolt0", Kind.THUNDERBOLT),
        ("linux", "wlp3s0", Kind.WIFI),
        ("linux", "enp1s0f0np0", Kind.ETHERNET),
        ("linux", "eth0", Kind.ETHERNET),
        ("linux", "docker0", Kind.VIRTUAL),
        ("linux", "br-12ab", Kind.VIRTUAL),
        ("linux", "br0", Kind.BRIDGE),
        ("linux", "wg0", Kind.VPN),
        ("linux", "tailscale0", Kind.VPN),
        ("linux", "what", Kind.OTHER),
        ("plan9", "lo", Kind.LOOPBACK),
    ],
)
def test_what_names_tell(platform: str, name: str, kind: Kind) -> None:
    assert kind_by_name(name, platform) is kind


def test_the_most_promising_way_comes_first() -> None:
    names = sorted(["utun3", "en1", "en0", "bridge0"], key=lambda name: -expected_bit_s(name, FACTS))
    assert names == ["bridge0", "en0", "en1", "utun3"]


def test_what_is_negotiated_bounds_a_cable_and_does_not_raise_a_radio() -> None:
    slow = NetworkFacts((InterfaceFacts("eth0", Kind.ETHERNET, speed_bit_s=GIGABIT // 10),))
    fast = NetworkFacts((InterfaceFacts("wlan0", Kind.WIFI, speed_bit_s=2 * GIGABIT),))
    assert expected_bit_s("eth0", slow) == GIGABIT // 10
    assert expected_bit_s("wlan0", fast) < GIGABIT
