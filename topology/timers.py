"""What is to be done when, in order of time; all of it can be put off at once after a sleep."""

import heapq
from enum import Enum
from typing import NamedTuple


class Task(Enum):
    """What a timer is for. is_verdict: it judges somebody for having been silent."""

    PROBE = "probe"
    PROBE_TIMEOUT = "probe timeout"
    PROBE_END = "probe end"
    RELAY_END = "relay end"
    SUSPICION_END = "suspicion end"
    GOSSIP = "gossip"
    SYNC = "sync"
    REACH = "reach"
    FETCH = "fetch"
    HOUSEKEEPING = "housekeeping"

    @property
    def is_verdict(self) -> bool:
        """Whether somebody is judged when it fires."""
        return self in (Task.PROBE_TIMEOUT, Task.PROBE_END, Task.RELAY_END, Task.SUSPICION_END)


class Timer(NamedTuple):
    """due_s: when. order: ties fire in the order in which they were set. about: a number or a peer."""

    due_s: float
    order: int
    task: Task
    about: int | str


class Timers:
    """A heap of timers. None is taken back: whoever handles one checks whether it still means anything."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._count = 0

    @property
    def next_s(self) -> float:
        """When the next one is due; infinity without any."""
        return self._heap[0].due_s if self._heap else float("inf")

    def set(self, due_s: float, task: Task, about: int | str = 0) -> None:
        """Let `task` be done at `due_s`."""
        self._count += 1
        heapq.heappush(self._heap, Timer(due_s, self._count, task, about))

    def pop_due(self, now_s: float) -> Timer | None:
        """The earliest timer that is due, or None."""
        return heapq.heappop(self._heap) if self._heap and self._heap[0].due_s <= now_s else None

    def put_off(self, by_s: float, verdicts_from_s: float) -> None:
        """Move everything by `by_s`, and no verdict before `verdicts_from_s`."""
        moved = [
            timer._replace(
                due_s=max(timer.due_s + by_s, verdicts_from_s)
                if timer.task.is_verdict
                else timer.due_s + by_s
            )
            for timer in self._heap
        ]
        heapq.heapify(moved)
        self._heap = moved
