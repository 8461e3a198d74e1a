"""Whether macOS lets this program speak to machines on the local network at all.

From macOS 15 on each program needs that permission, and so does everything that it starts: what is asked for
it is the terminal, not Python. Denied, every attempt ends at once with errno 65, but only for neighbours; the
internet works, which is why nobody thinks of it.
"""

import ipaddress
from collections.abc import Mapping

from .finding import Finding, bad, good, note
from .observed import Dialled, Observed

EHOSTUNREACH = 65
"""On macOS."""

_TERMINALS = {
    "Apple_Terminal": "Terminal",
    "iTerm.app": "iTerm",
    "vscode": "Visual Studio Code",
    "ghostty": "Ghostty",
    "WarpTerminal": "Warp",
    "WezTerm": "WezTerm",
    "Hyper": "Hyper",
    "Tabby": "Tabby",
}
_PANE = "System Settings > Privacy & Security > Local Network"


def check_local_network(observed: Observed) -> list[Finding]:
    """Judge by what became of packets to neighbours."""
    if observed.platform != "darwin":
        return []
    denied = [_way(each) for each in observed.dialled if each.errno == EHOSTUNREACH and _is_near(each)]
    denied += [
        f"multicast on {each.interface}" for each in observed.heard or () if each.errno == EHOSTUNREACH
    ]
    if denied:
        app = responsible_app(observed.environment)
        return [
            bad(
                f"macOS keeps {app} from the local network (errno 65 for {', '.join(denied[:3])})",
                f"turn on {app} under {_PANE}; if it is on, turn it off and on again",
                *_other_ways(observed.environment),
            )
        ]
    is_known = any(each.is_heard for each in observed.heard or ()) or any(
        each.errno == 0 for each in observed.dialled
    )
    return [good("macOS lets this program use the local network") if is_known else note("nothing was tried")]


def responsible_app(environment: Mapping[str, str]) -> str:
    """The application that macOS holds responsible for what runs here, as its list names it."""
    if "TMUX" in environment:
        return "tmux (and the terminal that it was started from)"
    program = environment.get("TERM_PROGRAM", "")
    if program:
        return _TERMINALS.get(program, program[:60])
    if "SSH_CONNECTION" in environment:
        return "sshd"
    return environment.get("__CFBundleIdentifier", "")[:80] or "the program that started this one"


def _other_ways(environment: Mapping[str, str]) -> tuple[str, ...]:
    if environment.get("TERM_PROGRAM") == "Apple_Terminal":
        return ()
    return (
        "if it is not on that list, run meshinfer from Terminal or over ssh, which need no permission, or as "
        "a LaunchDaemon",
    )


def _way(dialled: Dialled) -> str:
    return f"{dialled.name or dialled.host}:{dialled.port}"


def _is_near(dialled: Dialled) -> bool:
    """Whether the address is of a private or link-local network: only those are guarded."""
    try:
        address = ipaddress.ip_address(dialled.host.partition("%")[0])
    except ValueError:
        return dialled.host.endswith(".local")
    return address.is_private and not address.is_loopback
