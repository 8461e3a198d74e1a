"""Runs many seeds, each in one process, several processes at once."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2
_SEEDS_A_PROCESS = 200
"""Then a fresh one takes over: what one run leaves behind must not pile up."""


def run_seeds(
    work: Callable[[int], T], seeds: Iterable[int], jobs: int, until_s: float | None = None
) -> Iterator[tuple[int, T]]:
    """Yield (seed, result) as they come. until_s: on the monotonic clock; None goes on to the last seed."""
    waiting = iter(seeds)
    if jobs == 1:
        for seed in waiting:
            if until_s is not None and time.monotonic() >= until_s:
                return
            yield seed, work(seed)
        return
    # A forked process would have the hash seed, and whatever else, of this one: that is as wanted.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=_SEEDS_A_PROCESS) as pool:
        running: dict[Future[T], int] = {}
        for seed in itertools.islice(waiting, jobs * _AHEAD):
            running[pool.submit(work, seed)] = seed
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda each: running[each]):
                seed = running.pop(future)
                yield seed, future.result()
                is_over = until_s is not None and time.monotonic() >= until_s
                following = None if is_over else next(waiting, None)
                if following is not None:
                    running[pool.submit(work, following)] = following


def seeds_from(first: int) -> Iterator[int]:
    """Every seed from `first` on."""
    return itertools.count(first)
