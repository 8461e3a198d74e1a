from dataclasses import replace

import pytest

from meshinfer.topology.record import (
    HIGHEST_RUN,
    MAX_ADDRESSES,
    MAX_FOLLOWS,
    MAX_LINKS,
    MAX_MODELS,
    MAX_TEXT,
    Follow,
    LinkMeasure,
    Phase,
    Resident,
)
from meshinfer.topology.target import Digest, Epoch, Target
from tests.topology.voices import record

TARGET = Target(Epoch(3), Digest("d" * 32))
FOLLOW = Follow("f" * 32, TARGET, Phase.READY)


def test_a_later_life_is_newer_than_any_version_of_an_earlier() -> None:
    orders = [record(1, run, version).order for run, version in ((1, 1), (1, 2), (1, 99), (2, 0), (2, 1))]
    assert orders == sorted(orders)
    assert len(set(orders)) == len(orders)


def test_a_plan_that_is_followed_is_found_by_its_target() -> None:
    one = record(1, follows=(FOLLOW,))
    assert one.follow(TARGET) is FOLLOW
    assert one.follow(replace(TARGET, epoch=Epoch(4))) is None


@pytest.mark.parametrize("phase", Phase)
def test_layers_are_in_memory_once_they_are_checked(phase: Phase) -> None:
    assert phase.is_loaded == (phase in (Phase.READY, Phase.ACTIVE))


@pytest.mark.parametrize(
    "change",
    [
        {"peer": ""},
        {"name": ""},
        {"fault": "x" * (MAX_TEXT + 1)},
        {"addresses": ("a",) * (MAX_ADDRESSES + 1)},
        {"addresses": ("a" * (MAX_TEXT + 1),)},
        {"models": ("f" * 32,) * (MAX_MODELS + 1)},
        {"links": (LinkMeasure(record(2).peer, 1),) * (MAX_LINKS + 1)},
        {"follows": (FOLLOW,) * (MAX_FOLLOWS + 1)},
        {"resident": (Resident("f" * 32, 0, 1),) * (MAX_FOLLOWS + 1)},
        {"memory_bytes": -1},
        {"run": -1},
        {"run": HIGHEST_RUN + 1},
        {"flap_level": -1},
    ],
)
def test_a_record_past_its_limits_cannot_exist(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="record"):
        replace(record(1), **change)  # type: ignore[arg-type]
