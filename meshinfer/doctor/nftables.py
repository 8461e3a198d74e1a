"""What `nft -j list ruleset` tells: the chains of a packet filter, as JSON."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from .firewall_state import Verdict
from .packet_filter import Chain, Rule

COMMAND = ("nft", "-j", "list", "ruleset")

_FAMILIES = ("ip", "ip6", "inet")
_VERDICTS = {"accept": "ACCEPT", "drop": "DROP", "reject": "DROP", "return": "RETURN"}
_WITHOUT_EFFECT = {"counter", "log", "comment", "mangle", "notrack"}
_MOST = 50_000


class Table(NamedTuple):
    """A table. entries: the chains through which packets to this machine come in."""

    family: str
    name: str
    chains: dict[str, Chain]
    entries: tuple[str, ...]


def read_nftables(text: str) -> list[Table]:
    """Read it; whatever is neither chain nor rule is passed over, and so is a text that is no JSON."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return []
    objects = whole.get("nftables") if isinstance(whole, dict) else None
    entries = (
        [each for each in objects[:_MOST] if isinstance(each, dict)] if isinstance(objects, list) else []
    )
    rules: dict[tuple[str, str, str], list[Rule]] = {}
    chains: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in entries:
        match entry:
            case {"chain": {"family": str(family), "table": str(table), "name": str(name)} as told}:
                chains[family, table, name] = told
            case {
                "rule": {"family": str(family), "table": str(table), "chain": str(name), "expr": list(expr)}
            }:
                rules.setdefault((family, table, name), []).append(_rule(expr))
    return [_table(family, table, chains, rules) for family, table in _tables(chains)]


def _tables(chains: dict[tuple[str, str, str], dict[str, Any]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((family, table) for family, table, _ in chains if family in _FAMILIES))


def _table(
    family: str,
    table: str,
    chains: dict[tuple[str, str, str], dict[str, Any]],
    rules: dict[tuple[str, str, str], list[Rule]],
) -> Table:
    own = {name: rest for (f, t, name), rest in chains.items() if (f, t) == (family, table)}
    return Table(
        family,
        table,
        {
            name: Chain(tuple(rules.get((family, table, name), ())), _policy(rest))
            for name, rest in own.items()
        },
        tuple(
            name for name, rest in own.items() if rest.get("hook") == "input" and rest.get("type") == "filter"
        ),
    )


def _policy(chain: dict[str, Any]) -> Verdict | None:
    if "hook" not in chain:
        return None
    return Verdict.DROP if chain.get("policy") == "drop" else Verdict.ACCEPT


def _rule(expressions: list[Any]) -> Rule:
    """A rule; expressions that are not understood make it conditional."""
    target, protocol, ports = "", "", None
    is_never = is_conditional = False
    for expression in expressions:
        match expression:
            case {
                "match": {
                    "op": "==",
                    "left": {"payload": {"protocol": str(told), "field": "dport"}},
                    "right": right,
                }
            }:
                protocol = protocol if told == "th" else told
                ports = tuple(_ranges(right))
            case {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": str(told)}}:
                protocol = told
            case {"match": {"op": "==" | "in", "left": {"ct": {"key": "state"}}, "right": right}}:
                is_never = is_never or "new" not in _texts(right)
            case {"match": {"op": "==", "left": {"meta": {"key": "iifname" | "iif"}}, "right": "lo"}}:
                is_never = True
            case {"jump": {"target": str(name)}} | {"goto": {"target": str(name)}}:
                target = name
            case dict() if (word := next(iter(expression), "")) in _VERDICTS:
                target = _VERDICTS[word]
            case dict() if next(iter(expression), "") in _WITHOUT_EFFECT:
                pass
            case _:
                is_conditional = True
    return Rule(target, protocol, ports, is_never, is_conditional)


def _ranges(right: Any) -> Iterator[tuple[int, int]]:
    """A port, a range of ports, or a set of them."""
    match right:
        case int(port):
            yield port, port
        case {"range": [int(low), int(high)]}:
            yield low, high
        case {"set": list(members)}:
            for member in members[:_MOST]:
                if not isinstance(member, dict) or "set" not in member:
                    yield from _ranges(member)


def _texts(right: Any) -> list[str]:
    match right:
        case str(text):
            return [text]
        case {"set": list(members)} | [*members]:
            return [each for each in members if isinstance(each, str)]
        case _:
            return []
