"""Fuzzes whatever reads what others wrote: `python -m tests.fuzz --inputs 10000000`.

With atheris (Linux) libFuzzer looks for inputs that reach new branches; elsewhere they are drawn blindly.
What is found lies in .fuzz/failures, each with the command that replays it.
"""

import argparse
import asyncio
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .farm import Farm, Terms
from .targets import TARGETS, chosen
from .watch import Finding, Watch, watching_time

_FOR_EVER_S = 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parse(arguments)
    if options.list:
        print("\n".join(TARGETS))
        return 0
    targets = chosen(options.target)
    if options.replay is not None:
        with watching_time():
            try:
                Watch(TARGETS[options.target]).attempt(options.replay.read_bytes())
            except Finding as finding:
                print(finding)
                return 1
        print("nothing is wrong with it")
        return 0
    seconds = options.seconds or (60.0 if options.inputs is None else _FOR_EVER_S)
    inputs = options.inputs or sys.maxsize
    terms = Terms(inputs, seconds, options.jobs, options.engine, options.seed, options.folder)
    farm, began_s = Farm(targets, terms, lambda text: print(text, flush=True)), time.monotonic()
    asyncio.run(farm.run())
    total, spent_s = farm.inputs.total(), time.monotonic() - began_s
    grown_mib = max(farm.grown_bytes.values(), default=0) / (1 << 20)
    print(f"\n{farm.report()}")
    print(
        f"{total:,} inputs to {len(targets)} targets in {spent_s:.0f} s, {options.jobs} processes at once, "
        f"{options.engine}: {len(farm.failures)} findings, no process grew by more than {grown_mib:.0f} MiB"
    )
    return bool(farm.failures)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    engine = "guided" if importlib.util.find_spec("atheris") else "blind"
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, help="of all targets together")
    parser.add_argument("--seconds", type=float, help="of all targets together; a minute if nothing is said")
    parser.add_argument("--target", default="", help="only this one, or those whose names begin so")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once; all cores")
    parser.add_argument("--engine", choices=["guided", "blind"], default=engine)
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="of corpora and failures")
    parser.add_argument("--replay", type=Path, help="try the input in this file, with --target")
    parser.add_argument("--list", action="store_true", help="name all targets")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
