"""Energy on macOS, from what Apple's own `powermetrics` estimates for the chip. It answers root only."""

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from .power import PowerUnreadable

COMMAND = ("/usr/bin/powermetrics", "--samplers", "cpu_power", "-i", "100", "-b", "1")
"""Every 100 ms, each line written at once: a figure is known at most so much too late."""

_FIRST_SAMPLE_S = 5.0
_GOODBYE_S = 2.0

_SAMPLED = re.compile(
    r"\*\*\* Sampled system activity .*\((?P<elapsed_ms>[0-9]{1,9}(?:\.[0-9]{1,9})?)ms elapsed\)"
)
_COMBINED = re.compile(
    r"Combined Power \(CPU \+ GPU \+ ANE\): *(?P<power_mw>[0-9]{1,9}(?:\.[0-9]{1,9})?) *mW"
)


class Samples:
    """Adds up the samples in what `powermetrics` writes."""

    def __init__(self) -> None:
        self.joules = 0.0
        self.count = 0
        self._elapsed_s = 0.0

    def take(self, line: str) -> None:
        """Take a line; a sample is complete with its power, for the time that its first line told."""
        if sampled := _SAMPLED.search(line):
            self._elapsed_s = float(sampled["elapsed_ms"]) / 1000
        elif combined := _COMBINED.search(line):
            self.joules += float(combined["power_mw"]) / 1000 * self._elapsed_s
            self.count += 1


class PowermetricsMeter:
    """`powermetrics`, running. Leave the context and it is ended."""

    covers = "CPU, GPU and Neural Engine, by powermetrics"
    source = "powermetrics"

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._samples = Samples()
        self._begun = threading.Event()
        self._has_ended = False
        # It ends when the output does.
        self._reader = threading.Thread(target=self._read, name="meshinfer-power", daemon=True)
        self._reader.start()

    def joules(self) -> float:
        """Energy of all whole samples so far.

        Raises:
            PowerUnreadable: `powermetrics` has ended.
        """
        if self._has_ended:
            raise PowerUnreadable(f"powermetrics ended with status {self._process.poll()}")
        return self._samples.joules

    def wait_for_first(self) -> None:
        """Wait for the first sample.

        Raises:
            PowerUnreadable: none comes.
        """
        if not self._begun.wait(_FIRST_SAMPLE_S) or not self._samples.count:
            raise PowerUnreadable("powermetrics tells no combined power here (Apple silicon has it)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE_S)
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._samples.take(line)
                if self._samples.count:
                    self._begun.set()
        self._has_ended = True
        self._begun.set()


def open_powermetrics(command: Iterable[str] = COMMAND, user: int | None = None) -> PowermetricsMeter:
    """Start `powermetrics` and wait for its first sample. user: who asks; None for this process's user.

    Raises:
        PowerUnreadable: the user is not root, or it tells nothing.
    """
    if (os.geteuid() if user is None else user) != 0:
        raise PowerUnreadable("macOS tells them to root only: run it with sudo")
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError as error:
        raise PowerUnreadable(f"powermetrics cannot be started: {error}") from error
    meter = PowermetricsMeter(process)
    try:
        meter.wait_for_first()
    except BaseException:
        meter.__exit__(None, None, None)
        raise
    return meter
