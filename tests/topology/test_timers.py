import math

from meshinfer.topology.timers import Task, Timers


def due(timers: Timers, now_s: float) -> list[tuple[Task, int | str]]:
    found = []
    while (timer := timers.pop_due(now_s)) is not None:
        found.append((timer.task, timer.about))
    return found


def test_timers_fire_in_order_of_time_and_ties_as_they_were_set() -> None:
    timers = Timers()
    for due_s, about in ((2.0, 1), (1.0, 2), (2.0, 3), (3.0, 4)):
        timers.set(due_s, Task.PROBE_END, about)
    assert timers.next_s == 1.0
    assert [about for _, about in due(timers, 2.0)] == [2, 1, 3]
    assert timers.next_s == 3.0


def test_nothing_is_due_without_timers() -> None:
    assert Timers().next_s == math.inf
    assert Timers().pop_due(1e9) is None


def test_what_is_put_off_keeps_its_order() -> None:
    timers = Timers()
    timers.set(1.0, Task.PROBE)
    timers.set(2.0, Task.SYNC)
    timers.put_off(10.0, verdicts_from_s=0.0)
    assert due(timers, 11.0) == [(Task.PROBE, 0)]
    assert due(timers, 12.0) == [(Task.SYNC, 0)]


def test_nobody_is_judged_before_a_moment_that_is_left_to_hear_them() -> None:
    timers = Timers()
    timers.set(1.0, Task.GOSSIP)
    for task in (Task.PROBE_TIMEOUT, Task.PROBE_END, Task.RELAY_END, Task.SUSPICION_END):
        timers.set(1.0, task)
    timers.put_off(4.0, verdicts_from_s=5.2)
    assert due(timers, 5.1) == [(Task.GOSSIP, 0)]
    assert len(due(timers, 5.2)) == 4
