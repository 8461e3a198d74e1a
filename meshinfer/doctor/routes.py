"""Where the system sends packets for 169.254/16 that name no interface."""

import re

MACOS_COMMAND = ("netstat", "-rn", "-f", "inet")

_ROW = re.compile(
    r"^169\.254(?:\.0\.0)?(?:/16)?[ \t]+\S+[ \t]+(?P<flags>[A-Za-z0-9]+)[ \t]+(?P<name>[a-z]+\d+)\b"
)
_MOST_LINES = 10_000
_LINK_LOCAL = "0000FEA9"
"""169.254.0.0 as Linux prints it in hexadecimal."""


def read_netstat(text: str) -> str:
    """The interface of the route without a scope; empty where there is none.

    macOS keeps a further one for each other interface, with the flag I, for those who name it.
    """
    for line in text.splitlines()[:_MOST_LINES]:
        row = _ROW.match(line)
        if row is not None and "I" not in row["flags"]:
            return row["name"]
    return ""


def read_proc_route(text: str) -> str:
    """The same of Linux's /proc/net/route: of several, the one of the least metric."""
    found: list[tuple[int, str]] = []
    for line in text.splitlines()[1:_MOST_LINES]:
        match line.split():
            case [name, destination, _, _, _, _, metric, *_] if (
                destination == _LINK_LOCAL and metric.isdigit()
            ):
                found.append((int(metric[:9]), name[:15]))
    return min(found, default=(0, ""))[1]
