from dataclasses import replace

import pytest

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.draw.figure import (
    Way,
    figure_of,
    layers_over,
    layers_text,
    plain,
    rtt_text,
    speed_text,
    state_text,
    way_text,
    ways_round,
)
from meshinfer.topology.equipment import Carrier, Equipment
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, LinkMeasure, Phase
from meshinfer.topology.ring import Ring, Run, Stage
from meshinfer.topology.snapshot import model_view, picture
from meshinfer.topology.target import Epoch
from tests.topology.draw.figures import TWO
from tests.topology.voices import ME, B, C, record

F = "f" * 32


def test_a_snapshot_becomes_a_figure_of_each_model() -> None:
    plan = Plan(Epoch(3), "tiny", F, Ring(4, (Stage(ME, Run(1), 0, 3), Stage(B, Run(1), 3, 4))))
    follow = Follow(F, plan.target, Phase.ACTIVE, need_bytes=70)
    far = (LinkMeasure(B, 400, 900), LinkMeasure(C, 9))
    by_cable = Equipment(carriers=(Carrier((C, B), "en7", "Thunderbolt 5", "jaccl"),))
    records = (
        record(0, follows=(follow,), links=far, equipment=by_cable),
        record(1, follows=(replace(follow, phase=Phase.PREPARE),), links=(LinkMeasure(ME, 500, 0),)),
        record(2, fault="its disk is full"),
    )
    members = [Member(each, Status.ALIVE) for each in records]
    view = model_view(DesiredModel(0, 1, ME, "tiny", "dir:/x", F, 0), plan, members, "it loads")
    figure = figure_of(picture("home", [view], members, ""), view)
    assert [(seat.name, seat.layers, seat.state, seat.need_bytes) for seat in figure.seats] == [
        ("p0", (0, 3), "serving", 70),
        ("p1", (3, 4), "loading", 70),
    ]
    assert figure.ways == (Way(500, 900, True, "Thunderbolt 5 en7, jaccl"), Way(500, 900, True))
    assert [(spare.name, spare.state, spare.fault) for spare in figure.spares] == [
        ("p2", "idle", "its disk is full")
    ]
    assert (figure.epoch, figure.layer_count, figure.headline) == (3, 4, "no ring yet: it loads")


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
