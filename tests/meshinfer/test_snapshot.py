import pytest

from meshinfer.snapshot import Activity


@pytest.mark.parametrize(
    ("activity", "text"),
    [
        (Activity("fetching tiny", 449, 1000), "fetching tiny, 40 %"),
        (Activity("fetching tiny", 1001, 1000), "fetching tiny, 100 %"),
        (Activity("checking tiny", 5, 0), "checking tiny"),
        (Activity("w" * 300, 1, 1), "w" * 100 + ", 100 %"),
    ],
)
def test_others_hear_of_an_activity_in_tenths(activity: Activity, text: str) -> None:
    assert str(activity) == text
