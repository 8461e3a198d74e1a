"""One process that fuzzes one target; see `python -m tests.fuzz`, which starts and watches it.

It ends with 0 after all its inputs, with 1 after a finding; its last line is JSON either way.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from .target import MAX_INPUT_BYTES, Target
from .watch import Finding, State, Watch, keep, watching_time

SETTLED_AFTER = 0.1


class Run:
    """Tries inputs until it is enough, and then ends the process: a fuzzer's own loop never returns."""

    def __init__(self, options: argparse.Namespace, target: Target) -> None:
        self._watch = Watch(target, State(options.state))
        self._inputs: int = options.inputs
        self._until_s = time.monotonic() + options.seconds
        self._seconds: float = options.seconds
        self._is_settled = False
        self._failures: Path = options.failures

    def take(self, data: bytes) -> None:
        """Try one input."""
        watch = self._watch
        try:
            watch.attempt(data)
            if watch.count % 64 == 0 or watch.count >= self._inputs:
                self._look()
        except Finding as finding:
            file = keep(finding, watch.target, self._failures)
            self._end(1, {"finding": str(finding), "file": str(file)})

    def _look(self) -> None:
        left_s = self._until_s - time.monotonic()
        if self._watch.count >= self._inputs or left_s <= 0:
            self._end(0, {"grown_bytes": self._watch.check_growth()})
        spent = max(self._watch.count / self._inputs, 1 - left_s / self._seconds)
        if not self._is_settled and spent >= SETTLED_AFTER:
            self._is_settled = True
            self._watch.settled()

    def _end(self, status: int, more: dict[str, object]) -> None:
        told = {"inputs": self._watch.count, "cpu_s": time.process_time(), **more}
        os.write(1, f"\n{json.dumps(told)}\n".encode())
        os._exit(status)


def main(arguments: Sequence[str]) -> None:
    """Fuzz until the process ends."""
    options = _parse(arguments)
    # There only where it has a wheel.
    atheris: Any = import_module("atheris") if options.engine == "guided" else None
    # What is imported within it tells which branches it took; what these tests import need not.
    instrumented = atheris.instrument_imports(include=["meshinfer"]) if atheris else nullcontext()
    with instrumented:
        from .targets import TARGETS
    target = TARGETS[options.target]
    run = Run(options, target)
    with watching_time():
        if atheris:
            _guided(atheris, options, target, run.take)
        from .mutating import inputs

        for data in inputs(target, Random(options.seed)):
            run.take(data)


def _guided(atheris: Any, options: argparse.Namespace, target: Target, take: Callable[[bytes], None]) -> None:
    """Let libFuzzer choose: inputs that reach new branches are kept in the corpus, and changed further."""
    from .mutating import exchanged

    corpus: Path = options.corpus / target.name
    for folder in (corpus, options.failures):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed[:MAX_INPUT_BYTES])

    def changed(data: bytes, most_bytes: int, number: int) -> bytes:
        random = Random(number)
        if target.shape is not None and random.random() < 0.5:
            return exchanged(data, target.shape, random)[:most_bytes]
        return bytes(atheris.Mutate(data, most_bytes))

    settings = {"seed": options.seed, "max_len": MAX_INPUT_BYTES, "artifact_prefix": f"{options.failures}/"}
    # What it would watch over is watched over here, by processor time and for the whole run.
    quiet = {"timeout": 1_000_000, "rss_limit_mb": 0, "verbosity": 0, "print_funcs": 0}
    flags = [f"-{name}={value}" for name, value in {**settings, **quiet}.items()]
    atheris.Setup(["fuzz", *flags, str(corpus)], take, custom_mutator=changed)
    atheris.Fuzz()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.child", description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--engine", choices=["guided", "blind"], required=True)
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    for name in ("state", "corpus", "failures"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
