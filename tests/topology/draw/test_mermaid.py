from hypothesis import given

from meshinfer.topology.draw.figure import Figure
from meshinfer.topology.draw.mermaid import mermaid
from tests.topology.draw.figures import TWO, figures, ring, seat


def test_a_ring_is_a_chart_with_its_token_going_back() -> None:
    assert mermaid(TWO).splitlines() == [
        "flowchart LR",
        '    p0["desk<br/>layers 0–14<br/>1.0 GB of 16.0 GB<br/>serving"]',
        '    p1["lap<br/>layers 15–29<br/>1.0 GB of 16.0 GB<br/>loading"]',
        "    p0 -->|0.21 ms| p1",
        "    p1 -.->|token 0.21 ms| p0",
        '    s0("shelf<br/>stands by")',
        "    style s0 stroke-dasharray: 4 4",
    ]


def test_a_name_stays_a_name() -> None:
    assert '["#34;#93;; end#35;<br/>layer 0' in mermaid(ring(seat('"]; end#', 0, 1))).replace("#59;", ";")


@given(figures())
def test_every_line_is_a_node_a_way_or_a_style(figure: Figure) -> None:
    first, *lines = mermaid(figure).splitlines()
    assert first == "flowchart LR"
    assert len(lines) == len(figure.seats) + len(figure.ways) + 2 * len(figure.spares) or not figure.seats
    assert all(line.startswith("    ") and line.count('"') in (0, 2) for line in lines)
