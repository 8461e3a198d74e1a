import pytest

from meshinfer.cli.children import ChildLine
from meshinfer.cli.forming import Forming, FormingFailed

LISTENS = "peer {} listens on 127.0.0.1:{} (this machine only)"
API = "API on http://127.0.0.1:{}/v1 — health at http://127.0.0.1:{}/health"
LIVE = "ring live, epoch 1: demo-1 layers 0–14 → demo-2 layers 15–29"


def started() -> Forming:
    forming = Forming(2)
    for number in (1, 2):
        name = f"demo-{number}"
        forming.heard(ChildLine(name, LISTENS.format(name, number)))
        forming.heard(ChildLine(name, API.format(80 + number, 80 + number)))
    return forming


def test_it_is_complete_once_every_peer_sees_the_ring() -> None:
    forming = started()
    forming.heard(ChildLine("demo-1", LIVE))
    forming.heard(ChildLine("demo-1", LIVE))
    steps = [forming.is_complete]
    forming.heard(ChildLine("demo-2", LIVE))
    assert [*steps, forming.is_complete] == [False, True]
    assert forming.addresses == {"demo-1": "127.0.0.1:1", "demo-2": "127.0.0.1:2"}
    assert forming.api_urls == {"demo-1": "http://127.0.0.1:81", "demo-2": "http://127.0.0.1:82"}
    assert forming.ring_line == LIVE


def test_a_peer_that_ends_is_named_with_its_last_words() -> None:
    forming = started()
    forming.heard(ChildLine("demo-2", "Killed by the kernel"))
    with pytest.raises(FormingFailed, match="demo-2 ended with status -9: Killed by the kernel"):
        forming.heard(ChildLine("demo-2", None, -9))


def test_a_peer_with_an_error_ends_the_wait() -> None:
    with pytest.raises(FormingFailed, match="demo-1: the disk is full"):
        started().heard(ChildLine("demo-1", "error: the disk is full"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (ChildLine("demo-2", LISTENS.format("demo-2", 7)), "demo-2 listens on 127.0.0.1:7"),
        (ChildLine("demo-2", API.format(7, 7)), None),
        (ChildLine("demo-1", "--listen 0.0.0.0:52414 lets other machines join"), None),
        (ChildLine("demo-1", "demo-2 joined"), "demo-1 │ demo-2 joined"),
        (ChildLine("demo-2", "demo-1 joined"), None),
        (ChildLine("demo-2", "warning: slow"), "demo-2 │ warning: slow"),
        (ChildLine("demo-1", LIVE), None),
        (ChildLine("demo-1", None, 0), None),
    ],
)
def test_one_peer_tells_for_all(line: ChildLine, told: str | None) -> None:
    assert Forming(2).told(line, teller="demo-1") == told
