from dataclasses import replace

import pytest

from meshinfer.api.waiting import why_waiting
from meshinfer.snapshot import Activity, Snapshot
from meshinfer.topology.member import Status
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.snapshot import MemberView, MeshSnapshot, ModelView, StageView

ACTIVE = MemberView(PeerId("a"), "p1", Status.ALIVE, Phase.ACTIVE, "0", (), "", 1, (0, 2), "")
OTHER = replace(ACTIVE, peer=PeerId("b"), name="p2", layers=(2, 4))
LOADING = replace(OTHER, phase=Phase.PREPARE)
SPARE = replace(OTHER, name="p3", phase=Phase.IDLE, layers=None)


def seen(*members: MemberView, is_live: bool = True, reason: str = "") -> Snapshot:
    ring = tuple(StageView(m.peer, m.name, m.layers, m.phase) for m in members if m.layers is not None)
    model = ModelView("tiny", "", "auto", is_live, reason, None, ring, 0, 0, False)
    mesh = MeshSnapshot("meshinfer", "tiny", "", "auto", is_live, reason, None, members, (model,))
    return Snapshot(mesh, ACTIVE.peer, "p1", "tcp://127.0.0.1:1", "", Phase.ACTIVE, "", None)


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (seen(ACTIVE, OTHER), "waiting for the next token"),
        (seen(ACTIVE, OTHER, SPARE), "waiting for the next token"),
        (seen(ACTIVE, LOADING, is_live=False), "waiting for a ring: p2 loads its layers"),
        (
            seen(replace(ACTIVE, phase=Phase.WATCH), LOADING, is_live=False),
            "waiting for a ring: p1, p2 load their layers",
        ),
        (
            seen(ACTIVE, replace(OTHER, status=Status.SUSPECT)),
            "waiting for a ring: p2 does not answer",
        ),
        (
            seen(ACTIVE, replace(OTHER, status=Status.DEAD, phase=Phase.IDLE), is_live=False),
            "waiting for a ring: p2 is gone",
        ),
        (
            seen(SPARE, is_live=False, reason="the peers are agreeing on a ring"),
            "waiting for a ring: the peers are agreeing on a ring",
        ),
        (
            seen(SPARE, is_live=False, reason="waiting for 1 more of 2 peers that have the model's files"),
            "waiting for a ring: 1 more of 2 peers that have the model's files",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(snapshot: Snapshot, words: str) -> None:
    assert why_waiting(snapshot, has_begun=True) == words


def test_a_model_that_is_loaded_for_a_request_is_named() -> None:
    loading = replace(seen(SPARE), activity=Activity("reading big", 1, 2))
    assert why_waiting(loading, "big", has_begun=False) == "loading big: reading big"
    assert why_waiting(seen(ACTIVE), "tiny", has_begun=True) == "waiting for the next token"


def test_before_the_first_piece_a_live_ring_has_other_work() -> None:
    assert why_waiting(seen(ACTIVE, OTHER), has_begun=False).startswith("waiting for its turn, or")
