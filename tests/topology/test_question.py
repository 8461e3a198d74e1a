import pytest

from meshinfer.topology.desire import SPREAD_AUTO
from meshinfer.topology.question import Question
from tests.topology.questions import even, peers


def test_a_peer_is_a_candidate_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Question("m", even(2), SPREAD_AUTO, peers(10) + peers(20))
