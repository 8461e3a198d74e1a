from meshinfer.doctor.check_power import check_power
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed

from .seen import only


def test_what_is_measured_is_told_and_what_is_not_is_no_fault() -> None:
    assert only(check_power(Observed(power="the whole Mac")), Mark.GOOD).text == "watts of the whole Mac"
    assert only(check_power(Observed(no_power="root only")), Mark.NOTE).text == (
        "watts are not told: root only"
    )
    assert check_power(Observed()) == []
