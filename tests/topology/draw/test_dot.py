import re

from hypothesis import given

from meshinfer.topology.draw.dot import dot
from meshinfer.topology.draw.figure import Figure
from tests.topology.draw.figures import TWO, figures

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def test_a_ring_is_a_graph() -> None:
    lines = [line.strip() for line in dot(TWO).splitlines()]
    assert (lines[0], lines[-1]) == ("digraph mesh {", "}")
    assert r'p0 [label="desk\nlayers 0–14\n1.0 GB of 16.0 GB\nserving"];' in lines
    assert 'p0 -> p1 [label="0.21 ms"];' in lines
    assert 'p1 -> p0 [label="0.21 ms", style=dashed, constraint=false];' in lines


@given(figures())
def test_whatever_names_are_they_stay_within_their_quotes(figure: Figure) -> None:
    for line in dot(figure).splitlines():
        assert '"' not in _STRING.sub("", line)
