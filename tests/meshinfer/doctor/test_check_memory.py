import pytest

from meshinfer.doctor.check_memory import check_memory
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed
from meshinfer.machine.memory import MemoryTerms

from .seen import only

GIB = 1 << 30
STUDIO = MemoryTerms(512 * GIB, 500 * GIB, 498_216_206_336)


def test_the_budget_is_told_with_what_bounds_it() -> None:
    finding = only(check_memory(Observed(memory=STUDIO, wired_limit_mb=0)), Mark.GOOD)
    assert "Metal takes at most 498.2 GB" in finding.text


@pytest.mark.parametrize(
    ("limit_mb", "mark", "text"),
    [
        (511 * 1024, Mark.BAD, "the system may freeze"),
        (100 * 1024, Mark.WARNING, "less than macOS does by itself"),
    ],
)
def test_a_wired_limit_that_makes_no_sense_is_told(limit_mb: int, mark: Mark, text: str) -> None:
    _, finding = check_memory(Observed(memory=STUDIO, wired_limit_mb=limit_mb))
    assert (finding.mark, finding.remedies) == (mark, ("sudo sysctl iogpu.wired_limit_mb=0",))
    assert text in finding.text


def test_a_wired_limit_that_makes_sense_is_not() -> None:
    only(check_memory(Observed(memory=STUDIO, wired_limit_mb=490 * 1024)), Mark.GOOD)


def test_hardly_any_memory_is_told() -> None:
    only(check_memory(Observed(memory=MemoryTerms(8 * GIB, GIB))), Mark.WARNING)


def test_unmeasured_memory_is_not_judged() -> None:
    only(check_memory(Observed()), Mark.NOTE)
