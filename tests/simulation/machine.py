"""A machine of a simulation: its disk, its clock, its memory, and one life of a peer after another on it."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from meshinfer.actors.mail import Publish
from meshinfer.config import PeerConfig
from meshinfer.topology import quantise
from meshinfer.topology.record import PeerRecord
from meshinfer.topology.ring import PeerId
from meshinfer.transports.address import format_address
from meshinfer.transports.base import Address
from tests.simulation.life import Life, Surroundings
from tests.simulation.loop import HOST

PORT = 7
_EPOCH_MS = 1_700_000_000_000


@dataclass(slots=True)
class Disk:
    """What outlives a process: the last run that was persisted."""

    run: int = 0


class Machine:
    """Starts, stops and wrongs the process on it. life: the process, None while there is none.

    torn: so many of the next loads fail. slowness: how much longer a step takes.
    """

    def __init__(self, name: str, peer: PeerId, memory_bytes: int, pace: float, around: Surroundings) -> None:
        self.name = name
        self._pace = pace
        self.peer = peer
        self.memory_bytes = memory_bytes
        self.torn = 0
        self.slowness = 1.0
        self.life: Life | None = None
        self.random: Random = around.chance.stream(f"machine {name}")
        self.disk = Disk()
        self.address: Address = format_address("memory", name, PORT)
        self._around = around
        self._lives = 0
        self._ending: list[asyncio.Task[None]] = []
        self._is_frozen = False
        self._set_clock()

    # --- its process

    async def start(self, config: PeerConfig, seeds: tuple[Address, ...]) -> None:
        """Begin a life, once what was before is over; a machine off the network comes back to it."""
        await self.rest()
        if self.life is not None:
            return
        self._around.network.plug(self.name)
        self._lives += 1
        self._set_clock()
        self.disk.run = max(self.disk.run + 1, self.clock_ms)
        self.life = Life(self, replace(config, memory_bytes=self.memory_bytes), seeds, self._around)
        self.life.task = self._run(self.life.run(), f"life {self._lives} of {self.name}")
        self._tell(f"starts in run {self.disk.run}")

    def crash(self, *, is_power_cut: bool = False) -> bool:
        """End the process at once; return whether there was one."""
        life, self.life = self.life, None
        if life is None:
            return False
        self._tell("loses its power" if is_power_cut else "crashes")
        if is_power_cut:
            self._around.network.cut_power(self.name)
        else:
            self._around.network.crash(self.name)
        life.kill()
        self._melt()
        self._ending.append(life.task)
        return True

    def leave(self) -> bool:
        """Let the process leave in good order; return whether there was one that runs."""
        if self.life is None or self.life.parts is None or self._is_frozen:
            return False
        self._tell("leaves")
        life, self.life = self.life, None
        self._ending += [life.task, self._run(life.leave(), f"farewell of {self.name}")]
        return True

    async def rest(self) -> None:
        """Wait until former processes are gone."""
        while self._ending:
            await asyncio.wait(self._ending)
            self._ending = [task for task in self._ending if not task.done()]

    def freeze(self, *, is_asleep: bool) -> bool:
        """Stop the process where it is, or let the whole machine sleep; return whether it ran."""
        if self.life is None or self._is_frozen:
            return False
        self._tell("falls asleep" if is_asleep else "freezes")
        self._is_frozen = True
        self._around.network.freeze(self.name, is_asleep=is_asleep)
        self._around.loop.freeze(self.name)
        return True

    def thaw(self) -> None:
        """Let the process go on."""
        if self._is_frozen:
            self._tell("goes on")
            # As a loop does: first what came in, then the timers.
            self._around.network.thaw(self.name)
            self._melt()

    def set_memory(self, memory_bytes: int) -> None:
        """Offer the mesh another amount from now on; what the process takes for granted stays."""
        self._tell(f"offers {memory_bytes} bytes")
        offered_bytes = quantise.memory(memory_bytes)

        def change(record: PeerRecord) -> PeerRecord:
            return replace(record, memory_bytes=offered_bytes)

        if self.life is not None and self.life.parts is not None:
            self.life.parts.membership.offer(Publish(change))

    # --- for its process

    @property
    def now_s(self) -> float:
        """What its clock tells: every machine has another one."""
        return self._around.loop.time() + self._offset_s

    @property
    def clock_ms(self) -> int:
        """The time of day here."""
        return _EPOCH_MS + round(1000 * (self._around.loop.time() + self._wrong_s))

    def is_failing(self) -> bool:
        """Whether this piece of a load is torn."""
        if self.torn == 0:
            return False
        self.torn -= 1
        return True

    def load_s(self) -> float:
        """How long the next layer takes into memory."""
        return self._drawn(self._around.setting.piece_s * self.slowness)

    def step_s(self, layers: int) -> float:
        """How long the next step takes through so many layers."""
        share = layers / self._around.setting.layers
        return self._drawn(self._around.setting.step_s * share * self._pace * self.slowness)

    def _drawn(self, usual_s: float) -> float:
        return usual_s * (0.5 + self.random.random())

    def _set_clock(self) -> None:
        """Clocks are wrong, and may be set back between two lives."""
        self._offset_s = self.random.uniform(0.0, 1e6)
        self._wrong_s = self.random.choice([0.0, 0.0, self.random.uniform(-3600.0, 3600.0)])

    def _melt(self) -> None:
        if self._is_frozen:
            self._is_frozen = False
            self._around.loop.thaw(self.name)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run on this machine; `rest` awaits it."""
        context = copy_context()
        context.run(HOST.set, self.name)
        make = partial(self._around.loop.create_task, work, name=name)
        return make(context=context)

    def _tell(self, words: str) -> None:
        self._around.trace.tell(self._around.loop.time(), f"{self.name} {words}")
