"""One life of a peer in a simulation: the actors of a real one, on fake ground."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshinfer.actors.mail import LocalModel
from meshinfer.actors.placement import Picture
from meshinfer.actors.watch import Bell, Watch
from meshinfer.composition import Composition, Ground, compose
from meshinfer.config import PeerConfig
from meshinfer.farewell import leave_mesh
from meshinfer.messages import Hello
from meshinfer.release import RELEASE
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.topology.record import DiskModel, Phase
from meshinfer.topology.snapshot import picture
from meshinfer.transports.base import Address, Datagrams, LinkLimits, Listener
from meshinfer.transports.listen_both import listen_both
from tests.simulation.chance import Chance
from tests.simulation.compute import FakeCompute
from tests.simulation.ledger import Ledger
from tests.simulation.loop import VirtualLoop
from tests.simulation.probe import Probe
from tests.simulation.readers import Readers, Tally
from tests.simulation.stock import WholeStock
from tests.simulation.story import Setting
from tests.simulation.trace import Trace
from tests.simulation.weights import Memory
from tests.simulation.wires import TracedNetwork, TracedTransport

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

_LINK = LinkLimits()
_MOST_THOUGHTS = 4096


class Thoughts:
    """Answers of the planner that were found before: it is pure, and all peers ask it the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Planner, Question], Answer | Infeasible] = {}

    def think(self, planner: Planner, question: Question) -> Answer | Infeasible:
        """Put a question to a planner."""
        key = (planner, question)
        if key not in self._known:
            if len(self._known) >= _MOST_THOUGHTS:
                self._known.clear()
            self._known[key] = planner(question)
        return self._known[key]


@dataclass(slots=True)
class Surroundings:
    """What all machines of a mesh have in common."""

    loop: VirtualLoop
    network: TracedNetwork
    trace: Trace
    ledger: Ledger
    setting: Setting
    chance: Chance
    models: tuple[LocalModel, ...]
    thoughts: Thoughts
    tally: Tally = field(default_factory=Tally)
    is_asking: bool = True
    """Whether readers come by themselves."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a life has once its actors run."""

    parts: Composition
    readers: Readers
    listener: Listener
    datagrams: Datagrams
    supervisor: "asyncio.Task[None]"


