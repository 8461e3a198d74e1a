from dataclasses import replace

import pytest

from meshinfer.topology.knobs import PRESETS, lan, large
from meshinfer.topology.suspicion import shortest_s


def test_every_preset_can_be_made() -> None:
    made = {name: make() for name, make in PRESETS.items()}
    assert sorted(made) == ["lan", "large", "test"]
    assert (made["lan"], made["large"]) == (lan(), large())


@pytest.mark.parametrize(
    "change",
    [
        {"probe_timeout_s": 0.5},
        {"probe_timeout_s": 0.0},
        {"gossip_interval_s": 0.0},
        {"sync_interval_s": -1.0},
        {"reach_interval_s": 0.0},
        {"lag_s": 0.0},
        {"relay_share": 0.0},
        {"relay_share": 1.0},
        {"gossip_fanout": 0},
        {"relays": -1},
        {"confirmations": -1},
        {"max_health": -1},
        {"max_tombstones": 0},
        {"max_members": 39_000},
    ],
)
def test_knobs_that_make_no_sense_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"protocol|within|share|peer|digest"):
        replace(lan(), **change)  # type: ignore[arg-type]


def test_a_silent_host_on_a_desk_can_be_found_within_the_goal() -> None:
    knobs = lan()
    assert knobs.probe_interval_s + shortest_s(knobs, 16) < 3.5


def test_the_preset_for_tests_is_the_same_protocol_only_faster() -> None:
    slow, fast = lan(), PRESETS["test"]()
    assert shortest_s(fast, 8) < shortest_s(slow, 8) / 4
    assert (fast.relays, fast.confirmations, fast.min_transmits) == (
        slow.relays,
        slow.confirmations,
        slow.min_transmits,
    )
