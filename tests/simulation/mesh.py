"""A mesh of whole peers in virtual time: plays a seed's story, and tells what came of it."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from meshinfer.actors.mail import LocalModel
from meshinfer.errors import MeshError, Overloaded
from tests.simulation.chance import Chance
from tests.simulation.failures import failures_reported
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.life import Surroundings, Thoughts
from tests.simulation.loop import VirtualLoop, run
from tests.simulation.machine import Machine
from tests.simulation.making import (
    PROGRESS_S,
    RING_WAIT_S,
    make_machines,
    make_models,
    peer_config,
    placement_limits,
)
from tests.simulation.peace import Peace, Peacemaker
from tests.simulation.readers import Readers
from tests.simulation.story import Story
from tests.simulation.trace import Show, Trace
from tests.simulation.troubles import Troubles
from tests.simulation.wires import TracedNetwork

HEAL_S = 20.0
"""All is at rest so long after the troubles at the latest, loads included, if everybody is there again."""
SETTLE_S = 40.0
"""The same where somebody's death must be found out first: one of two takes its time to believe it."""
_FOUND_S = 15.0
_WATCH_S = 5.0
_ANSWER_S = 10.0
_LETTING_GO_S = 2.0
_STUCK_S = 5.0
_MOST_DATAGRAMS_PER_S = 250
_MOST_SEEDS = 3
_OWN_TASKS = {"play", "main", "broken"}
_THOUGHTS = Thoughts()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run. peace: how each part of the mesh came to rest; empty if it did not come so far."""

    seed: int
    violations: tuple[Violation, ...]
    digest: str
    counts: Counter[str]
    troubles: Counter[str]
    peace: tuple[Peace, ...]
    virtual_s: float
    most_mail: int
    most_datagrams: int


def play(seed: int, story: Story, show: Show | None = None) -> Outcome:
    """Play a story to its end, or to the first thing that must not be."""
    return run(_played(seed, story, show))


async def _played(seed: int, story: Story, show: Show | None) -> Outcome:
    if (task := asyncio.current_task()) is not None:
        task.set_name("play")
    mesh = Mesh(seed, story, show)
    with failures_reported(mesh.around):
        live = asyncio.create_task(mesh.live(), name="main")
        broken = asyncio.create_task(mesh.broken.wait(), name="broken")
        await asyncio.wait([live, broken], return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()
        live.cancel()
        await asyncio.wait([live, broken])
        if not live.cancelled() and (error := live.exception()) is not None:
            raise error
        return mesh.outcome()


class Mesh:
    """Machines that live through a story."""

    def __init__(self, seed: int, story: Story, show: Show | None = None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._seed = seed
        self._story = story
        self._setting = setting = story.setting
        chance = Chance(seed).below("mesh")
        trace = Trace(show)
        network = TracedNetwork(chance.stream("network"), setting.weather, trace, loop.time)
        self.broken = asyncio.Event()
        ledger = Ledger(loop.time, self.broken.set)
        self.around = Surroundings(
            loop,
            network,
            trace,
            ledger,
            setting,
            chance,
            make_models(setting),
            _THOUGHTS,
        )
        self.machines = make_machines(setting, self.around)
        self.troubles = Troubles(self.machines, self.around, self.start)
        self._starting: set[asyncio.Task[None]] = set()
        self._peace: tuple[Peace, ...] = ()

    async def live(self) -> None:
        """Live through the story, come to rest, answer once more, and end."""
        for machine in self.machines:
            if machine.name not in self.troubles.absent:
                self.start(machine)
        await self._endure()
        self.troubles.heal()
        parts = self._parts()
        peacemaker = Peacemaker(parts, self.around, placement_limits(self._setting))
        is_healed = not self._setting.is_parted and self.troubles.lost_s < self.around.loop.time() - _FOUND_S
        self._peace = await peacemaker.settle(HEAL_S if is_healed else SETTLE_S, is_healed=is_healed)
        await peacemaker.watch(_WATCH_S)
        await self._stop_readers()
        await self._ask_everywhere(parts)
        await self._look_for_leaks()
        await self._end()

    def start(self, machine: Machine) -> None:
        """Begin a life on a machine, as soon as the one before is over."""
        count = len(self.machines) if self._setting.is_parted else _MOST_SEEDS
        seeds = tuple(each.address for each in self.machines[:count])
        number = self.machines.index(machine)
        # Kept until it is done; it fails only by a mistake of this simulation, which the loop reports.
        task = asyncio.create_task(machine.start(peer_config(self._setting, machine.name, number), seeds))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _endure(self) -> None:
        loop, troubles = self.around.loop, self.troubles
        coming = list(self._story.troubles)
        while True:
            next_s = min(coming[0].at_s if coming else self._setting.chaos_s, troubles.next_end_s)
            await asyncio.sleep(max(0.0, next_s - loop.time()))
            if troubles.next_end_s <= loop.time():
                troubles.end_next()
            elif coming:
                troubles.begin(coming.pop(0))
            else:
                return

    def _parts(self) -> list[list[Machine]]:
        """The connected parts of the mesh that is left; makes two of it where the story says so."""
        here = [machine for machine in self.machines if machine.name not in self.troubles.absent]
        if not self._setting.is_parted:
            return [here]
        parts = [here[0::2], here[1::2]]
        for one in parts[0]:
            for other in parts[1]:
                self.around.network.partition(one.name, other.name)
        return parts

    async def _ask_everywhere(self, parts: list[list[Machine]]) -> None:
        """Wherever a ring is live, each peer gets an answer."""
        asked = [
            asyncio.create_task(_ask(machine.life.readers, model), name=f"last reader at {machine.name}")
            for part, peace in zip([part for part in parts if part], self._peace, strict=True)
            for machine in part
            for model in self.around.models
            if model.card.fingerprint in peace.live and machine.life and machine.life.readers
        ]
        if not asked:
            return
        done, late = await asyncio.wait(asked, timeout=_ANSWER_S)
        for task in late:
            self.around.ledger.report("answer", f"{task.get_name()} has none after {_ANSWER_S:.0f} s")
        for task in done:
            error = task.result()
            self.around.ledger.require(error is None, "answer", f"{task.get_name()}: {error!r}")

    async def _stop_readers(self) -> None:
        """Let no new readers come; those that are there must get to an end."""
        self.around.is_asking = False
        for machine in self.machines:
            if machine.life is not None:
                machine.life.finish_asking()
        tally, before = self.around.tally, -1
        # A queue may be long: what counts is that it moves.
        while tally.open and tally.counts["tokens"] > before:
            before = tally.counts["tokens"]
            await asyncio.wait([tally.all_done()], timeout=RING_WAIT_S + PROGRESS_S + _ANSWER_S)
        self.around.ledger.require(not tally.open, "stuck", tally.open)

    async def _look_for_leaks(self) -> None:
        """When nobody reads any more, no stage keeps caches."""
        await asyncio.sleep(_LETTING_GO_S)
        for machine in self.machines:
            kept = machine.life.memory.sessions if machine.life else []
            self.around.ledger.require(not kept, "leak", f"{machine.name} keeps {kept}")

    async def _end(self) -> None:
        """Let all leave in good order; nothing of them may be left."""
        for machine in self.machines:
            machine.leave()
            await asyncio.sleep(0.3 * machine.random.random())
        for machine in self.machines:
            await machine.rest()
        await asyncio.sleep(_STUCK_S)
        left = sorted({task.get_name() for task in asyncio.all_tasks()} - _OWN_TASKS)
        self.around.ledger.require(not left, "stuck", f"tasks are left: {left}")

    def outcome(self) -> Outcome:
        """What came of it so far."""
        around = self.around
        ledger, busiest = around.ledger, around.network.busiest
        ledger.require(busiest <= _MOST_DATAGRAMS_PER_S, "traffic", f"{busiest} datagrams within a second")
        return Outcome(
            seed=self._seed,
            violations=tuple(ledger.violations),
            digest=around.trace.digest,
            counts=ledger.counts + around.tally.counts,
            troubles=self.troubles.counts,
            peace=self._peace,
            virtual_s=around.loop.time(),
            most_mail=ledger.most_mail,
            most_datagrams=busiest,
        )


async def _ask(readers: Readers, model: LocalModel) -> MeshError | None:
    """Ask, and again after a while where too many do."""
    while True:
        error = await readers.ask(model)
        if not isinstance(error, Overloaded):
            return error
        await asyncio.sleep(error.retry_after_s)
