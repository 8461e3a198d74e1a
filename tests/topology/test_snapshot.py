from dataclasses import replace

import pytest

from meshinfer.topology.member import Member, Status
from meshinfer.topology.snapshot import picture
from tests.topology.voices import record


@pytest.mark.parametrize(
    ("status", "fault", "is_eligible", "words"),
    [
        (Status.ALIVE, "", True, ""),
        (Status.ALIVE, "the disk is full", False, "the disk is full"),
        (Status.ALIVE, "", False, "lost and came back too often"),
        (Status.DEAD, "", False, ""),
    ],
)
def test_who_holds_no_layers_although_it_is_there_says_why(
    status: Status, fault: str, is_eligible: bool, words: str
) -> None:
    member = Member(replace(record(1), fault=fault, is_eligible=is_eligible), status)
    shown = picture("m", (), [member], "").members[0].fault
    assert words in shown
    assert bool(shown) is bool(words)
