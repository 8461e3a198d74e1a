from dataclasses import replace

import psutil
import pytest

from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.private_cables import is_private_cable, why_not_there
from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort

ONE = ThunderboltPort("A", 4, far_ends=(FarEnd("B"),))
TWO = ThunderboltPort("A", 5, far_ends=(FarEnd("B"), FarEnd("C", is_via_hub=True)))
PLUGGED = InterfaceFacts("en5", Kind.THUNDERBOLT, has_carrier=True, port=ONE)
IDLE = InterfaceFacts("en4", Kind.THUNDERBOLT, has_carrier=False, port=ThunderboltPort("D", 3))
ETHERNET = InterfaceFacts("en0", Kind.ETHERNET, has_carrier=True)
WIFI = InterfaceFacts("en1", Kind.WIFI, has_carrier=True)


def bridge(*members: InterfaceFacts) -> NetworkFacts:
    names = tuple(each.name for each in members)
    return NetworkFacts((*members, InterfaceFacts("bridge0", Kind.BRIDGE, members=names)))


def test_a_thunderbolt_cable_to_one_machine_is_private_alone_and_in_a_bridge_of_its_own() -> None:
    facts = bridge(IDLE, PLUGGED)
    assert is_private_cable("en5", facts)
    assert is_private_cable("bridge0", facts)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(bridge(PLUGGED, replace(IDLE, has_carrier=True)), id="a bridge of two cables"),
        pytest.param(bridge(PLUGGED, replace(IDLE, has_carrier=None)), id="who knows"),
        pytest.param(bridge(PLUGGED, ETHERNET), id="a bridge to a network"),
        pytest.param(bridge(replace(PLUGGED, port=TWO)), id="a hub"),
        pytest.param(bridge(IDLE), id="no cable"),
        pytest.param(bridge(), id="nothing"),
    ],
)
def test_what_leads_to_several_machines_or_none_is_not_private(facts: NetworkFacts) -> None:
    assert not is_private_cable("bridge0", facts)


@pytest.mark.parametrize("name", ["en0", "en1", "en9", ""])
def test_no_other_interface_is_private(name: str) -> None:
    assert not is_private_cable(name, NetworkFacts((ETHERNET, WIFI, PLUGGED)))


def test_a_name_that_does_not_exist_is_told_with_those_that_do() -> None:
    there = sorted(psutil.net_if_addrs())
    assert why_not_there(there) == ""
    said = why_not_there([there[0], "nosuch7"])
    assert said == f"'nosuch7' is no interface of this machine: it has {', '.join(there)}"
