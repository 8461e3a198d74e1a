"""Run a command on a machine that stalls: all of its processes stand still for a while, again and again.

    python -m tests.stalls [--seed 1] [--burners 2] -- .venv/bin/python -m pytest -n 3 tests/transports

What fails under it and passes without hangs on how quick the machine is. Peers that a test itself stops
are woken by it, too: such a test may fail here. It ends as the command does, with its status.
"""

import argparse
import random
import signal
import subprocess
import sys
from collections.abc import Iterable

import psutil

RUNS_S = (1.0, 6.0)
STANDS_STILL_S = (0.2, 0.4, 0.8, 1.5)
BURNER = "while True: pass"


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def is_over(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Wait for the end of a process, for so long at most."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def stall(process: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Have a process and all that it starts stand still now and then, until it is over."""
    while not is_over(process, chance.uniform(*RUNS_S)):
        whole = psutil.Process(process.pid)
        family = [whole, *whole.children(recursive=True)]
        try:
            send(family, signal.SIGSTOP)
            is_over(process, chance.choice(STANDS_STILL_S))
        finally:
            send(family, signal.SIGCONT)


def main() -> int:
    """Run the command; return its status."""
    parser = argparse.ArgumentParser(description="Run a command on a machine that stalls.")
    parser.add_argument("--seed", type=int, default=1, help="of when it stalls, and for how long")
    parser.add_argument("--burners", type=int, default=0, help="processes that keep a core busy each")
    parser.add_argument("command", nargs="+", help="behind --")
    options = parser.parse_args()
    burners = [subprocess.Popen([sys.executable, "-c", BURNER]) for _ in range(options.burners)]
    process = subprocess.Popen(options.command)
    try:
        stall(process, random.Random(options.seed))
    except KeyboardInterrupt:
        # It was told by the terminal as well, and has something to say yet.
        process.wait()
    finally:
        for burner in burners:
            burner.kill()
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
