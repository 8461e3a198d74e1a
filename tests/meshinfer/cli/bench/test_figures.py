import pytest

from meshinfer.cli.bench.figures import Case, Energy

from .reports import ALONE, PAIR, one_round


def test_one_reader_prefills_until_the_first_token_and_decodes_from_there() -> None:
    done = one_round((2.0, 4.0), prompt_tokens=100, tokens=11)
    assert done.first_token_s == 2.0
    assert done.prefill_tokens_per_s == 50
    assert done.decode_tokens_per_s == 5


def test_several_readers_are_counted_together() -> None:
    done = one_round((1.0, 4.0), (2.0, 5.0), (4.0, 6.0), prompt_tokens=100, tokens=11)
    assert done.first_token_s == 2.0
    assert done.prefill_tokens_per_s == 300 / 4
    assert done.decode_tokens_per_s == 30 / 5


def test_what_has_no_duration_has_no_rate() -> None:
    done = one_round((0.0, 0.0))
    assert (done.prefill_tokens_per_s, done.decode_tokens_per_s) == (None, None)


def test_energy_makes_watts_of_the_whole_and_joules_of_each_decoded_token() -> None:
    done = one_round((1.0, 4.0), (2.0, 5.0), tokens=11, energy=Energy(20.0, 30.0))
    assert done.watts == 10
    assert done.joules_per_token == 1.5


def test_without_energy_there_is_neither() -> None:
    done = one_round((1.0, 4.0))
    assert (done.watts, done.joules_per_token) == (None, None)


@pytest.mark.parametrize(("firsts", "median"), [([3.0], 3.0), ([9.0, 1.0, 2.0], 2.0), ([1.0, 2.0], 1.5)])
def test_the_round_in_the_middle_counts(firsts: list[float], median: float) -> None:
    rounds = tuple(one_round((first_s, first_s + 2.0)) for first_s in firsts)
    assert Case(100, 1, 1, rounds).figures.first_token_s == median


def test_figures_are_the_medians_of_the_rounds_that_have_them() -> None:
    rounds = (one_round((1.0, 3.0), energy=Energy(3.0, 6.0)), one_round((1.0, 3.0)))
    figures = Case(100, 1, 1, rounds).figures
    assert figures.watts == 3
    assert Case(100, 1, 1, rounds[1:]).figures.watts is None


def test_of_memory_the_most_counts() -> None:
    rounds = (one_round((1, 2), memory={"a": 5, "b": 7}), one_round((1, 2), memory={"a": 6}))
    figures = Case(100, 1, 1, rounds).figures
    assert figures.memory == {"a": 6, "b": 7}
    assert figures.most_memory_bytes == 7
    assert Case(100, 1, 1, (one_round((1, 2)),)).figures.most_memory_bytes is None


def test_a_ring_knows_its_cases_and_its_memory() -> None:
    assert ALONE.case(100, 4) is ALONE.cases[1]
    assert ALONE.case(100, 2) is None
    assert PAIR.memory == {"mac-1": 300_000_000, "mac-2": 200_000_000}
