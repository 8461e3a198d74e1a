import pytest

from meshinfer.doctor.firewall_state import FirewallState, Verdict
from meshinfer.doctor.macos_firewall import TOOL, app_command, judge_macos

ON, OFF = "Firewall is enabled. (State = 1)\n", "Firewall is disabled. (State = 0)\n"
NOT_ALL = "Firewall has block all state set to disabled.\n"


@pytest.mark.parametrize(
    ("state", "block_all", "app", "verdict"),
    [
        (OFF, "", "", Verdict.ACCEPT),
        (ON, NOT_ALL, "Incoming connection to the application is permitted\n", Verdict.ACCEPT),
        (ON, NOT_ALL, "Incoming connection to the application is blocked\n", Verdict.DROP),
        (ON, NOT_ALL, "The application is not part of the firewall\n", Verdict.UNSURE),
        (ON, "Firewall has block all state set to enabled.\n", "", Verdict.DROP),
        ("Firewall is enabled. (State = 2)", "Block all INCOMING connections enabled", "", Verdict.DROP),
    ],
)
def test_what_it_does_with_connections_to_python(
    state: str, block_all: str, app: str, verdict: Verdict
) -> None:
    judged = judge_macos(state, block_all, app, "/opt/python")
    assert judged.tcp is judged.udp is verdict
    assert bool(judged.opening) == (verdict is not Verdict.ACCEPT)


def test_a_program_is_let_in_by_its_path() -> None:
    judged = judge_macos(ON, NOT_ALL, "blocked", "/my disk/python")
    assert judged.opening == (
        f"sudo {TOOL} --add '/my disk/python'",
        f"sudo {TOOL} --unblockapp '/my disk/python'",
    )
    assert app_command("/opt/python")[-1] == "/opt/python"


def test_one_that_is_off_is_none_and_one_that_says_nothing_is_unread() -> None:
    assert judge_macos(OFF, "", "", "/opt/python") == FirewallState()
    assert judge_macos("?", "", "", "/opt/python").unread
