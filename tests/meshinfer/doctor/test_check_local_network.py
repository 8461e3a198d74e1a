from dataclasses import replace

import pytest

from meshinfer.doctor.check_local_network import check_local_network, responsible_app
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Dialled, Heard, Observed

from .seen import only

MAC = Observed(platform="darwin", environment={"TERM_PROGRAM": "iTerm.app"})
DENIED = Dialled("mac-2", "192.168.50.12", 52414, 65, "no route")


def test_a_neighbour_that_ends_with_errno_65_is_the_missing_permission() -> None:
    finding = only(check_local_network(replace(MAC, dialled=(DENIED,))), Mark.BAD)
    assert finding.text == "macOS keeps iTerm from the local network (errno 65 for mac-2:52414)"
    assert "turn on iTerm under System Settings > Privacy & Security > Local Network" in finding.remedies[0]
    assert "Terminal or over ssh" in finding.remedies[1]


@pytest.mark.parametrize("host", ["169.254.3.4", "fe80::1%en5", "10.0.0.7", "mac-2.local"])
def test_every_kind_of_neighbour_counts(host: str) -> None:
    only(check_local_network(replace(MAC, dialled=(replace(DENIED, host=host),))), Mark.BAD)


def test_without_any_peer_multicast_tells() -> None:
    heard = (Heard("en0", False, 65, "No route to host"),)
    finding = only(check_local_network(replace(MAC, heard=heard)), Mark.BAD)
    assert "multicast on en0" in finding.text


@pytest.mark.parametrize(
    "dialled",
    [
        replace(DENIED, host="8.8.8.8"),  # far away: a real lack of a route
        replace(DENIED, errno=61),  # refused: it was reached
        replace(DENIED, errno=0),
    ],
)
def test_other_failures_are_no_lack_of_permission(dialled: Dialled) -> None:
    (finding,) = check_local_network(replace(MAC, dialled=(dialled,)))
    assert finding.mark in (Mark.GOOD, Mark.NOTE)


def test_linux_knows_no_such_permission() -> None:
    assert check_local_network(Observed(platform="linux", dialled=(DENIED,))) == []


@pytest.mark.parametrize(
    ("environment", "app"),
    [
        ({"TERM_PROGRAM": "Apple_Terminal"}, "Terminal"),
        ({"TERM_PROGRAM": "vscode"}, "Visual Studio Code"),
        ({"TERM_PROGRAM": "kitty"}, "kitty"),
        ({"TERM_PROGRAM": "tmux", "TMUX": "/tmp/x"}, "tmux (and the terminal that it was started from)"),
        ({"SSH_CONNECTION": "1 2 3 4"}, "sshd"),
        ({"__CFBundleIdentifier": "com.example.app"}, "com.example.app"),
        ({}, "the program that started this one"),
    ],
)
def test_which_application_is_asked_for(environment: dict[str, str], app: str) -> None:
    assert responsible_app(environment) == app


def test_who_runs_in_terminal_needs_no_other_way() -> None:
    seen = replace(MAC, environment={"TERM_PROGRAM": "Apple_Terminal"}, dialled=(DENIED,))
    assert len(only(check_local_network(seen), Mark.BAD).remedies) == 1
