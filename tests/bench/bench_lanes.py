"""Compare decode steps of a lane with those of the same sessions one after the other, taking turns.

    python -m tests.bench.bench_lanes [MODEL_DIRECTORY …] [--rows 1 2 4 8] [--tokens 8] [--rounds 3]

One shard holds the whole model; without a directory, SmolLM2 in float32 and in q4. Prints the median
milliseconds of a turn, in which each session gets a token, both ways, and their ratio: below 1, batching
pays. A lane of one is no other step than that of a session alone, so its ratio is the noise.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from meshinfer.messages import Opening, Row, Sampling, SessionId
from meshinfer.model.base import ModelFiles, Step
from meshinfer.model.runtime import prepare_mlx
from tests.bench.bench_shard_step import ORIGIN, card_of
from tests.smollm2 import smollm2

SHORTEST = 24
"""Tokens of the first session's prompt; each further one's has four more."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, help="in mlx-lm's format; else SmolLM2")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--tokens", type=int, default=8, help="turns of each way in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare_mlx()
    for path in options.models or [smollm2(precision).path for precision in ("float32", "q4")]:
        compare(path, options.rows, options.tokens, options.rounds)


def compare(path: Path, sizes: list[int], tokens: int, rounds: int) -> None:
    """Time both ways in turns, so that both meet the same noise."""
    from meshinfer.model.shard import Shard

    card = card_of(path)
    shard = Shard.load(ModelFiles("bench", f"dir:{path}", path), card, range(card.layer_count))
    for size in sizes:
        lane = Readers(shard, "lane", size, is_lane=True)
        alone = Readers(shard, "alone", size, is_lane=False)
        together_s, apart_s = [], []
        for _ in range(rounds):
            together_s += [lane.turn() for _ in range(tokens)]
            apart_s += [alone.turn() for _ in range(tokens)]
        lane.release()
        alone.release()
        one, other = statistics.median(together_s) * 1e3, statistics.median(apart_s) * 1e3
        print(
            f"{path.name}, {size} rows: {one:.1f} ms a turn as a lane, {other:.1f} ms one after the other, "
            f"ratio {one / other:.2f}, {size / one * 1e3:.1f} against {size / other * 1e3:.1f} tokens/s",
            flush=True,
        )
    shard.close()


class Readers:
    """Some sessions in the midst of their answers."""

    def __init__(self, shard: Any, name: str, size: int, *, is_lane: bool) -> None:
        self._shard = shard
        self._last: dict[SessionId, int] = {}
        self._position: dict[SessionId, int] = {}
        for number in range(size):
            session, length = SessionId(f"{name}{number}"), SHORTEST + 4 * number
            prompt = tuple(range(40 + number, 40 + number + length))
            opening = Opening(Sampling(), length, 1000, ())
            made = shard.forward(Step((Row(session, ORIGIN, 0, prompt, opening, True),)))
            (self._last[session],) = made.tokens
            self._position[session] = length
        self._is_lane = is_lane
        # Coming together, and what was not built ahead, is not what is measured.
        self.turn()
        self.turn()

    def turn(self) -> float:
        """One more token for each; return the seconds it took."""
        rows = [
            Row(session, ORIGIN, self._position[session], (token,), None, True)
            for session, token in self._last.items()
        ]
        steps = [tuple(rows)] if self._is_lane else [(row,) for row in rows]
        began_s = time.perf_counter()
        tokens = [token for step in steps for token in self._shard.forward(Step(step)).tokens]
        took_s = time.perf_counter() - began_s
        for session, token in zip(self._last, tokens, strict=True):
            self._last[session] = token
            self._position[session] += 1
        return took_s

    def release(self) -> None:
        """End the sessions."""
        for session in self._last:
            self._shard.release(session)


if __name__ == "__main__":
    main()
