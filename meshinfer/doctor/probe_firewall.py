"""Asks the firewall of this machine for its rules; nothing is changed."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from meshinfer.machine.facts import RunTool
from meshinfer.machine.tools import ToolFailed, ToolMissing, run_tool

from . import iptables, macos_firewall, nftables
from .firewall_state import FirewallState
from .linux_firewall import LinuxFirewall, judge_linux

_UFW = Path("/etc/ufw/ufw.conf")


def look_at_firewall(port: int, timeout_s: float, run: RunTool = run_tool) -> FirewallState:
    """What becomes of a peer's packets to `port` here. Blocks."""
    if platform.system() == "Darwin":
        return macos_state(timeout_s, run, sys.executable)
    return linux_state(port, timeout_s, run)


def macos_state(timeout_s: float, run: RunTool, program: str) -> FirewallState:
    """Ask macOS, about `program` in particular."""

    def ask(command: Sequence[str]) -> str:
        try:
            return run(command, timeout_s)
        except ToolFailed:
            return ""

    try:
        state = run(macos_firewall.STATE_COMMAND, timeout_s)
    except ToolFailed as error:
        return FirewallState("the firewall of macOS", unread=str(error))
    block_all, app = ask(macos_firewall.BLOCK_ALL_COMMAND), ask(macos_firewall.app_command(program))
    return macos_firewall.judge_macos(state, block_all, app, program)


def linux_state(port: int, timeout_s: float, run: RunTool) -> FirewallState:
    """Ask Linux, by whichever tools there are."""
    refusals: list[str] = []

    def ask(*command: str) -> str | None:
        try:
            return run(command, timeout_s)
        except ToolMissing:
            return None
        except ToolFailed as error:
            refusals.append(str(error))
            return None

    nft, rules = ask(*nftables.COMMAND), ask(*iptables.COMMAND)
    try:
        is_firewalld_on = "running" in run(("firewall-cmd", "--state"), timeout_s)
    except ToolFailed:
        # It says that it does not run by failing.
        is_firewalld_on = False
    refusal = refusals[0] if refusals else ""
    return judge_linux(LinuxFirewall(nft, rules, _is_ufw_on(), is_firewalld_on, refusal), port)


def _is_ufw_on(config: Path = _UFW) -> bool:
    try:
        return "ENABLED=yes" in config.read_text()
    except (OSError, ValueError):
        return False
