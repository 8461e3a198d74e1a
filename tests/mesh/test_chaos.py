"""Real peers under a little chaos, every time; `python -m tests.mesh.chaos` does more of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesh.chaos.faults import Kind
from tests.mesh.chaos.network import why_no_network
from tests.mesh.chaos.questions import Length, question
from tests.mesh.chaos.readers import End
from tests.mesh.chaos.report import line_of, report_of
from tests.mesh.chaos.rolling import roll
from tests.mesh.chaos.setting import TINY, Setting, setting
from tests.mesh.chaos.single import Run, play_runs
from tests.mesh.chaos.told import Told

pytestmark = pytest.mark.mesh

SIZE, CLIENTS = 3, 4
LENGTH = Length(40, 120)


@pytest.fixture(scope="module")
def around() -> Iterator[Setting]:
    """Peers in network namespaces where those can be made, else on loopback."""
    why = why_no_network()
    if why:
        print(f"no links are cut: {why}")
    with setting(TINY, [SIZE], has_network=not why, length=LENGTH) as around:
        around.questions = 8
        yield around


def a_run(number: int, kind: Kind, victim: int, origin: int, for_s: float, at_piece: int = 12) -> Run:
    """One fault, early in an answer. For a cut, the other end is the peer that is asked."""
    asked = question(number, LENGTH)
    return Run(number, SIZE, kind, victim, origin, origin, at_piece, for_s, asked)


def test_one_fault_in_the_middle_of_an_answer_changes_no_token_of_it(around: Setting, tmp_path: Path) -> None:
    runs = [
        a_run(0, Kind.KILL, victim=1, origin=2, for_s=0.0),
        a_run(1, Kind.STOP, victim=0, origin=2, for_s=0.5),
        a_run(2, Kind.CUT, victim=0, origin=1, for_s=4.0),
    ]
    possible = [run for run in runs if around.network is not None or not run.kind.needs_network]
    outcomes = list(play_runs(around, possible, Told(tmp_path)))
    assert len(outcomes) == len(possible)
    assert [line_of(outcome) for outcome in outcomes if outcome.wrong] == []


@pytest.mark.long
def test_no_request_fails_while_all_peers_are_restarted_one_after_the_other(
    around: Setting, tmp_path: Path
) -> None:
    rolled = roll(around, SIZE, seed=1, clients=CLIENTS, told=Told(tmp_path))
    assert not rolled.has_failed, "\n".join(report_of(rolled))
    assert rolled.readers.ends[End.EQUAL] > 0
