import re
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network

import pytest

from meshinfer.machine.ibverbs import read_devices, read_states
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.rdma import RdmaObserved, Readiness, judge_rdma, rdma_devices
from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort
from tests.platform import told

from .test_network_macos import network

STUDIO = network("m3-ultra-1")
DEVICES = read_devices(told("m3-ultra-1", "ibv_devices.txt"))
STATES = read_states(told("m3-ultra-1", "ibv_devinfo.txt"))
READY = RdmaObserved((26, 2), True, DEVICES, STATES)

PORT = ThunderboltPort("A", 4, 80_000_000_000, far_ends=(FarEnd("B", has_rdma=True),))
CABLED = InterfaceFacts("en5", Kind.THUNDERBOLT, "Thunderbolt 4", port=PORT, addresses=("169.254.1.1",))
ALL_WELL = RdmaObserved((26, 2, 1), True, ("en5",), {"en5": "PORT_ACTIVE"})


def test_on_a_studio_with_three_cables_three_ports_can_do_it() -> None:
    readiness = judge_rdma(READY, STUDIO)
    assert [port.interface for port in readiness.usable] == ["en3", "en4", "en5"]
    assert readiness.text == "RDMA: on en3, en4, en5"
    assert readiness.brief == "on en3, en4, en5"
    assert {port.reason for port in readiness.ports if not port.is_usable} == {
        "no other computer is plugged in"
    }


@pytest.mark.parametrize(
    ("observed", "text", "brief"),
    [
        (RdmaObserved(), "RDMA: no, it needs macOS", ""),
        (
            replace(READY, macos=(26, 1)),
            "RDMA: no, it needs macOS 26.2, this is 26.1",
            "needs macOS 26.2",
        ),
        (replace(READY, is_enabled=False), "RDMA: no, it is turned off here", "off"),
        (replace(READY, is_enabled=None, devices=()), "RDMA: no, it is turned off here", "off"),
        (
            replace(READY, devices=None),
            "RDMA: no, this system does not tell its RDMA devices (ibv_devices)",
            "",
        ),
    ],
)
def test_why_a_whole_computer_cannot(observed: RdmaObserved, text: str, brief: str) -> None:
    assert judge_rdma(observed, STUDIO).text == text
    assert judge_rdma(observed, STUDIO).brief == brief


def test_a_table_tells_of_cabled_ports_that_cannot_or_that_there_are_none() -> None:
    assert judge_rdma(replace(ALL_WELL, states={}), NetworkFacts((CABLED, IDLE_5))).brief == "not on en5"
    assert judge_rdma(ALL_WELL, NetworkFacts((IDLE_5,))).brief == "no cable"


def test_where_it_is_off_the_way_through_recovery_is_told() -> None:
    off = RdmaObserved((26, 2), False, read_devices(told("rdma-off", "ibv_devices.txt")))
    assert "rdma_ctl enable" in judge_rdma(off, STUDIO).remedy


def test_thunderbolt_4_cannot() -> None:
    slow = replace(CABLED, port=replace(PORT, speed_bit_s=40_000_000_000))
    assert "Thunderbolt 4" in judge_rdma(ALL_WELL, NetworkFacts((slow,))).text


IDLE_5 = InterfaceFacts("en6", Kind.THUNDERBOLT, port=ThunderboltPort("C", 5, most_bit_s=120_000_000_000))


@pytest.mark.parametrize(
    ("socket", "observed", "reason"),
    [
        (CABLED, ALL_WELL, ""),
        (replace(CABLED, port=None), ALL_WELL, "nothing tells what is plugged in"),
        (replace(CABLED, port=replace(PORT, far_ends=())), ALL_WELL, "no other computer is plugged in"),
        (
            replace(CABLED, port=replace(PORT, far_ends=(FarEnd("B", has_rdma=True, is_via_hub=True),))),
            ALL_WELL,
            "there is a device in between",
        ),
        (
            replace(CABLED, port=replace(PORT, speed_bit_s=40_000_000_000)),
            ALL_WELL,
            "40 Gb/s were negotiated, it needs 80",
        ),
        (
            replace(CABLED, port=replace(PORT, far_ends=(FarEnd("B"),))),
            ALL_WELL,
            "the other computer does not offer it",
        ),
        (CABLED, replace(ALL_WELL, devices=("en6",)), "there is no device rdma_en5"),
        (CABLED, replace(ALL_WELL, states={"en5": "PORT_DOWN"}), "its port is PORT_DOWN"),
        (CABLED, replace(ALL_WELL, states={}), "its port is not told"),
        (replace(CABLED, addresses=("fe80::1%en5",)), ALL_WELL, "its interface has no IPv4 address"),
    ],
)
def test_why_a_port_cannot(socket: InterfaceFacts, observed: RdmaObserved, reason: str) -> None:
    first, _ = judge_rdma(observed, NetworkFacts((socket, IDLE_5))).ports
    assert (first.reason, first.is_usable) == (reason, not reason)


def test_a_port_in_a_bridge_is_to_leave_it() -> None:
    bridge = InterfaceFacts("bridge0", Kind.BRIDGE, members=("en5",))
    observed = replace(ALL_WELL, states={"en5": "PORT_DOWN"})
    first = judge_rdma(observed, NetworkFacts((CABLED, IDLE_5, bridge))).ports[0]
    assert first.remedy == "take en5 out of bridge0: meshinfer doctor shows how under 'bridge'"


def advised(name: str, own: str, far: str) -> tuple[str, str]:
    """The addresses for this end of a cable without addresses and for the other one."""
    port = replace(PORT, domain=own, far_ends=(FarEnd(far, has_rdma=True),))
    socket = replace(CABLED, name=name, port=port, addresses=())
    observed = replace(ALL_WELL, devices=(name,), states={name: "PORT_ACTIVE"})
    (judged,) = judge_rdma(observed, NetworkFacts((socket,))).ports
    found = re.fullmatch(
        rf"give the cable a network of its own, here: sudo ifconfig {name} inet (\S+) alias, and (\S+) at "
        "the other end",
        judged.remedy,
    )
    assert found is not None, judged.remedy
    return found[1], found[2]


def test_both_ends_of_a_cable_are_told_the_same_two_addresses_of_one_net() -> None:
    here, there = advised("en5", "A", "B")
    assert advised("en3", "B", "A") == (there, here)
    assert here != there
    first, second = IPv4Interface(here), IPv4Interface(there)
    assert first.network == second.network
    assert {first.ip, second.ip} == set(first.network.hosts())
    assert first.network.subnet_of(IPv4Network("10.52.0.0/16"))


def test_each_cable_is_told_a_net_of_its_own() -> None:
    nets = {IPv4Interface(advised("en5", "A", far)[0]).network for far in "BCDEFG"}
    assert len(nets) == 6


def test_without_a_cable_that_is_all_there_is_to_say() -> None:
    assert judge_rdma(ALL_WELL, NetworkFacts((IDLE_5,))).text == (
        "RDMA: no, no other computer is plugged into Thunderbolt"
    )
    assert Readiness().usable == ()


def test_a_device_that_can_be_used_is_known_by_the_cable_in_its_port() -> None:
    network = NetworkFacts((CABLED, IDLE_5))
    (cable,) = PORT.cables
    assert rdma_devices(judge_rdma(ALL_WELL, network), network) == {cable: "rdma_en5"}
    assert rdma_devices(judge_rdma(replace(ALL_WELL, states={}), network), network) == {}
