from meshinfer.doctor.check_reach import check_reach
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Dialled, Observed

from .seen import only

WELL = Dialled("mac-2", "10.0.0.2", 52414, local="10.0.0.1")
REFUSED = Dialled("mac-2", "192.168.1.2", 52414, 111, "nothing listens on that port")
SILENT = Dialled("", "10.0.0.9", 52414, reason="no answer in 5 s")


def test_one_address_that_answers_is_enough() -> None:
    finding = only(check_reach(Observed(dialled=(REFUSED, WELL))), Mark.GOOD)
    assert finding.text == "mac-2 answers at 10.0.0.2:52414"


def test_a_peer_that_does_not_answer_is_told_with_the_reasons() -> None:
    refused, silent = check_reach(Observed(dialled=(REFUSED, SILENT)))
    assert (refused.mark, silent.mark) == (Mark.BAD, Mark.BAD)
    assert "192.168.1.2:52414: nothing listens on that port" in refused.text
    assert refused.remedies == ("run meshinfer doctor on that machine as well",)
    assert silent.text.startswith("10.0.0.9 cannot be reached: 10.0.0.9:52414: no answer in 5 s")


def test_whom_nobody_named_nobody_misses() -> None:
    assert check_reach(Observed()) == []
