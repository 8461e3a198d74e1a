"""Pull and put back fast cables in the middle of answers, and say what came of it.

    python -m tests.mesh.cables [--runs 10]

Three hosts, each pair joined by a cable of 10 Gbit/s and one of 100 Mbit/s. Takes root, on Linux.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.mesh.cables.hosts import hosts
from tests.mesh.cables.pulling import PROMPT, TOKENS, pull
from tests.mesh.cables.wiring import pairs, why_no_wiring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model


def main() -> int:
    """Run, and return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    if why := why_no_wiring():
        print(why)
        return 1
    names, failed = ["a", "b", "c"], 0
    with tempfile.TemporaryDirectory() as scratch:
        model = make_tiny_model(Path(scratch) / "model", layers=6, hidden=512)
        truth = greedy_text(model, PROMPT, TOKENS, is_chat=False)
        with hosts(names, pairs(names), model, Path(scratch), seeds="slow") as mesh:
            for number in range(runs):
                done = pull(mesh, truth, number)
                failed += bool(done.wrong)
                how = "muted" if done.is_muted else "pulled"
                shares = ", ".join(
                    f"{when} {fast / 1e3:,.0f}/{slow / 1e3:,.0f}"
                    for when, (fast, slow) in (
                        ("before", done.before),
                        ("without", done.without),
                        ("after", done.after),
                    )
                )
                print(f"{number + 1:>2} {done.cable} {how}: kB on fast/slow {shares}; ", end="")
                print("; ".join(done.wrong) or "as it should be", flush=True)
    print(f"{runs - failed} of {runs} as they should be")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
