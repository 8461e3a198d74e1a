"""The runs that seeds stand for."""

from tests.mesh.chaos.faults import Kind
from tests.mesh.chaos.questions import Length
from tests.mesh.chaos.single import Run, draw_run

SIZES, KINDS, LENGTH = (2, 3, 4), tuple(Kind), Length(20, 80)


def drawn(seed: int) -> Run:
    return draw_run(seed, SIZES, KINDS, LENGTH)


def test_a_seed_is_one_run() -> None:
    assert drawn(7) == drawn(7)
    assert str(drawn(7)) == str(drawn(7))


def test_seeds_reach_every_size_fault_and_place() -> None:
    runs = [drawn(seed) for seed in range(500)]
    assert {run.size for run in runs} == set(SIZES)
    assert {run.kind for run in runs} == set(KINDS)
    assert {(run.size, run.victim, run.origin) for run in runs} == {
        (size, victim, origin) for size in SIZES for victim in range(size) for origin in range(size)
    }


def test_a_fault_strikes_while_the_answer_is_being_written_and_a_cut_has_two_ends() -> None:
    for run in map(drawn, range(500)):
        assert 1 <= run.at_piece < run.asked.max_tokens
        assert run.victim != run.other
        assert run.for_s > 0
