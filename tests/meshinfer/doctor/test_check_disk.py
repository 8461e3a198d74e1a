import pytest

from meshinfer.doctor.check_disk import check_disk
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import DiskSeen, Observed

from .seen import only


@pytest.mark.parametrize(
    ("free_bytes", "reason", "mark"),
    [
        (200_000_000_000, "", Mark.GOOD),
        (5_000_000_000, "", Mark.WARNING),
        (500_000_000, "", Mark.BAD),
        (200_000_000_000, "read-only", Mark.BAD),
    ],
)
def test_room_for_models_is_judged(free_bytes: int, reason: str, mark: Mark) -> None:
    finding = only(check_disk(Observed(disks=(DiskSeen("/models", "models", free_bytes, reason),))), mark)
    assert "/models" in finding.text
    assert bool(finding.remedies) == (mark is not Mark.GOOD)
