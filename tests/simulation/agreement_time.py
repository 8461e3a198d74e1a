"""How long a mesh takes to agree on another plan, from when it knows that its members changed."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from meshinfer.topology.member import Status
from meshinfer.topology.target import Target
from meshinfer.transports.weather import Weather
from tests.simulation.failures import failures_reported
from tests.simulation.farm import run_seeds
from tests.simulation.loop import run
from tests.simulation.machine import Machine
from tests.simulation.mesh import Mesh
from tests.simulation.peace import covered_s
from tests.simulation.report import quantile
from tests.simulation.story import Setting, Story

GOAL_S = 1.5
SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16)
_LOOK_EVERY_S = 0.005
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of members took. detected_s: until who stays knew of it: the last one of a death, the
    first one of a newcomer. agreed_s: from then until all stages computed under one plan; loading_s: for how
    long of that somebody loaded.
    """

    detected_s: float
    agreed_s: float
    loading_s: float

    @property
    def apart_s(self) -> float:
        """What agreeing took, loading apart."""
        return self.agreed_s - self.loading_s


def death(count: int, seed: int) -> Change:
    """Kill the process of one of `count` peers."""
    return run(_changed(count, 0, seed))


def joining(count: int, seed: int) -> Change:
    """Let one more come to `count` - 1 peers."""
    return run(_changed(count, 1, seed))


async def _changed(count: int, late: int, seed: int) -> Change:
    mesh = Mesh(seed, Story(_setting(count), ()))
    with failures_reported(mesh.around):
        change = await _lived_through(mesh, count, late)
    if mesh.around.ledger.violations:
        raise AssertionError(f"{count} peers, seed {seed}: {mesh.around.ledger.violations[0]}")
    return change


async def _lived_through(mesh: Mesh, count: int, late: int) -> Change:
    loop, machines = mesh.around.loop, mesh.machines
    early, changed = machines[: count - late], machines[-1]
    for machine in early:
        mesh.start(machine)
    first = await _until(lambda: _agreed(early))
    await asyncio.sleep(3.0 + changed.random.random())
    began_s = loop.time()
    if late:
        mesh.start(changed)
        stay = machines
        await _until(lambda: _knows(early, changed, any_of_them=True))
    else:
        changed.crash()
        stay = early[:-1]
        await _until(lambda: _knows(stay, changed, any_of_them=False))
    known_s = loop.time()
    await _until(lambda: target if (target := _agreed(stay)) != first else None)
    agreed_s = loop.time()
    spans = [span for machine in stay if machine.life for span in machine.life.memory.spans]
    for machine in stay:
        machine.crash()
        await machine.rest()
    return Change(known_s - began_s, agreed_s - known_s, covered_s(spans, known_s, agreed_s))


def _setting(count: int) -> Setting:
    """A LAN of a millisecond, machines that all hold a part, and nobody who reads."""
    return Setting(
        memory_shares=(1200,) * count,
        paces=(1.0,) * count,
        late=frozenset(),
        layers=16,
        stages="all",
        min_peers=1,
        piece_s=0.05,
        step_s=0.01,
        think_s=0.02,
        request_every_s=1e9,
        prefill_chunk_tokens=2048,
        max_running=16,
        max_waiting=64,
        flap_limit=1000,
        drain_s=30.0,
        is_parted=False,
        is_hybrid=False,
        weather=Weather(delay_s=0.0005, jitter_s=0.0002),
        chaos_s=0.0,
    )


async def _until(look: Callable[[], Target | bool | None]) -> Target | bool | None:
    """Look until there is something to see."""
    async with asyncio.timeout(_PATIENCE_S):
        while not (seen := look()):  # noqa: ASYNC110 - nothing tells of all that is looked for
            await asyncio.sleep(_LOOK_EVERY_S)
        return seen


def _agreed(machines: list[Machine]) -> Target | None:
    """The plan under which all of them compute, if it is one and serves everywhere."""
    lives = [machine.life for machine in machines]
    targets = {
        max(life.probe.active, default=None) if life and life.board.value.mesh.is_live else None
        for life in lives
    }
    return targets.pop() if len(targets) == 1 else None


def _knows(machines: list[Machine], changed: Machine, *, any_of_them: bool) -> bool:
    """Whether the first sees a newcomer alive, or all see the dead as dead."""
    seen = [
        {m.record.peer: m.status for m in machine.life.probe.members}.get(changed.peer)
        for machine in machines
        if machine.life
    ]
    if any_of_them:
        return Status.ALIVE in seen
    return all(status is Status.DEAD for status in seen)


# --- many of them


def figures(seeds: int, jobs: int, sizes: tuple[int, ...] = SIZES) -> Iterator[str]:
    """Yield lines of a table: medians and 99th percentiles, beside the goal."""
    yield f"{'':8} | {'a process is killed: medians':32} | without loads     | {'goal':18} | one joins"
    yield f"{'peers':8} |  detection  all active    loading | p50   p99   max   | {'':18} | p50   p99   max"
    for count in sizes:
        deaths = [change for _, change in run_seeds(_Work(death, count), range(1, seeds + 1), jobs)]
        joins = [change for _, change in run_seeds(_Work(joining, count), range(1, seeds + 1), jobs)]
        apart = [change.apart_s for change in deaths]
        joined = [change.apart_s for change in joins]
        yield " | ".join(
            (f"{count:8}", _death_columns(deaths), _columns(apart), _verdict(apart), _columns(joined))
        )


def _death_columns(deaths: list[Change]) -> str:
    columns = ([c.detected_s for c in deaths], [c.agreed_s for c in deaths], [c.loading_s for c in deaths])
    return " ".join(f"{quantile(column, 0.5):10.2f}" for column in columns)


def _columns(values_s: list[float]) -> str:
    return " ".join(f"{quantile(values_s, share):5.2f}" for share in (0.5, 0.99, 1.0))


def _verdict(values_s: list[float]) -> str:
    return f"p50 <= {GOAL_S} s: {'met' if quantile(values_s, 0.5) <= GOAL_S else 'MISSED'}"


@dataclass(frozen=True, slots=True)
class _Work:
    """One run of a figure, for another process."""

    measure: Callable[[int, int], Change]
    count: int

    def __call__(self, seed: int) -> Change:
        """Measure with a seed."""
        return self.measure(self.count, seed)
