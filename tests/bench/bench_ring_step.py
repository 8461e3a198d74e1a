"""Compare a decode step of mlx-lm in one process with rings of one and of two processes, taking turns.

    python -m tests.bench.bench_ring_step [MODEL_DIRECTORY] [--tokens 48] [--rounds 7] [--memory GB]

A reader's view: the time between two tokens of a streamed answer, medians over each round, then over the
rounds. All three are up all the time and asked one after the other, so that they meet the same noise; each
round begins with another of them. Without a directory the model is SmolLM2, quantised.
Expected: ring of two at most 1.05 × one process.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from tests.mesh.processes import PeerProcess, ring
from tests.smollm2 import smollm2

PROMPT = "Once upon a time there was a fox who"
FIRST = 4
"""Tokens at the start that are not counted: the first waits for the prompt, the next ones for warmth."""

ROW = "{:<22}{:>11}{:>11}{:>11}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", type=float, default=1.0, help="GB that each peer offers")
    options = parser.parse_args()
    path = options.model.resolve() if options.model else smollm2("q4").path
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        ring(1, path, Path(one), memory_gb=options.memory, is_quiet=True) as alone,
        ring(2, path, Path(two), memory_gb=options.memory, is_quiet=True) as pair,
    ):
        contestants: dict[str, Callable[[int], Iterable[object]]] = {
            "mlx-lm, one process": through_mlx_lm(path),
            "ring of one": through(alone[0]),
            # Asked at the tail, where the tokens come from, or at the head: it is the same loop.
            "ring of two": through(pair[0]),
        }
        show(compare(contestants, options.tokens, options.rounds))


def compare(
    contestants: Mapping[str, Callable[[int], Iterable[object]]], tokens: int, rounds: int
) -> dict[str, list[float]]:
    """Median seconds a token of each contestant in each round."""
    medians: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(-1, rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gaps = gaps_between(contestants[name](tokens))
            # Text may come for two tokens at once now and then, which a median does not mind.
            assert len(gaps) >= 0.8 * tokens, f"{name}: {len(gaps)} gaps between {tokens} tokens"
            if number >= 0:
                medians[name].append(statistics.median(gaps[FIRST:]))
    return medians


def gaps_between(arrivals: Iterable[object]) -> list[float]:
    """Seconds between each arrival and the next one."""
    times = [time.perf_counter() for _ in arrivals]
    return [later - earlier for earlier, later in pairwise(times)]


def through(peer: PeerProcess, prompt: str | Sequence[int] = PROMPT) -> Callable[[int], Iterator[str]]:
    """An answer that a peer streams over HTTP."""

    def pieces(tokens: int) -> Iterator[str]:
        with peer.stream(prompt, tokens, ignore_eos=True) as answer:
            yield from (piece for piece in answer if piece)

    return pieces


def through_mlx_lm(path: Path) -> Callable[[int], Iterator[int]]:
    """The same answer by mlx-lm in this process."""
    from meshinfer.model.runtime import prepare_mlx

    prepare_mlx()
    import mlx.core as mx
    import mlx_lm
    from mlx_lm.generate import generate_step

    model, tokenizer = mlx_lm.load(str(path))[:2]
    prompt = mx.array(tokenizer.encode(PROMPT))

    def answer(tokens: int) -> Iterator[int]:
        for token, _ in generate_step(prompt, model, max_tokens=tokens):
            yield int(token)

    return answer


def show(medians: dict[str, list[float]]) -> None:
    """Print each contestant's times, and its ratios to those before it, taken within each round."""
    print(ROW.format("", "median ms", "best ms", "worst ms"), "  ratios")
    for number, (name, times) in enumerate(medians.items()):
        shown = (f"{1e3 * each:.2f}" for each in (statistics.median(times), min(times), max(times)))
        ratios = [f"{ratio(times, base):.3f} of {other}" for other, base in list(medians.items())[:number]]
        print(ROW.format(name, *shown), " ", ", ".join(ratios))


def ratio(times: list[float], base: list[float]) -> float:
    """How much longer one takes than the other: the median over rounds, which meet one noise each."""
    return statistics.median(mine / theirs for mine, theirs in zip(times, base, strict=True))


if __name__ == "__main__":
    main()
