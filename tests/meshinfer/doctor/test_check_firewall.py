import pytest

from meshinfer.doctor.check_firewall import check_firewall
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.firewall_state import FirewallState, Verdict
from meshinfer.doctor.observed import Observed

from .seen import only

OPEN = ("sudo ufw allow 52414",)


@pytest.mark.parametrize(
    ("state", "mark", "text"),
    [
        (None, Mark.NOTE, "it is not known whether a firewall is on"),
        (FirewallState(), Mark.GOOD, "no firewall is on"),
        (FirewallState("ufw"), Mark.GOOD, "ufw lets peers in at port 52414"),
        (
            FirewallState("ufw", Verdict.DROP, Verdict.DROP, OPEN),
            Mark.BAD,
            "ufw keeps peers out: TCP and UDP to port 52414",
        ),
        (
            FirewallState("ufw", Verdict.ACCEPT, Verdict.DROP, OPEN),
            Mark.BAD,
            "ufw keeps peers out: UDP to port 52414",
        ),
        (
            FirewallState("ufw", Verdict.UNSURE, Verdict.ACCEPT, OPEN),
            Mark.WARNING,
            "ufw may keep peers out: TCP to port 52414",
        ),
        (FirewallState("ufw", unread="only root may"), Mark.NOTE, "ufw: only root may"),
    ],
)
def test_what_a_firewall_does_is_told(state: FirewallState | None, mark: Mark, text: str) -> None:
    finding = only(check_firewall(Observed(port=52414, firewall=state)), mark)
    assert finding.text == text
    assert not any("sudo meshinfer" in remedy for remedy in finding.remedies)
    if mark in (Mark.BAD, Mark.WARNING):
        assert finding.remedies == OPEN


def test_root_is_told_which_python_to_run_and_at_which_port_to_look() -> None:
    unread = FirewallState("ufw", unread="only root may")
    finding = only(check_firewall(Observed(port=4242, python="/my venv/python", firewall=unread)), Mark.NOTE)
    assert finding.remedies == ("sudo '/my venv/python' -m meshinfer doctor --listen 0.0.0.0:4242",)
