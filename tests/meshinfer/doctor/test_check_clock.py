from meshinfer.doctor.check_clock import check_clock
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import ClockSeen, Observed

from .seen import only


def test_clocks_that_agree_are_well() -> None:
    finding = only(check_clock(Observed(clocks=(ClockSeen("mac-2", 1.2, 0.6),))), Mark.GOOD)
    assert finding.text == "clocks agree within 2 s"


def test_a_clock_that_is_off_is_told_with_how_to_set_it() -> None:
    clocks = (ClockSeen("mac-2", -90.0, 0.6), ClockSeen("mac-3", 0.0, 0.6))
    finding = only(check_clock(Observed(platform="linux", clocks=clocks)), Mark.WARNING)
    assert finding.text.startswith("the clock of mac-2 is 90 s behind this one")
    assert "timedatectl" in finding.remedies[0]


def test_what_may_be_slowness_of_the_way_is_no_difference() -> None:
    only(check_clock(Observed(clocks=(ClockSeen("mac-2", 8.0, 4.0),))), Mark.GOOD)


def test_a_lone_machine_has_nobody_to_compare_with() -> None:
    assert check_clock(Observed()) == []
