"""Runs whole meshes in virtual time: `python -m tests.simulation.run --minutes 30`, or `--seed 7`."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from tests.simulation.agreement_time import figures
from tests.simulation.chance import Chance
from tests.simulation.farm import run_seeds, seeds_from
from tests.simulation.mesh import Outcome, play
from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.report import Totals
from tests.simulation.story import Story, draw_story
from tests.simulation.trace import Show

_PROGRESS_EVERY_S = 30.0
_MOST_FAILURES = 10


def story_of(seed: int, chaos_s: float | None = None) -> Story:
    """The story of a seed."""
    return draw_story(Chance(seed).below("story"), chaos_s)


def play_seed(
    seed: int,
    mutant: str | None = None,
    chaos_s: float | None = None,
    dropped: frozenset[int] = frozenset(),
    show: Show | None = None,
) -> Outcome:
    """Play one seed. dropped: numbers of troubles that are left out."""
    with mutated(mutant):
        return play(seed, story_of(seed, chaos_s).without(dropped), show)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parse(arguments)
    if options.figure is not None:
        for line in figures(options.runs, options.jobs):
            print(line, flush=True)
        return 0
    if options.seed is None:
        return _run_many(options)
    if options.shrink:
        return _shrink(options)
    return _run_one(options)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one, and tell what it did")
    parser.add_argument("--seeds", type=_parse_range, help="play seeds A..B, both included")
    parser.add_argument("--minutes", type=float, help="play seeds for so long")
    parser.add_argument("--first", type=int, default=1, help="the first seed with --minutes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once; all cores")
    parser.add_argument(
        "--chaos", type=float, dest="chaos_s", help="seconds of troubles; else the seed decides"
    )
    parser.add_argument("--mutate", choices=sorted(MUTANTS), help="take a safeguard away: runs should fail")
    parser.add_argument("--drop", type=_parse_numbers, default=frozenset(), help="leave out troubles 1,4,7")
    parser.add_argument("--shrink", action="store_true", help="leave out troubles while it still fails")
    parser.add_argument("--figure", choices=["agreement"], help="measure how long agreeing takes")
    parser.add_argument("--runs", type=int, default=100, help="seeds for each line of a figure")
    parser.add_argument("-v", "--verbose", action="store_true", help="with --seed: print what happens")
    return parser.parse_args(arguments)


def _parse_range(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


def _parse_numbers(text: str) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(",") if part)


# --- one seed


def _run_one(options: argparse.Namespace) -> int:
    show = print if options.verbose else None
    story = story_of(options.seed, options.chaos_s)
    print(story.setting)
    for number, trouble in enumerate(story.troubles):
        print(f"{number:3} {'dropped' if number in options.drop else ''} at {trouble.at_s:.2f} s {trouble}")
    outcome = play_seed(options.seed, options.mutate, options.chaos_s, options.drop, show)
    totals = Totals()
    totals.add(outcome)
    print("\n".join(totals.lines()))
    print(f"trace {outcome.digest}")
    _print_failure(outcome, options)
    return bool(outcome.violations)


def _shrink(options: argparse.Namespace) -> int:
    """Leave out ever smaller groups of troubles while the first violation keeps its name (ddmin's idea)."""
    first = play_seed(options.seed, options.mutate, options.chaos_s, options.drop)
    if not first.violations:
        print("it does not fail")
        return 0
    name, dropped = first.violations[0].name, options.drop
    count = len(story_of(options.seed, options.chaos_s).troubles)
    size = max(1, count // 2)
    while True:
        kept = [number for number in range(count) if number not in dropped]
        for begin in range(0, len(kept), size):
            without = dropped | frozenset(kept[begin : begin + size])
            outcome = play_seed(options.seed, options.mutate, options.chaos_s, without)
            if outcome.violations and outcome.violations[0].name == name:
                dropped = without
                print(f"still {name} without {len(dropped)} of {count} troubles")
        if size == 1:
            break
        size //= 2
    options.drop = dropped
    return _run_one(options)


def _print_failure(outcome: Outcome, options: argparse.Namespace) -> None:
    for violation in outcome.violations[:5]:
        print(f"FAILED seed {outcome.seed}: {violation}"[:2000])
    if outcome.violations:
        print(f"  replay: {_replay(outcome.seed, options)}")


def _replay(seed: int, options: argparse.Namespace) -> str:
    parts = [f"python -m tests.simulation.run --seed {seed}"]
    if options.chaos_s is not None:
        parts.append(f"--chaos {options.chaos_s:g}")
    if options.mutate:
        parts.append(f"--mutate {options.mutate}")
    if options.drop:
        parts.append("--drop " + ",".join(map(str, sorted(options.drop))))
    return " ".join([*parts, "-v"])


# --- many


def _run_many(options: argparse.Namespace) -> int:
    began_s = time.monotonic()
    until_s = began_s + 60.0 * options.minutes if options.minutes is not None else None
    seeds = options.seeds
    if seeds is None:
        seeds = seeds_from(options.first) if until_s is not None else range(1, 101)
    totals, told_s = Totals(), began_s
    work = partial(play_seed, mutant=options.mutate, chaos_s=options.chaos_s)
    for _, outcome in run_seeds(work, seeds, options.jobs, until_s):
        totals.add(outcome)
        if outcome.violations and len(totals.failed) <= _MOST_FAILURES:
            _print_failure(outcome, options)
        now_s = time.monotonic()
        if now_s - told_s >= _PROGRESS_EVERY_S:
            told_s = now_s
            rate = 60 * totals.runs / (now_s - began_s)
            print(f"{totals.runs} runs, {rate:.0f} a minute, {len(totals.failed)} failed", flush=True)
    spent_s = time.monotonic() - began_s
    print("\n".join(totals.lines()))
    print(f"{spent_s:.0f} s, {60 * totals.runs / max(spent_s, 1e-3):.0f} seeds a minute, {options.jobs} jobs")
    return bool(totals.failed)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    sys.exit(main())
