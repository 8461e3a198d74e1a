from meshinfer.doctor.check_speed import check_speed
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed

from .seen import only


def test_a_slow_library_is_told_with_the_fast_one() -> None:
    advice = "libopenblas.so.0 is not installed: apt install libopenblas0-pthread"
    finding = only(check_speed(Observed(platform="linux", blas_advice=advice)), Mark.WARNING)
    assert finding.text == "libopenblas.so.0 is not installed"
    assert finding.remedies == ("apt install libopenblas0-pthread",)


def test_a_fast_one_is_well_and_macs_have_their_own() -> None:
    only(check_speed(Observed(platform="linux", blas_advice="")), Mark.GOOD)
    assert check_speed(Observed(platform="darwin", blas_advice="")) == []