class Life:
    """Runs until it is killed or leaves."""

    task: "asyncio.Task[None]"

    def __init__(
        self, machine: "Machine", config: PeerConfig, seeds: tuple[Address, ...], around: Surroundings
    ) -> None:
        self._machine = machine
        self._config = config
        self._seeds = tuple(seed for seed in seeds if seed != machine.address)
        self._around = around
        self._random = around.chance.stream(f"life {machine.name} {machine.disk.run}")
        self.probe = Probe(machine.peer, machine.name, around.ledger, self._tell)
        self.probe.runs.append(machine.disk.run)
        self._compute = FakeCompute(self._work_s, f"compute of {machine.name}")
        self.memory = Memory(
            machine.peer,
            config.memory_bytes or 0,
            self.probe,
            around.ledger,
            around.loop.time,
            machine.is_failing,
        )
        nothing = picture(config.mesh, (), (), "this peer has just started")
        self.board = Watch(Picture(nothing, (), Phase.IDLE, ""), Bell())
        self._begun: _Begun | None = None

    @property
    def parts(self) -> Composition | None:
        """Its actors, once it has begun to live."""
        return self._begun.parts if self._begun else None

    @property
    def brings_model(self) -> bool:
        """Whether it was told what to run, and does not only follow the mesh."""
        return self._config.model is not None

    @property
    def readers(self) -> Readers | None:
        """Those who ask here, likewise."""
        return self._begun.readers if self._begun else None

    async def run(self) -> None:
        """Live."""
        machine, around = self._machine, self._around
        transport = TracedTransport(around.network, machine.name, _LINK)
        listener, datagrams = await listen_both(transport, machine.address)
        parts = compose(self._ground(transport, listener, datagrams), self.probe.mailbox)
        origin = f"{machine.name}-{machine.disk.run}"
        readers = Readers(
            origin,
            around.models,
            self._random,
            parts.requests,
            around.tally,
            around.ledger,
        )
        # Both are awaited below; the peer itself ends with its supervisor.
        supervisor = asyncio.create_task(parts.supervisor.run(), name=f"peer {machine.name}")
        asking = asyncio.create_task(self._ask(readers), name=f"readers at {machine.name}")
        self._begun = _Begun(parts, readers, listener, datagrams, supervisor)
        try:
            await asyncio.wait([supervisor])
        finally:
            asking.cancel()
            supervisor.cancel()
            await asyncio.wait([asking, supervisor])
            self._look_at_the_end(supervisor, asking)

    def kill(self) -> None:
        """End in the midst of everything; what still runs of it reaches nobody."""
        self.probe.die()
        self._compute.kill()
        self.task.cancel()

    async def leave(self) -> None:
        """Leave as `Peer` does."""
        begun = self._begun
        assert begun is not None, "it cannot leave before it is there"
        await leave_mesh(begun.parts, begun.listener, begun.supervisor, self._config.actors)
        await begun.datagrams.close()
        is_closed = await self._compute.close(self._config.actors.stop_timeout_s)
        self._around.ledger.require(is_closed, "stop", f"{self._machine.name} computes on after its farewell")
        self.probe.die()

    def finish_asking(self) -> None:
        """Let no new readers come; those that are there read on."""
        if self._begun is not None:
            self._begun.readers.is_closed = True

    # --- its ground

    def _ground(self, transport: TracedTransport, listener: Listener, datagrams: Datagrams) -> Ground:
        machine = self._machine
        return Ground(
            config=self._config,
            hello=self._hello(),
            begin_run=self._begin_run,
            addresses=(listener.address,),
            find_addresses=self._find_addresses,
            seeds=self._seeds,
            api_url="",
            memory_bytes=self._config.memory_bytes or 0,
            compute=self._compute,
            fetch=self._fetch,
            receive=self._receive,
            stock=WholeStock(),
            list_models=self._list_models,
            load=self.memory.load,
            progress=lambda what, done_bytes, total_bytes: None,
            doing=lambda: "",
            transport=transport,
            listener=listener,
            datagrams=datagrams,
            board=self.board,
            think=self._think,
            now_s=lambda: machine.now_s,
            pause=asyncio.sleep,
            random=self._random,
            created_ms=machine.clock_ms,
        )

    def _hello(self) -> Hello:
        machine = self._machine
        return Hello(
            machine.peer, machine.disk.run, machine.name, self._config.mesh, RELEASE, machine.address
        )

    async def _begin_run(self, than: int) -> Hello:
        await asyncio.sleep(0.001 + 0.02 * self._random.random())
        disk = self._machine.disk
        disk.run = max(disk.run + 1, than + 1, self._machine.clock_ms)
        self.probe.runs.append(disk.run)
        self._tell(f"{self._machine.name} begins run {disk.run}")
        return self._hello()

    async def _find_addresses(self) -> tuple[Address, ...]:
        return (self._machine.address,)

    async def _fetch(self, wanted: str, is_download_allowed: bool) -> LocalModel:
        await asyncio.sleep(0.5 * self._random.random())
        return next(each for each in self._around.models if wanted in (each.card.name, each.card.source))

    async def _receive(self, blueprint: bytes, desired: DesiredModel) -> LocalModel:
        raise AssertionError("all models are whole here")

    async def _list_models(self) -> tuple[DiskModel, ...]:
        return ()

    async def _think(self, planner: Planner, question: Question) -> Answer | Infeasible:
        await asyncio.sleep(self._around.setting.think_s * (0.5 + self._random.random()))
        return self._around.thoughts.think(planner, question)

    def _work_s(self, work: str, args: tuple[Any, ...]) -> float:
        """How long the compute thread takes for some work."""
        match work:
            case "forward":
                return self._machine.step_s(self.probe.layers_of(args[0]))
            case "fill":
                return self._machine.step_s(len(args[1]))
            case "_next_piece":
                return self._machine.load_s()
            case _:
                return 0.0

    async def _ask(self, readers: Readers) -> None:
        if self._around.is_asking:
            await readers.ask_on(self._around.setting.request_every_s)

    def _look_at_the_end(self, supervisor: "asyncio.Task[None]", asking: "asyncio.Task[None]") -> None:
        for task in (supervisor, asking):
            if not task.cancelled() and (error := task.exception()) is not None and not self.probe.is_over:
                self._around.ledger.report("failure", f"{task.get_name()}: {error!r}")

    def _tell(self, words: str) -> None:
        self._around.trace.tell(self._around.loop.time(), words)
