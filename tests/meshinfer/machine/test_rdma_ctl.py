import pytest

from meshinfer.machine.rdma_ctl import read_rdma_ctl


@pytest.mark.parametrize(
    ("text", "is_on"),
    [
        ("enabled\n", True),
        ("RDMA over Thunderbolt is Enabled.", True),
        ("disabled\n", False),
        ("RDMA is not enabled", False),
        ("usage: rdma_ctl status|enable|disable", None),
        ("", None),
    ],
)
def test_what_it_says(text: str, is_on: bool | None) -> None:
    assert read_rdma_ctl(text) is is_on
