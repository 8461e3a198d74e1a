from meshinfer.actors.cables import CableView
from meshinfer.inventory import Inventory
from meshinfer.machine.facts import MachineFacts
from meshinfer.machine.hardware import this_hardware
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.rdma import Readiness
from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort
from meshinfer.machine.watts import Watts
from meshinfer.topology.equipment import Cable, Carrier, Equipment
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address
from meshinfer.transports.trunk import PathView
from tests.topology.voices import B, C

HERE, THERE = (f"8DDD8B10-B0C3-59D2-95C4-07846{place:07d}" for place in (1, 2))
PORT = ThunderboltPort(HERE, 4, 80_000_000_000, far_ends=(FarEnd(THERE),))
NETWORK = NetworkFacts(
    (
        InterfaceFacts("en0", Kind.ETHERNET, "Ethernet"),
        InterfaceFacts("en5", Kind.THUNDERBOLT, "Thunderbolt 4", port=PORT),
        InterfaceFacts("lo0", Kind.LOOPBACK),
    )
)
FACTS = MachineFacts(this_hardware(), NETWORK, Readiness(reason="it is turned off here", short="off"))
IDS = HERE.replace("-", "").lower(), THERE.replace("-", "").lower()


def link(peer: PeerId, interface: str, scheme: str = "tcp", *, is_primary: bool = True) -> CableView:
    ends = Address(f"{scheme}://10.0.0.1:1"), Address(f"{scheme}://10.0.0.2:1")
    return CableView(peer, "there", PathView(*ends, interface, is_primary, 90, 0, 0))


def test_nothing_is_told_of_what_is_not_known() -> None:
    assert Inventory().taken(None, None, [], 0.0) == Equipment()


def test_links_by_the_same_port_are_told_together_and_their_fabric_is_named() -> None:
    links = [link(C, "en0"), link(B, "en0"), link(B, "en5", is_primary=False)]
    told = Inventory().taken(FACTS, None, links, 0.0)
    assert told.carriers == (Carrier((B, C), "en0", "Ethernet"),)
    assert told.rdma == "off"
    told = Inventory().taken(FACTS, None, [link(B, "en5", "jaccl"), link(C, "", "ring")], 0.0)
    assert told.carriers == (
        Carrier((C,), "", "", "ring"),
        Carrier((B,), "en5", "Thunderbolt 5", "jaccl"),
    )


def test_on_one_machine_the_name_of_the_loopback_is_not_worth_a_word() -> None:
    assert Inventory().taken(FACTS, None, [link(B, "lo0")], 0.0).carriers == (Carrier((B,), "", "loopback"),)


def test_an_interface_of_which_nothing_is_known_keeps_its_name() -> None:
    assert Inventory().taken(FACTS, None, [link(B, "xy9")], 0.0).carriers == (Carrier((B,), "xy9"),)


def test_a_name_that_is_no_text_spoils_no_record() -> None:
    (carrier,) = Inventory().taken(FACTS, None, [link(B, "e\udcff\x1bn")], 0.0).carriers
    assert carrier == Carrier((B,), "en")


def test_a_cable_is_called_unused_once_no_link_went_by_it_for_a_while() -> None:
    inventory = Inventory()

    def is_used(now_s: float, *links: CableView) -> bool:
        (cable,) = inventory.taken(FACTS, None, links, now_s).cables
        assert cable == Cable(*IDS, is_used=cable.is_used)
        return cable.is_used

    by_cable, beside = link(B, "en5", is_primary=False), link(B, "en0")
    assert is_used(0.0, beside)
    assert not is_used(20.0, beside)
    assert is_used(21.0, beside, by_cable)
    assert is_used(30.0, beside)
    assert not is_used(40.0, beside)


def test_a_bus_whose_id_is_none_is_left_out() -> None:
    odd = ThunderboltPort("not told", 4, far_ends=(FarEnd(THERE),))
    network = NetworkFacts((InterfaceFacts("en5", Kind.THUNDERBOLT, port=odd),))
    facts = MachineFacts(this_hardware(), network, Readiness())
    assert Inventory().taken(facts, None, [], 0.0).cables == ()


def test_watts_move_when_more_is_taken_or_less_for_long_and_go_with_their_meter() -> None:
    inventory = Inventory()

    def told(watts: float | None, now_s: float) -> float:
        known = Watts(watts, "all", "test") if watts is not None else None
        return inventory.taken(FACTS, known, [], now_s).milliwatts / 1000

    first = told(40.0, 0.0)
    assert 0.95 * 40 <= first <= 40
    assert told(41.0, 1.0) == told(20.0, 2.0) == first
    assert 60 < told(65.0, 3.0) <= 65
    assert 60 < told(20.0, 4.0) <= 65
    assert 19 <= told(20.0, 15.0) <= 20
    assert told(None, 16.0) == 0
