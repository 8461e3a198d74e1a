import pytest

from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.network_line import interface_text, network_line, speed_text
from meshinfer.transports.interfaces import Interface

from .test_network_macos import network

STUDIO = network("m3-ultra-1")


def up(*names: str) -> list[Interface]:
    return [Interface(name, index, (f"10.0.0.{index}",)) for index, name in enumerate(names, 1)]


def test_what_is_used_and_what_is_not_and_why() -> None:
    used, rest = up("en5", "en1"), up("lo0", "utun3", "awdl0", "utun4", "llw0")
    assert network_line(used, [*used, *rest], STUDIO) == (
        "en5 Thunderbolt 5 80 Gb/s, en1 Wi-Fi; not used: utun3 utun4 VPN, awdl0 llw0 AirDrop"
    )


def test_a_bridge_is_told_by_what_is_plugged_into_it() -> None:
    cabled = STUDIO.find("en5")
    idle = STUDIO.find("en2")
    assert cabled is not None
    assert idle is not None
    bridge = InterfaceFacts("bridge0", Kind.BRIDGE, members=("en2", "en5"))
    facts = NetworkFacts((idle, cabled, bridge))
    assert interface_text("bridge0", facts) == "bridge0 Thunderbolt 5 80 Gb/s"


def test_without_any_that_is_said() -> None:
    assert network_line([], up("lo0"), STUDIO) == "no network"


def test_very_many_are_counted() -> None:
    used = up(*(f"enx{number}" for number in range(20)))
    assert network_line(used, used, NetworkFacts()).endswith(" and 12 more")


@pytest.mark.parametrize(
    ("bit_s", "text"),
    [
        (80_000_000_000, "80 Gb/s"),
        (2_500_000_000, "2.5 Gb/s"),
        (100_000_000, "100 Mb/s"),
        (0, ""),
        (None, ""),
    ],
)
def test_speeds_as_people_say_them(bit_s: int | None, text: str) -> None:
    assert speed_text(bit_s) == text
