import pytest

from meshinfer.topology.draw.figure import (
    Way,
    layers_over,
    layers_text,
    plain,
    rtt_text,
    speed_text,
    state_text,
    way_text,
    ways_round,
)
from meshinfer.topology.member import Status
from meshinfer.topology.record import LinkMeasure, Phase
from tests.topology.draw.figures import TWO
from tests.topology.voices import ME, B, C


def test_one_peer_has_no_way_and_a_way_that_either_end_calls_down_is_down() -> None:
    links = {ME: (LinkMeasure(B, 100, is_up=False),), B: (LinkMeasure(ME, 100),)}
    assert ways_round([ME], links, {}) == ()
    assert ways_round([ME, B], links, {})[0].is_up is False
    assert ways_round([B, C], links, {})[0] == Way(0, 0, True)


@pytest.mark.parametrize(
    ("status", "phases", "text"),
    [
        (Status.ALIVE, [Phase.ACTIVE], "serving"),
        (Status.ALIVE, [Phase.ACTIVE, Phase.PREPARE], "loading"),
        (Status.ALIVE, [Phase.WATCH], "stands by"),
        (Status.ALIVE, [], "idle"),
        (Status.SUSPECT, [Phase.ACTIVE], "suspect"),
        (Status.DEAD, [Phase.ACTIVE], "dead"),
    ],
)
def test_a_member_is_told_by_what_it_does_or_how_it_is_missed(
    status: Status, phases: list[Phase], text: str
) -> None:
    assert state_text(status, phases) == text


def test_figures_are_told_in_few_words() -> None:
    assert TWO.headline == "30 layers over 2 peers, 12.5 tokens/s"
    assert layers_over(1, 1) == "1 layer over 1 peer"
    assert (layers_text(0, 15), layers_text(7, 8)) == ("0–14", "7")
    assert (speed_text(0), speed_text(1_000_000)) == ("", "1 tokens/s")
    assert [rtt_text(us) for us in (0, 210, 9994, 12_000)] == ["", "0.21 ms", "9.99 ms", "12 ms"]
    ways = [Way(210, 1200, True), Way(0, 300, True), Way(210, 0, False), Way(0, 0, True)]
    assert [way_text(way) for way in ways] == ["0.21 ms, 1.2 GB/s", "300 MB/s", "down", ""]


def test_names_cannot_steer_a_screen_or_break_a_line() -> None:
    assert plain("a\x1b[2J\nb\u202e日") == "a [2J b 日"


@pytest.mark.parametrize(("layers", "text"), [((0, 15), "0–14"), ((7, 8), "7")])
def test_layers_are_written_with_the_last_one_that_belongs(layers: tuple[int, int], text: str) -> None:
    assert layers_text(*layers) == text
