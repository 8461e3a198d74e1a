"""How long a reader waits when a stage is killed: from `kill -9` to the next token, and where that time goes.

    python -m tests.bench.measure_failover [--runs 20] [--peers 3] [--model tiny|smollm2]

A ring on this machine; each run kills one stage, not the reader's own peer, in the middle of an answer,
and starts it again afterwards. The parts are read off what the survivors write with `-v`, as it comes:

    noticed     a survivor sees the link to the killed peer end
    agreed      the first survivor prepares a plan without it; one second of this waits for further changes
    loaded      that plan is live at the reader's own peer, layers loaded
    recomputed  the next token reaches the reader: prompt and answer so far went through the new ring
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.mesh.chaos.mesh import ChaosMesh, ring_names
from tests.mesh.chaos.questions import question
from tests.mesh.chaos.reader import Heard, read_answer, verdict
from tests.mesh.chaos.setting import MODELS, TINY, setting
from tests.mesh.processes import PeerProcess

PARTS = ("noticed", "agreed", "loaded", "recomputed")
_ROW = "{:<12}{:>10}{:>10}"
_STRIKE_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Failover:
    """The seconds of each part, in the order of PARTS."""

    parts_s: tuple[float, ...]

    @property
    def whole_s(self) -> float:
        return sum(self.parts_s)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.measure_failover",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--peers", type=int, default=3)
    parser.add_argument("--model", choices=MODELS, default=TINY)
    options = parser.parse_args(arguments)
    found: list[Failover] = []
    with setting(options.model, [options.peers], has_network=False) as around:
        asked = question(0, around.length)
        truth = around.truths.of(asked)
        with around.mesh(options.peers) as mesh:
            for number in range(options.runs):
                # Head, middle and tail in turn; the reader asks whoever stands behind the victim.
                ring = ring_names(mesh.wait_until_whole())
                victim, origin = (ring[(number + shift) % len(ring)] for shift in (0, 1))
                at_piece = round(len(truth.came_s) * _STRIKE_SHARE)
                killed_s, heard = _answer_over_kill(mesh, victim, origin, asked.body(), at_piece)
                if wrong := verdict(heard, truth, is_origin_lost=False):
                    print(f"run {number}: {wrong}", file=sys.stderr)
                    return 1
                failover = _split(mesh, victim, origin, killed_s, heard)
                found.append(failover)
                print(f"run {number + 1:2}: {victim} of {' → '.join(ring)}: {_text(failover)}", flush=True)
                mesh.start(victim)
    _print_table(found)
    return 0


def _answer_over_kill(
    mesh: ChaosMesh, victim: str, origin: str, body: dict[str, object], at_piece: int
) -> tuple[float, Heard]:
    killed_s = 0.0

    def at(number: int) -> None:
        nonlocal killed_s
        if number == at_piece:
            killed_s = time.monotonic()
            mesh.present[victim].process.kill()

    heard = read_answer(mesh.present[origin].url, body, at)
    mesh.kill(victim)
    return killed_s, heard


def _split(mesh: ChaosMesh, victim: str, origin: str, killed_s: float, heard: Heard) -> Failover:
    survivors = list(mesh.present.values())
    noticed_s = min(_first(peer, rf"link to {victim} ended", killed_s) for peer in survivors)
    agreed_s = min(_first(peer, r"plan \d+/\w+: ", killed_s) for peer in survivors)
    live_s = _first(mesh.present[origin], r"plan \d+/\w+ is live", agreed_s)
    # Tokens that were under way when the stage died come a moment later.
    token_s = heard.first_after(live_s)
    assert token_s is not None, "the answer ended before the ring was broken"
    times_s = (killed_s, noticed_s, agreed_s, live_s, token_s)
    return Failover(tuple(late - early for early, late in pairwise(times_s)))


def _first(peer: PeerProcess, pattern: str, since_s: float) -> float:
    """When a peer first wrote such a line, from then on."""
    lines = sorted(peer.stderr.since(since_s))
    found = next((at_s for at_s, line in lines if re.search(pattern, line)), None)
    assert found is not None, f"{peer.name} wrote no line like {pattern!r}:\n{peer.stderr.tail()}"
    return found


def _text(failover: Failover) -> str:
    parts = ", ".join(f"{name} {part_s:.2f}" for name, part_s in zip(PARTS, failover.parts_s, strict=True))
    return f"{failover.whole_s:.2f} s ({parts})"


def _print_table(found: Sequence[Failover]) -> None:
    print(_ROW.format("", "median s", "worst s"))
    for number, name in enumerate(PARTS):
        print(_ROW.format(name, *_middle_and_worst([each.parts_s[number] for each in found])))
    print(_ROW.format("next token", *_middle_and_worst([each.whole_s for each in found])))


def _middle_and_worst(values_s: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(values_s)
    return f"{ordered[len(ordered) // 2]:.2f}", f"{ordered[-1]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
