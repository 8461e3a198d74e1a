from meshinfer.doctor.check_multicast import check_multicast
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Heard, Observed

from .seen import only

WELL, DEAF = Heard("en0", True), Heard("en1", False)


def test_what_comes_back_works() -> None:
    assert only(check_multicast(Observed(heard=(WELL,))), Mark.GOOD).text == "multicast works on en0"


def test_where_nothing_comes_back_mdns_is_blocked() -> None:
    finding = only(check_multicast(Observed(heard=(DEAF,))), Mark.BAD)
    assert finding.text == "multicast does not work on en1: nothing came back"
    assert "5353" in finding.remedies[0]
    assert "--peer" in finding.remedies[1]


def test_one_of_several_is_a_warning_with_its_reason() -> None:
    taken = Heard("en1", False, 48, "another program holds UDP port 5353")
    finding = only(check_multicast(Observed(heard=(WELL, taken))), Mark.WARNING)
    assert "en1: another program holds UDP port 5353" in finding.text


def test_where_nothing_was_tried_nothing_is_told() -> None:
    only(check_multicast(Observed()), Mark.NOTE)
    only(check_multicast(Observed(heard=())), Mark.NOTE)
