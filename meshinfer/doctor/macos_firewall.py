"""What `socketfilterfw` tells of the firewall of macOS."""

import re
import shlex

from .firewall_state import FirewallState, Verdict

TOOL = "/usr/libexec/ApplicationFirewall/socketfilterfw"

STATE_COMMAND = (TOOL, "--getglobalstate")
BLOCK_ALL_COMMAND = (TOOL, "--getblockall")

_OFF = re.compile(r"disabled|state\s*=\s*0", re.IGNORECASE)
_ON = re.compile(r"enabled|state\s*=\s*[12]", re.IGNORECASE)
_BLOCKED = re.compile(r"\b(blocked|block incoming)\b", re.IGNORECASE)
_PERMITTED = re.compile(r"\b(permitted|allow incoming)\b", re.IGNORECASE)


def app_command(program: str) -> tuple[str, ...]:
    """Asks what becomes of connections to a program."""
    return (TOOL, "--getappblocked", program)


def judge_macos(state: str, block_all: str, app: str, program: str) -> FirewallState:
    """Judge from what it tells of itself, of blocking everything, and of `program`."""
    if _OFF.search(state):
        return FirewallState()
    if not _ON.search(state):
        return FirewallState("the firewall of macOS", unread="it does not tell its state")
    name = "the firewall of macOS"
    if _ON.search(block_all) and not _OFF.search(block_all):
        unblock = f"sudo {TOOL} --setblockall off"
        return FirewallState(f"{name} (it blocks all)", Verdict.DROP, Verdict.DROP, (unblock,))
    path = shlex.quote(program)
    opening = (f"sudo {TOOL} --add {path}", f"sudo {TOOL} --unblockapp {path}")
    if _BLOCKED.search(app):
        return FirewallState(name, Verdict.DROP, Verdict.DROP, opening)
    if _PERMITTED.search(app):
        return FirewallState(name)
    return FirewallState(name, Verdict.UNSURE, Verdict.UNSURE, opening)
