from dataclasses import replace

from meshinfer.doctor.checks import CHECKS, examine, is_well
from meshinfer.doctor.firewall_state import FirewallState, Verdict
from meshinfer.doctor.observed import Observed

from .seen import mac


def test_where_nothing_was_seen_nothing_is_wrong() -> None:
    checked = examine(Observed(platform="linux"))
    assert is_well(checked)
    assert {each.name for each in checked} < set(CHECKS)


def test_a_healthy_studio_is_well_and_a_closed_firewall_is_not() -> None:
    studio = mac("m3-ultra-1")
    assert is_well(examine(studio))
    closed = FirewallState("the firewall of macOS", Verdict.DROP, Verdict.DROP)
    assert not is_well(examine(replace(studio, firewall=closed)))


def test_warnings_are_allowed() -> None:
    assert is_well(examine(mac("bridge-on")))
