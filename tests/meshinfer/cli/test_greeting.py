import pytest

from meshinfer.cli.greeting import greeting, is_loopback, read_api_line, read_listen_line
from meshinfer.cli.terminal import Tone
from meshinfer.transports.base import Address

API = "http://127.0.0.1:52415"


def test_on_loopback_it_says_that_nobody_else_can_join_and_how_they_could() -> None:
    texts = [line.text for line in greeting("mac-1", Address("tcp://127.0.0.1:52414"), API)]
    assert texts == [
        "peer mac-1 listens on 127.0.0.1:52414 (this machine only)",
        "--listen 0.0.0.0:52414 lets other machines join",
        "API on http://127.0.0.1:52415/v1 — health at http://127.0.0.1:52415/health",
    ]


def test_beyond_loopback_it_warns_that_there_are_no_keys() -> None:
    lines = greeting("mac-1", Address("tcp://192.168.1.4:52414"), "http://192.168.1.4:52415")
    assert lines[0].text.endswith("(others join with --peer 192.168.1.4:52414)")
    assert [line.text for line in lines if line.tone is Tone.WARNING] == [
        "whoever reaches that port can join and read along: meshinfer has no keys yet",
        "whoever reaches the API can use it: it asks for no key yet",
    ]


def test_what_is_said_can_be_read_back() -> None:
    texts = [line.text for line in greeting("mac-1", Address("tcp://[::1]:7"), API)]
    assert [read_listen_line(text) for text in texts] == ["[::1]:7", None, None]
    assert [read_api_line(text) for text in texts] == [None, None, API]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("fe80::1%en2", False),
        ("mac.local", False),
    ],
)  # fmt: skip
def test_loopback_is_known_by_its_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
