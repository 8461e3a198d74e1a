import pytest

from meshinfer.cli.story import changes, is_ring_live
from meshinfer.cli.terminal import Line, Tone
from meshinfer.snapshot import Snapshot
from meshinfer.topology.member import Status
from meshinfer.topology.snapshot import MemberView

from .snapshots import B, member, plan, seen

ALIVE = member(B)


def test_a_ring_that_comes_to_life_is_told_with_its_layers() -> None:
    line = Line("ring live, epoch 1: mac-a layers 0–14 → mac-b layers 15–29", Tone.GOOD)
    assert changes(seen(ALIVE), seen(ALIVE, plan=plan(), is_live=True)) == [line]
    assert is_ring_live(line.text)


def test_nothing_is_told_twice() -> None:
    for snapshot in (
        seen(ALIVE, reason="waiting for 1 more of 3 peers"),
        seen(ALIVE, plan=plan(), is_live=True),
        seen(member(B, fault="disk full"), fault="no such model"),
    ):
        assert changes(snapshot, snapshot) == []


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ([], [ALIVE], "mac-b joined"),
        ([ALIVE], [member(B, Status.SUSPECT)], "mac-b does not answer"),
        ([member(B, Status.SUSPECT)], [ALIVE], "mac-b answers"),
        ([ALIVE], [member(B, Status.LEFT)], "mac-b left"),
        ([member(B, Status.SUSPECT)], [member(B, Status.DEAD)], "mac-b is gone"),
        ([member(B, Status.DEAD)], [ALIVE], "mac-b joined"),
        ([ALIVE], [], "mac-b is gone"),
        ([], [member(B, fault="its disk is full")], "mac-b holds no layers: its disk is full"),
    ],
)
def test_what_becomes_of_a_member_is_told(
    before: list[MemberView], after: list[MemberView], text: str
) -> None:
    assert text in [line.text for line in changes(seen(*before), seen(*after))]


@pytest.mark.parametrize("status", [Status.DEAD, Status.LEFT])
def test_who_was_never_met_is_not_mourned(status: Status) -> None:
    assert changes(None, seen(member(B, status))) == []
    assert changes(seen(member(B, status)), seen()) == []


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (
            seen(),
            seen(reason="waiting for 1 more of 2 peers"),
            Line("no ring yet: waiting for 1 more of 2 peers"),
        ),
        (
            seen(ALIVE, plan=plan(), is_live=True),
            seen(ALIVE, reason="mac-b holds half of it"),
            Line("the ring is down: mac-b holds half of it", Tone.WARNING),
        ),
        (
            seen(ALIVE, plan=plan(), is_live=True),
            seen(ALIVE, plan=plan(epoch=2), reason="waiting for mac-b to load layers"),
            Line("the ring re-forms: waiting for mac-b to load layers"),
        ),
    ],
)
def test_the_reason_for_waiting_is_told(before: Snapshot, after: Snapshot, line: Line) -> None:
    assert changes(before, after) == [line]


def test_another_plan_that_is_live_at_once_is_told() -> None:
    first, second = (seen(ALIVE, plan=plan(epoch), is_live=True) for epoch in (1, 2))
    assert [line.text[:19] for line in changes(first, second)] == ["ring live, epoch 2:"]


def test_an_own_fault_is_an_error_and_is_not_repeated_as_the_reason() -> None:
    fault = "unknown model 'x'"
    lines = changes(None, seen(reason=fault, fault=fault))
    assert [line.tone for line in lines] == [Tone.ERROR, Tone.PLAIN]
    assert lines[0].text == fault


def test_the_first_moment_of_a_peer_is_not_worth_a_line() -> None:
    assert changes(None, seen(reason="this peer has just started")) == []
