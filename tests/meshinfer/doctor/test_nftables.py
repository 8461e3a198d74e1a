import json
from typing import Any

import pytest
from hypothesis import given

from meshinfer.doctor.firewall_state import Verdict
from meshinfer.doctor.nftables import read_nftables
from meshinfer.doctor.packet_filter import verdict
from tests.hostile import hostile


def rule(*expressions: dict[str, Any], chain: str = "input") -> dict[str, Any]:
    return {
        "rule": {"family": "inet", "table": "filter", "chain": chain, "handle": 4, "expr": [*expressions]}
    }


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def port(right: Any, protocol: str = "tcp") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": "dport"}}, right)


def ruleset(*rules: dict[str, Any], policy: str = "drop") -> str:
    base = {"type": "filter", "hook": "input", "prio": 0, "policy": policy}
    chains = [
        {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, **base}},
        {"chain": {"family": "inet", "table": "filter", "name": "peers", "handle": 2}},
        {"chain": {"family": "bridge", "table": "filter", "name": "input", **base}},
    ]
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *chains, *rules]})


USUAL = ruleset(
    rule(match({"ct": {"key": "state"}}, ["established", "related"], op="in"), {"accept": None}),
    rule(match({"meta": {"key": "iifname"}}, "lo"), {"accept": None}),
    rule(port(22), {"counter": {"packets": 1, "bytes": 2}}, {"accept": None}),
    rule(port({"set": [80, {"range": [52000, 53000]}]}), {"accept": None}),
)


def judged(text: str, protocol: str = "tcp", number: int = 52414) -> Verdict:
    (table,) = read_nftables(text)
    (entry,) = table.entries
    return verdict(table.chains, entry, protocol, number)


def test_a_usual_set_of_rules_is_followed() -> None:
    assert judged(USUAL) is Verdict.ACCEPT
    assert judged(USUAL, number=8080) is Verdict.DROP
    assert judged(USUAL, "udp") is Verdict.DROP


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), Verdict.ACCEPT),
        ((rule(port(52414), {"drop": None}),), Verdict.DROP),
        ((rule(port(52414, "th"), {"reject": {"type": "icmpx", "expr": "port-unreachable"}}),), Verdict.DROP),
        ((rule(match({"meta": {"key": "l4proto"}}, "udp"), {"drop": None}),), Verdict.ACCEPT),
        (
            (rule(match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.1"), {"drop": None}),),
            Verdict.UNSURE,
        ),
        ((rule(match({"ct": {"key": "state"}}, "new", op="in"), {"drop": None}),), Verdict.DROP),
        ((rule({"jump": {"target": "peers"}}), rule({"drop": None}, chain="peers")), Verdict.DROP),
        ((rule({"log": {"prefix": "all"}}),), Verdict.ACCEPT),
        (
            (rule(match({"ct": {"key": "state"}}, {"set": ["invalid"]}, op="in"), {"drop": None}),),
            Verdict.ACCEPT,
        ),
    ],
)
def test_single_rules(rules: tuple[dict[str, Any], ...], expected: Verdict) -> None:
    assert judged(ruleset(*rules, policy="accept")) is expected


def test_tables_for_bridges_and_texts_that_are_no_json_have_no_entries() -> None:
    assert [table.family for table in read_nftables(USUAL)] == ["inet"]
    assert read_nftables("Error: cannot") == read_nftables("[1]") == read_nftables("[" * 100_000) == []


@given(hostile(USUAL))
def test_whatever_comes_it_is_judged(text: str) -> None:
    for table in read_nftables(text):
        for entry in table.entries:
            verdict(table.chains, entry, "tcp", 52414)
