"""Reports to show, with figures that are easy to follow."""

from collections.abc import Mapping

from meshinfer.cli.bench.figures import AnswerTimes, Case, Energy, Report, RingRun, Round, Setting
from meshinfer.cli.mesh_view import Seat
from meshinfer.machine.hardware import Hardware

HARDWARE = Hardware("Darwin 25.2.0 arm64", "Apple M3 Ultra", 32, 512 * 10**9)


def one_round(
    *times: tuple[float, float],
    prompt_tokens: int = 100,
    tokens: int = 11,
    memory: Mapping[str, int] | None = None,
    energy: Energy | None = None,
) -> Round:
    """A round of readers, each with (first_s, last_s)."""
    answers = tuple(AnswerTimes(first_s, last_s, tokens) for first_s, last_s in times)
    return Round(prompt_tokens, answers, memory or {}, energy)


def case(first_s: float, last_s: float, readers: int = 1, **fields: Mapping[str, int] | Energy) -> Case:
    return Case(100, readers, 1, (one_round(*[(first_s, last_s)] * readers, **fields),))  # type: ignore[arg-type]


ALONE = RingRun(
    1, (Seat("mac-1", (0, 30)),), (case(1.0, 3.0, memory={"mac-1": 540_000_000}), case(2.0, 4.0, 4))
)
PAIR = RingRun(
    1,
    (Seat("mac-1", (0, 19)), Seat("mac-2", (19, 30))),
    (case(0.5, 3.0, memory={"mac-1": 300_000_000, "mac-2": 200_000_000}),),
)


def report(*rings: RingRun, power: str = "", no_power: str = "run as root", model: str = "smollm2") -> Report:
    setting = Setting((100,), 11, (1, 4), 1, peers=tuple(ring.peers for ring in rings))
    return Report(
        "0.1.0",
        "2026-01-05T08:00:00+00:00",
        model,
        HARDWARE,
        setting,
        power,
        no_power,
        rings,
        is_complete=True,
    )
