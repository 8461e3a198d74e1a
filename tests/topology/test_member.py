import pytest

from meshinfer.topology.member import Member, Status
from tests.topology.voices import record


@pytest.mark.parametrize(
    ("status", "is_present"),
    [(Status.ALIVE, True), (Status.SUSPECT, True), (Status.DEAD, False), (Status.LEFT, False)],
)
def test_a_suspect_may_still_refute_so_it_counts(status: Status, is_present: bool) -> None:
    member = Member(record(1), status)
    assert (member.is_present, member.is_available) == (is_present, is_present)


@pytest.mark.parametrize("change", [{"is_eligible": False}, {"is_leaving": True}])
def test_plans_do_not_count_on_who_flaps_or_goes(change: dict[str, bool]) -> None:
    member = Member(record(1, **change), Status.ALIVE)
    assert (member.is_present, member.is_available) == (True, False)
