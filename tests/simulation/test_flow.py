import statistics

import pytest

from tests.simulation.flow import Flow, Speed, occupancy, stall

TEN_MS = Speed(10_000, 100)
MIXED = [TEN_MS, Speed(20_000, 200), Speed(4_000, 50)]


@pytest.mark.parametrize(
    ("speeds", "hop_us", "readers"),
    [([TEN_MS] * 8, 1_000, 16), ([Speed(2_000, 50)] * 8, 1_000, 24), (MIXED, 1_000, 8), ([TEN_MS], 100, 3)],
)
def test_with_enough_readers_the_slowest_stage_is_always_busy(
    speeds: list[Speed], hop_us: float, readers: int
) -> None:
    assert occupancy(speeds, hop_us, readers) >= 0.95


@pytest.mark.parametrize("readers", [1, 3, 16])
@pytest.mark.parametrize(
    "speeds", [[TEN_MS] * 8, MIXED, [Speed(0, 5_000)] * 2, [Speed(30_000, 500)]], ids=len
)
def test_a_long_prompt_stalls_no_reader_for_longer_than_three_usual_steps(
    speeds: list[Speed], readers: int
) -> None:
    assert stall(speeds, 1_000, readers, prompt_tokens=3_000).ratio <= 3.0


def test_a_prompt_of_32k_tokens_stalls_no_reader_either() -> None:
    assert stall([TEN_MS] * 8, 1_000, 8, prompt_tokens=32_768).ratio <= 3.0


def test_a_prompt_comes_to_its_end_sooner_the_more_stages_share_it() -> None:
    firsts = []
    for stages in (1, 2, 4):
        flow = Flow([Speed(10_000 / stages, 1_000 / stages)] * stages, 100)
        session = flow.ask("s", 4_000, 1)
        flow.run()
        firsts += flow.answers[session].arrivals_us
    assert firsts[0] / firsts[1] > 1.75
    assert firsts[0] / firsts[2] > 3.0


def test_a_short_prompt_does_not_wait_for_the_end_of_a_long_one() -> None:
    flow = Flow([TEN_MS] * 2, 100)
    long, short = flow.ask("long", 60_000, 1), flow.ask("short", 100, 1, at_us=2e6)
    flow.run()
    # Three chunks of a quarter of a second may be under way, through two stages.
    assert flow.answers[short].arrivals_us[0] - 2e6 < 1.5e6
    assert flow.answers[long].arrivals_us[0] > 6e6


def test_readers_share_lanes_evenly() -> None:
    flow = Flow([TEN_MS] * 2, 100)
    sessions = [flow.ask(f"r{number}", 8, 300, at_us=50_000 * number) for number in range(8)]
    flow.run()
    assert flow.lane_sizes.most_common(1)[0][0] == 4
    medians = [statistics.median(flow.gaps_us(session, 1e6, 4e6)) for session in sessions]
    assert max(medians) <= 1.1 * min(medians)
