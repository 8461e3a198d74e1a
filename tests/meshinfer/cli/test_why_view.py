import pytest

from meshinfer.cli.client import ClientError
from meshinfer.cli.terminal import Terminal
from meshinfer.cli.why_view import show_why

TOLD = {
    "model": "tiny",
    "sentences": [
        {"about": "order", "text": "This order has the shortest ways."},
        {"about": "ring", "text": "A token takes 24 ms."},
        {"about": "ring", "text": "It is \x1b[2Ja ring."},
    ],
}


def test_sentences_stand_below_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    show_why(TOLD, Terminal())
    assert capsys.readouterr().out.splitlines() == [
        "tiny",
        "",
        "the ring",
        "  A token takes 24 ms.",
        "  It is [2Ja ring.",
        "",
        "why this order",
        "  This order has the shortest ways.",
    ]


def test_another_kind_of_answer_is_named() -> None:
    with pytest.raises(ClientError, match="same release"):
        show_why({"model": "tiny"}, Terminal())
