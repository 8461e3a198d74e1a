from pathlib import Path

import pytest

from tests.meshinfer.paper.published import PUBLISHED, Published, estimate, table

PAGE = Path(__file__).parents[3] / "docs" / "plans.md"


@pytest.mark.parametrize(
    "figure", PUBLISHED, ids=lambda f: f"{f.model}-{f.machines}-{f.engine}-{f.is_prefill}"
)
def test_an_estimate_is_near_what_others_measured(figure: Published) -> None:
    assert 1 / 1.5 < estimate(figure) / figure.tok_s < 1.5


def test_the_page_shows_the_table_as_it_is() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")
