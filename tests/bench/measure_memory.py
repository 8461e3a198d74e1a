"""Weigh the peers of a ring at rest, before and after an answer, against what they may take.

    python -m tests.bench.measure_memory [MODEL_DIRECTORY] [--peers 2] [--memory GB]

A peer may take its weights × 1.10 and 300 MB. Without a directory the model is SmolLM2 in float32, 538 MB.
Exits with 1 if a peer takes more.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mesh.memory import Holding, card_of, holdings
from tests.mesh.processes import ring, wait_for_ring
from tests.smollm2 import smollm2

MB = 1e6
ROW = "{:<8}{:<14}{:<10}{:>12}{:>12}{:>12}  {}"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--peers", type=int, default=2)
    parser.add_argument("--memory", type=float, default=1.0, help="GB that each peer offers")
    options = parser.parse_args()
    path = options.model.resolve() if options.model else smollm2("float32").path
    card = card_of(path)
    print(
        f"{card.name}: {card.layer_count} layers, {card.precision}, {card.total_bytes / MB:.0f} MB of weights"
    )
    print(ROW.format("peer", "when", "layers", "weights MB", "limit MB", "RSS MB", "verdict"))
    with (
        tempfile.TemporaryDirectory() as scratch,
        ring(options.peers, path, Path(scratch), memory_gb=options.memory, is_quiet=True) as peers,
    ):
        mesh = wait_for_ring(peers)
        before = holdings(peers, mesh, card)
        peers[-1].answer("What is the capital of France?", 32)
        after = holdings(peers, mesh, card)
    show("loaded", before)
    show("has answered", after)
    return 0 if all(holding.is_within for holding in before + after) else 1


def show(when: str, weighed: Sequence[Holding]) -> None:
    """Print a line a peer."""
    for holding in weighed:
        first, end = holding.layers
        sizes = (
            f"{size / MB:.0f}" for size in (holding.weight_bytes, holding.limit_bytes, holding.rss_bytes)
        )
        verdict = "within" if holding.is_within else "TOO MUCH"
        print(ROW.format(holding.name, when, f"{first}–{end - 1}", *sizes, verdict))


if __name__ == "__main__":
    sys.exit(main())
