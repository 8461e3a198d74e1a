import itertools

import pytest

from meshinfer.transports.gauge import Gauge, GaugeTiming, Prior

MB = 10**6


def burst(gauge: Gauge, mb_s: float, now_s: float, *, stall_s: float = 0.0, seen_mb_s: float = 0.0) -> int:
    """Make the burst that is due over a path of `mb_s`; return its size, 0 where none is."""
    size = gauge.next_burst(now_s)
    if size:
        gauge.gauged(size, round((seen_mb_s or mb_s) * MB), size / (mb_s * MB) + stall_s, now_s)
    return size


def test_a_round_trip_is_the_shortest_of_the_last_ones_and_unknown_before_four() -> None:
    gauge = Gauge(GaugeTiming())
    for rtt_s in (0.004, 0.001, 0.002):
        gauge.answered(rtt_s)
    assert gauge.rtt_us == 0
    gauge.answered(0.003)
    assert (gauge.rtt_us, gauge.is_sure) == (1000, False)
    for _ in range(32):
        gauge.answered(0.005)
    assert (gauge.rtt_us, gauge.is_sure) == (5000, True)


@pytest.mark.parametrize("mb_s", [1, 12, 125, 1200, 5000])
def test_a_width_is_found_within_a_few_bursts_in_a_row(mb_s: int) -> None:
    gauge = Gauge(GaugeTiming())
    sizes = []
    while size := burst(gauge, mb_s, 0.0):
        sizes.append(size)
    assert gauge.mb_s == mb_s
    assert len(sizes) <= gauge.timing.tries
    assert max(sizes) <= gauge.timing.most_bytes


def test_a_stall_makes_a_path_seem_narrow_for_a_moment_only() -> None:
    gauge = Gauge(GaugeTiming())
    now_s = 0.0
    for _ in range(4):
        while burst(gauge, 1200, now_s, stall_s=0.02):
            pass
        now_s += 60.0
    assert gauge.mb_s > 400
    while burst(gauge, 1200, now_s):
        pass
    assert gauge.mb_s == 1200


def test_a_receiver_that_found_all_at_once_makes_no_path_wider() -> None:
    gauge = Gauge(GaugeTiming())
    burst(gauge, 12, 0.0, seen_mb_s=9000)
    assert gauge.mb_s <= 12


def test_a_path_is_measured_again_soon_and_then_more_and_more_rarely() -> None:
    gauge, times, now_s = Gauge(GaugeTiming()), [], 0.0
    while now_s < 200.0:
        if burst(gauge, 12, now_s):
            times.append(now_s)
        else:
            now_s += 0.5
    rounds = sorted(set(times))
    gaps = [after - before for before, after in itertools.pairwise(rounds)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (1.0, 30.0)


def test_no_bursts_are_made_where_they_are_not_wanted() -> None:
    assert Gauge(GaugeTiming(most_bytes=0)).next_burst(0.0) == 0


def test_until_it_is_measured_a_path_is_taken_for_what_is_expected_of_it() -> None:
    quick, slow = (Gauge(GaugeTiming(), Prior(mb_s=mb_s)) for mb_s in (2000, 30))
    assert quick.predicted_us(1, 1 << 20) < slow.predicted_us(1, 1 << 20)
    assert Gauge(GaugeTiming(), Prior(200, 100)).predicted_us(2, 1000) == 200 + 10
    assert not quick.is_measured
