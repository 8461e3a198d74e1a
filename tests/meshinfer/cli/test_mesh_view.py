from typing import Any

import pytest

from meshinfer.cli.client import ClientError
from meshinfer.cli.mesh_view import MemberRow, Seat, read_mesh
from meshinfer.snapshot import mesh_json
from meshinfer.topology.member import Status

from .snapshots import B, member, plan, seen


def test_a_live_mesh_is_read_back() -> None:
    view = read_mesh(mesh_json(seen(member(B), plan=plan(), is_live=True).mesh))
    assert (view.model, view.is_live, view.epoch, view.layer_count) == ("smollm2", True, 1, 30)
    assert view.ring == (Seat("mac-a", (0, 15)), Seat("mac-b", (15, 30)))
    assert view.digest == plan().digest


def test_who_is_cut_off_is_read_back() -> None:
    mesh = seen(member(B)).mesh.with_barred({B: "cut off for 60 s"})
    assert [each.barred for each in read_mesh(mesh_json(mesh)).members] == ["", "cut off for 60 s"]


def test_a_mesh_that_waits_says_why() -> None:
    view = read_mesh(mesh_json(seen(member(B, Status.SUSPECT), reason="nobody has a model").mesh))
    assert (view.is_live, view.reason, view.epoch, view.ring) == (False, "nobody has a model", 0, ())
    assert view.members[1] == MemberRow(
        "mac-b", "suspect", None, 10**9, "", "", "", peer=B, answers=0, tokens_per_s=0
    )


@pytest.mark.parametrize("body", [{}, {"mesh": "x"}, {**mesh_json(seen().mesh), "members": [{"name": "x"}]}])
def test_another_kind_of_answer_is_named(body: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="same release"):
        read_mesh(body)
