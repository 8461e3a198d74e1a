import pytest

from meshinfer.cli.amounts import size_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (98_362_432, "98 MB"),
        (19_000_000_000, "19 GB"),
        (4_200 * 10**12, "4200 TB"),
    ],
)
def test_sizes_are_written_with_two_or_three_digits(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text
