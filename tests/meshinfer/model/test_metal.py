import pytest

from meshinfer.model.metal import read_working_set, working_set_bytes


@pytest.mark.parametrize(
    ("device", "size_bytes"),
    [
        ({"device_name": "Apple M3 Ultra", "max_recommended_working_set_size": 498216206336}, 498216206336),
        ({"device_name": "AMD EPYC", "architecture": "x86_64"}, None),
        ({"max_recommended_working_set_size": 0}, None),
        ({"max_recommended_working_set_size": "much"}, None),
        (None, None),
    ],
)
def test_what_a_device_tells(device: object, size_bytes: int | None) -> None:
    assert read_working_set(device) == size_bytes


def test_without_metal_there_is_no_working_set() -> None:
    assert working_set_bytes("linux") is None
