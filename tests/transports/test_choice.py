"""Tables of paths as (round trip in µs, MB/s), by name."""

import pytest

from meshinfer.transports.choice import Choice
from meshinfer.transports.gauge import Gauge, GaugeTiming


def gauge(rtt_us: int, mb_s: int) -> Gauge:
    made = Gauge(GaugeTiming())
    for _ in range(4):
        made.answered(rtt_us / 1e6)
    if mb_s:
        size = made.next_burst(0.0)
        while size:
            made.gauged(size, mb_s * 10**6, size / mb_s / 1e6, 0.0)
            size = made.next_burst(0.0)
    return made


THUNDERBOLT, ETHERNET, WIFI, VPN = gauge(200, 2000), gauge(300, 117), gauge(4000, 40), gauge(20_000, 4)


@pytest.mark.parametrize(
    ("paths", "best"),
    [
        ({"wifi": WIFI, "ethernet": ETHERNET}, "ethernet"),
        ({"ethernet": ETHERNET, "thunderbolt": THUNDERBOLT, "wifi": WIFI}, "thunderbolt"),
        ({"vpn": VPN, "wifi": WIFI}, "wifi"),
        ({"near": gauge(100, 12), "wide": gauge(300, 1200)}, "wide"),
        ({"near": gauge(100, 800), "far": gauge(3000, 1000)}, "near"),
    ],
)
def test_what_is_soonest_through_is_the_best(paths: dict[str, Gauge], best: str) -> None:
    assert Choice[str]().best(paths) == best


def test_an_idle_line_moves_at_once_and_a_busy_one_when_it_stays_so() -> None:
    paths = {"slow": ETHERNET, "fast": THUNDERBOLT}
    assert Choice[str]().look(0, 0, "slow", paths) == "fast"
    choice = Choice[str]()
    assert choice.look(10, 100_000, "slow", paths) == "slow"
    assert choice.look(10, 100_000, "slow", paths) == "fast"


def test_a_little_better_is_no_reason_to_move() -> None:
    paths = {"one": gauge(300, 110), "two": gauge(280, 120)}
    choice = Choice[str]()
    assert [choice.look(count, count * 1000, "one", paths) for count in (0, 5, 0, 5)] == ["one"] * 4


def test_a_path_that_is_not_measured_yet_takes_nothing_over() -> None:
    paths = {"slow": WIFI, "new": gauge(100, 0)}
    assert Choice[str]().look(0, 0, "slow", paths) == "slow"


def test_many_small_frames_want_a_short_way_and_large_ones_a_wide_one() -> None:
    paths = {"near": gauge(100, 100), "wide": gauge(900, 2000)}
    small, large = Choice[str](), Choice[str]()
    assert [small.look(400, 400_000, "near", paths) for _ in range(3)] == ["near"] * 3
    assert [large.look(8, 64 << 20, "near", paths) for _ in range(2)] == ["near", "wide"]


def test_few_frames_say_little_of_a_path() -> None:
    paths = {"wide": gauge(400, 1000), "near": gauge(200, 10)}
    choice = Choice[str]()
    assert [choice.look(20, 2000, "wide", paths) for _ in range(5)] == ["wide"] * 5
