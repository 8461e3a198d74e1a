from collections.abc import Sequence

from meshinfer.doctor.firewall_state import Verdict
from meshinfer.doctor.probe_firewall import linux_state, look_at_firewall, macos_state
from meshinfer.machine.tools import ToolFailed, ToolMissing

from .test_nftables import USUAL


def test_macos_is_asked_about_this_program() -> None:
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str], timeout_s: float) -> str:
        asked.append(command)
        if "--getblockall" in command:
            raise ToolFailed("no")
        return "enabled" if "--getglobalstate" in command else "is permitted"

    assert macos_state(1.0, run, "/opt/python").tcp is Verdict.ACCEPT
    assert asked[-1][-1] == "/opt/python"


def test_a_firewall_that_cannot_be_asked_is_unread() -> None:
    def run(command: Sequence[str], timeout_s: float) -> str:
        raise ToolFailed("socketfilterfw has not answered for 1 s")

    assert macos_state(1.0, run, "/opt/python").unread == "socketfilterfw has not answered for 1 s"


def test_linux_is_asked_by_the_tools_that_are_there() -> None:
    def run(command: Sequence[str], timeout_s: float) -> str:
        if command[0] == "nft":
            return USUAL
        raise ToolMissing(f"{command[0]} is not installed")

    state = linux_state(52414, 1.0, run)
    assert (state.name, state.tcp, state.udp) == ("nftables", Verdict.ACCEPT, Verdict.DROP)


def test_a_tool_that_refuses_is_not_taken_for_silence() -> None:
    def run(command: Sequence[str], timeout_s: float) -> str:
        raise ToolFailed(f"{command[0]} ended with status 1: only root may")

    assert linux_state(52414, 1.0, run).unread == "nft ended with status 1: only root may"


def test_this_machine_is_asked() -> None:
    look_at_firewall(52414, 5.0)
