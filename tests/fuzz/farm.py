"""Divides inputs among processes, as many at once as there are cores, and watches over them."""

import asyncio
import json
import math
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .target import Target
from .watch import Finding, State, keep, replay_command

_MOST_INPUTS = 250_000
"""Of one process: what piles up in a fuzzer over more of them would hide what piles up in a target."""

_MOST_S = 300.0
"""Of one process, for the same reason."""

_HANG_S = 60.0
"""One input that takes so long, on the clock of the wall, hangs in C, where nothing can interrupt it."""

_LOOK_EVERY_S = 5.0
_SHOWN_BYTES = 400
_STARTING_S = 600.0
"""Until the first input, on a busy machine: what is imported is rewritten to tell which branches it took."""


@dataclass(frozen=True, slots=True)
class Terms:
    """inputs, seconds: of all targets together; whichever is first. folder: of corpora and failures."""

    inputs: int
    seconds: float
    jobs: int
    engine: str
    seed: int
    folder: Path


@dataclass(frozen=True, slots=True)
class _Task:
    target: Target
    inputs: int
    seconds: float
    seed: int


class Farm:
    """Fuzzes targets. inputs, cpu_s: of each, by name. grown_bytes: the most that one of its processes grew.

    failures: what was found, each with its input and the command that replays it.
    """

    def __init__(self, targets: Sequence[Target], terms: Terms, say: Callable[[str], None]) -> None:
        self._targets = targets
        self._terms = terms
        self._say = say
        self.inputs: Counter[str] = Counter()
        self.cpu_s: Counter[str] = Counter()
        self.grown_bytes: dict[str, int] = {}
        self.failures: list[str] = []

    async def run(self) -> None:
        """Try all inputs; a target is left alone after its first finding in a process."""
        waiting = self._tasks()
        with tempfile.TemporaryDirectory(prefix="meshinfer-fuzz-") as folder:
            async with asyncio.TaskGroup() as group:
                for worker in range(self._terms.jobs):
                    group.create_task(self._work(waiting, Path(folder) / f"state-{worker}"))

    def _tasks(self) -> list[_Task]:
        """In the order in which they are taken from the end: all targets once, then all once more."""
        terms, count = self._terms, len(self._targets)
        share, seconds = -(-terms.inputs // count), terms.seconds * terms.jobs / count
        needed = min(share / _MOST_INPUTS, seconds / _MOST_S)
        rounds = max(math.ceil(needed), -(-terms.jobs // count))
        return [
            _Task(target, -(-share // rounds), seconds / rounds, terms.seed + number)
            for number in reversed(range(rounds))
            for target in reversed(self._targets)
        ]

    async def _work(self, waiting: list[_Task], state: Path) -> None:
        while waiting:
            await self._fuzz(waiting.pop(), state)

    async def _fuzz(self, task: _Task, state_file: Path) -> None:
        state = State(state_file)
        state.note(0, b"")
        process = await asyncio.create_subprocess_exec(
            *self._command(task, state_file),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        watcher = asyncio.create_task(_kill_when_stuck(process, state))
        try:
            out, err = await process.communicate()
        finally:
            watcher.cancel()
            if process.returncode is None:
                process.kill()
        self._take(task.target, process.returncode or 0, out.decode(), err.decode(errors="replace"), state)

    def _command(self, task: _Task, state: Path) -> list[str]:
        terms = self._terms
        given = {
            "target": task.target.name,
            "engine": terms.engine,
            "inputs": task.inputs,
            "seconds": task.seconds,
            "seed": task.seed + 1,
            "state": state,
            "corpus": terms.folder / "corpus",
            "failures": terms.folder / "failures",
        }
        return [
            sys.executable,
            "-m",
            "tests.fuzz.child",
            *(f"--{name}={value}" for name, value in given.items()),
        ]

    def _take(self, target: Target, status: int, out: str, err: str, state: State) -> None:
        try:
            told = json.loads(out.rstrip().rpartition("\n")[2])
        except ValueError:
            told_last = "\n".join(line for line in err.splitlines() if not line.startswith("INFO:"))
            stuck = " (stopped: it stayed there)" if status == -signal.SIGKILL else ""
            why = f"the process ended with {status}{stuck} at input {state.count:,}\n{told_last[-2000:]}"
            file = keep(Finding(state.data, why), target, self._terms.folder / "failures")
            told = {"inputs": state.count, "cpu_s": 0.0, "finding": why, "file": str(file)}
        self.inputs[target.name] += told["inputs"]
        self.cpu_s[target.name] += told["cpu_s"]
        if "finding" in told:
            file = Path(told["file"])
            failure = (
                f"FAILED {target.name}: {told['finding'].strip()[-2200:]}\n"
                f"  input: {_shortened(file.read_bytes())}\n  replay: {replay_command(target, file)}"
            )
            self.failures.append(failure)
            self._say(failure)
            return
        self.grown_bytes[target.name] = max(told["grown_bytes"], self.grown_bytes.get(target.name, 0))
        self._say(f"{target.name}: {told['inputs']:,} inputs, {told['grown_bytes'] / (1 << 20):+.0f} MiB")

    def report(self) -> str:
        """A line for each target, then what was found."""
        lines = [f"{'target':24} {'inputs':>11} {'a second of a core':>19} {'grew by':>8}"]
        for target in self._targets:
            inputs, cpu_s = self.inputs[target.name], max(self.cpu_s[target.name], 1e-3)
            grown_mib = self.grown_bytes.get(target.name, 0) / (1 << 20)
            lines.append(f"{target.name:24} {inputs:>11,} {inputs / cpu_s:>19,.0f} {grown_mib:>4.0f} MiB")
        return "\n".join([*lines, *self.failures])


def _shortened(data: bytes) -> str:
    shown = repr(data[:_SHOWN_BYTES])
    return shown if len(data) <= _SHOWN_BYTES else f"{shown} and {len(data) - _SHOWN_BYTES:,} bytes more"


async def _kill_when_stuck(process: asyncio.subprocess.Process, state: State) -> None:
    """Kill a process that stays at one input."""
    count, since_s = -1, time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if state.count != count:
            count, since_s = state.count, time.monotonic()
        elif time.monotonic() - since_s > (_HANG_S if count else _STARTING_S):
            process.kill()
            return
