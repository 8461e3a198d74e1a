from collections.abc import Sequence

from meshinfer.machine.facts import gather_facts, macos_facts, read_version, with_addresses
from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts, kind_of
from meshinfer.machine.tools import ToolFailed, ToolMissing
from meshinfer.transports.interfaces import Interface
from tests.platform import told

TEXTS = {
    "networksetup": "hardwareports.txt",
    "ifconfig": "ifconfig.txt",
    "system_profiler": "thunderbolt.json",
    "ibv_devices": "ibv_devices.txt",
    "ibv_devinfo": "ibv_devinfo.txt",
}


def studio(command: Sequence[str], timeout_s: float) -> str:
    """A Mac Studio's tools."""
    return "enabled" if command[0] == "rdma_ctl" else told("m3-ultra-1", TEXTS[command[0]])


def test_a_mac_is_what_its_tools_tell() -> None:
    network, rdma, silent = macos_facts(1.0, studio, "26.2")
    assert kind_of("en5", network) is Kind.THUNDERBOLT
    assert rdma.text == "RDMA: on en3, en4, en5"
    assert silent == ()


def test_a_tool_that_is_slow_takes_nothing_but_its_own_word_away() -> None:
    def slow(command: Sequence[str], timeout_s: float) -> str:
        if command[0] == "system_profiler":
            raise ToolFailed(f"system_profiler has not answered for {timeout_s:g} s")
        return studio(command, timeout_s)

    network, rdma, silent = macos_facts(1.0, slow, "26.2")
    assert kind_of("en5", network) is Kind.THUNDERBOLT
    assert rdma.usable == ()
    assert silent == ("system_profiler has not answered for 1 s",)


def test_an_older_mac_without_any_of_them_is_a_machine_all_the_same() -> None:
    def nothing(command: Sequence[str], timeout_s: float) -> str:
        raise ToolMissing(f"{command[0]} is not installed")

    network, rdma, silent = macos_facts(1.0, nothing, "15.3.1")
    assert network == NetworkFacts()
    assert "needs macOS 26.2, this is 15.3.1" in rdma.text
    # RDMA's own tools are not expected everywhere.
    assert silent == tuple(
        f"{name} is not installed" for name in ("networksetup", "ifconfig", "system_profiler")
    )


def test_versions_are_numbers() -> None:
    assert read_version("26.2.1") == (26, 2, 1)
    assert read_version("") == read_version("26.x") == ()


def test_addresses_are_those_of_now() -> None:
    facts = NetworkFacts((InterfaceFacts("en0", Kind.ETHERNET), InterfaceFacts("en1", Kind.WIFI)))
    there = with_addresses(facts, [Interface("en0", 4, ("10.0.0.1",))])
    assert [each.addresses for each in there.interfaces] == [("10.0.0.1",), ()]


def test_this_machine_tells_of_itself() -> None:
    facts = gather_facts(5.0)
    assert facts.hardware.cores >= 1
    assert {each.name for each in facts.up} >= {
        each.name for each in facts.network.interfaces if each.addresses
    }
