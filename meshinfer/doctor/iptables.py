"""What `iptables -S` tells: the chains of a packet filter, one rule a line."""

import re
import shlex

from .firewall_state import Verdict
from .packet_filter import Chain, Rule

COMMAND = ("iptables", "-S")

FIRST = "INPUT"
_MOST_LINES = 20_000
_TARGETS = {"ACCEPT": "ACCEPT", "DROP": "DROP", "REJECT": "DROP", "RETURN": "RETURN"}
_WITHOUT_EFFECT = {"LOG", "NFLOG", "MARK", "CONNMARK", "CT", "TRACE", "ULOG", "NOTRACK"}
_RANGE = re.compile(r"(\d{1,5})(?::(\d{1,5}))?")


def read_iptables(text: str) -> dict[str, Chain]:
    """Read it; lines that are no rules are passed over."""
    policies: dict[str, Verdict | None] = {}
    rules: dict[str, list[Rule]] = {}
    for line in text.splitlines()[:_MOST_LINES]:
        match _words(line):
            case ["-P", name, policy]:
                policies[name] = Verdict.ACCEPT if policy == "ACCEPT" else Verdict.DROP
            case ["-N", name]:
                policies.setdefault(name, None)
            case ["-A", name, *words]:
                rules.setdefault(name, []).append(_rule(words))
    names = {**policies, **dict.fromkeys(rules)}
    return {name: Chain(tuple(rules.get(name, ())), policies.get(name)) for name in names}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _rule(words: list[str]) -> Rule:
    """A rule; options that are not understood make it conditional."""
    target, protocol, ports = "", "", None
    is_never = is_conditional = False
    left = list(reversed(words))
    while left:
        option = left.pop()
        if option == "!":
            is_conditional = True
            continue
        value = left.pop() if left and not left[-1].startswith("-") else ""
        match option:
            case "-j" | "-g":
                target = "" if value in _WITHOUT_EFFECT else _TARGETS.get(value, value)
            case "-p":
                protocol = "" if value == "all" else value
            case "--dport" | "--dports" | "--destination-port":
                ports = _ports(value)
            case "--ctstate" | "--state":
                is_never = is_never or "NEW" not in value.split(",")
            case "-i":
                is_never, is_conditional = is_never or value == "lo", is_conditional or value != "lo"
            case "-m" | "--comment" | "--reject-with" | "--log-prefix" | "--log-level":
                pass
            case _:
                is_conditional = True
    return Rule(target, protocol, ports, is_never, is_conditional)


def _ports(text: str) -> tuple[tuple[int, int], ...]:
    found = (_RANGE.fullmatch(part) for part in text.split(","))
    return tuple((int(each[1]), int(each[2] or each[1])) for each in found if each)
