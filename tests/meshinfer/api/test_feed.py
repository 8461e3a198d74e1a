import json
from dataclasses import replace
from typing import Any

from meshinfer.api.feed import Feed, FeedTiming
from meshinfer.ledger import Happening, State
from meshinfer.topology.snapshot import MeshSnapshot, picture

MESH = picture("home", (), (), "nobody is here")
TIMING = FeedTiming(mesh_s=0.2, work_s=1.0)


def read(told: bytes) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for event in told.decode().split("\n\n")[:-1]:
        kind, data = event.split("\n")
        events.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


class Reader:
    def __init__(self) -> None:
        self.feed = Feed(TIMING)

    def kinds(self, now_s: float, mesh: MeshSnapshot = MESH, *happenings: Happening) -> list[str]:
        return [kind for kind, _ in read(self.feed.events(mesh, happenings, lambda: {"answers": 0}, now_s))]


def test_mesh_and_work_are_told_first_and_work_once_a_second() -> None:
    reader = Reader()
    assert reader.kinds(0.0) == ["mesh", "work"]
    assert reader.kinds(0.5) == []
    assert reader.feed.wait_s(0.5) == 0.5
    assert reader.kinds(1.0) == ["work"]


def test_a_mesh_that_changes_all_the_time_is_told_five_times_a_second() -> None:
    reader = Reader()
    reader.kinds(0.0)
    kinds = [reader.kinds(0.05 * step, replace(MESH, reason=str(step))) for step in range(1, 20)]
    assert sum(each.count("mesh") for each in kinds) == 4


def test_the_last_change_is_told_once_it_may_be() -> None:
    reader, changed = Reader(), replace(MESH, reason="something else")
    reader.kinds(0.0)
    assert reader.kinds(0.15, changed) == []
    assert abs(reader.feed.wait_s(0.15) - 0.05) < 1e-9
    assert reader.kinds(0.2, changed) == ["mesh"]
    assert reader.feed.wait_s(0.2) > 0.5


def test_what_a_mesh_does_not_show_is_not_told() -> None:
    reader = Reader()
    reader.kinds(0.0)
    assert reader.kinds(0.5, replace(MESH, held=frozenset({"f" * 32}))) == []


def test_requests_are_told_at_once() -> None:
    feed = Feed(TIMING)
    feed.events(MESH, (), dict, 0.0)
    happening = Happening("mine", State.FIRST_TOKEN, "", 30, 1, 5)
    assert read(feed.events(MESH, (happening,), dict, 0.01)) == [
        (
            "request",
            {
                "request": "mine",
                "state": "first_token",
                "model": None,
                "prompt_tokens": 30,
                "answer_tokens": 1,
                "time_ms": 5,
            },
        )
    ]
