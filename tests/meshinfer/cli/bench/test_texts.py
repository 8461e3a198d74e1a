from dataclasses import replace

import pytest

from meshinfer.cli.bench.texts import count_text, length_text, number_text, place_text

from .reports import ALONE, report


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (0.524, "0.52"),
        (9.996, "10.0"),
        (13.94, "13.9"),
        (99.96, "100"),
        (1046.2, "1046"),
    ],
)
def test_numbers_keep_what_means_something(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_one_is_no_plural() -> None:
    assert (count_text(1, "peer"), count_text(2, "peer")) == ("1 peer", "2 peers")


def test_a_report_says_what_was_measured_and_where() -> None:
    here = report(ALONE)
    elsewhere = replace(
        here, setting=replace(here.setting, peers=None, url="http://10.0.0.1:52415", rounds=3)
    )
    assert length_text(here.setting) == "11 tokens after each prompt, one round"
    assert length_text(elsewhere.setting) == "11 tokens after each prompt, medians of 3 rounds"
    assert place_text(here) == "all peers on one Apple M3 Ultra, 32 cores"
    assert place_text(elsewhere) == "asked from Apple M3 Ultra, 32 cores"
