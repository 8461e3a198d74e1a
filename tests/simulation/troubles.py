"""Lets troubles befall the machines of a mesh, and takes them away again."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from meshinfer.transports.weather import Weather
from tests.simulation.life import Surroundings
from tests.simulation.machine import Machine
from tests.simulation.story import Trouble

_FOR_GOOD = 0.25
"""Up to this amount who leaves or crashes does not come back."""

Start = Callable[[Machine], None]


class Troubles:
    """counts: how often what happened to somebody. absent: who does not come back by itself.

    lost_s: when the last one of them went.
    """

    def __init__(self, machines: list[Machine], around: Surroundings, start: Start) -> None:
        self._machines = machines
        self._around = around
        self._start = start
        self._ends: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self.counts: Counter[str] = Counter()
        self.absent: set[str] = {machines[late].name for late in around.setting.late}
        self.lost_s = float("-inf")

    @property
    def next_end_s(self) -> float:
        """When the next trouble is over."""
        return self._ends[0][0] if self._ends else float("inf")

    def end_next(self) -> None:
        """Let the next trouble be over."""
        heapq.heappop(self._ends)[2]()

    def begin(self, trouble: Trouble) -> None:
        """Let a trouble happen."""
        self._tell(f"-- {trouble}")
        end = self._befall(trouble)
        if end is not None:
            self.counts[trouble.kind] += 1
            end_s = self._around.loop.time() + trouble.for_s
            heapq.heappush(self._ends, (end_s, next(self._numbers), end))

    def _befall(self, trouble: Trouble) -> Callable[[], object] | None:
        """Do it; return what ends it, or None if there was nobody to befall."""
        machine = self._machines[trouble.who]
        other, network = self._machines[trouble.other], self._around.network
        match trouble.kind:
            case "crash" | "power":
                is_struck = machine.crash(is_power_cut=trouble.kind == "power")
                return self._away(machine, trouble) if is_struck else None
            case "leave":
                return self._away(machine, trouble) if machine.leave() else None
            case "join":
                self.absent.discard(machine.name)
                self._start(machine)
                return _nothing
            case "freeze" | "sleep":
                return machine.thaw if machine.freeze(is_asleep=trouble.kind == "sleep") else None
            case "slow":
                machine.slowness = 1 + 30 * trouble.amount
                return lambda: setattr(machine, "slowness", 1.0)
            case "torn":
                machine.torn += 1
                return _nothing
            case "memory":
                machine.set_memory(round(machine.memory_bytes * trouble.amount))
                return lambda: machine.set_memory(machine.memory_bytes)
            case "storm":
                network.set_weather(_storm(self._around.setting.weather, trouble.amount))
                return lambda: network.set_weather(self._around.setting.weather)
            case "part":
                return self._part(trouble)
            case _ if machine is other:
                return None
            case "block":
                network.block(machine.name, other.name)
                return lambda: network.heal(machine.name, other.name)
            case "cut":
                network.sever(machine.name, other.name)
                network.partition(machine.name, other.name)
                return lambda: network.heal(machine.name, other.name)
            case "sever":
                network.sever(machine.name, other.name)
                return _nothing
            case "far":
                pair, usual = (machine.name, other.name), self._around.setting.weather
                network.set_weather(replace(usual, delay_s=0.4 * trouble.amount), pair)
                return lambda: network.set_weather(usual, pair)
            case unknown:
                raise AssertionError(f"no trouble is called {unknown}")

    def _away(self, machine: Machine, trouble: Trouble) -> Callable[[], object]:
        # Others seek the first machine: a mesh without it falls apart for good reason.
        if trouble.amount < _FOR_GOOD and machine is not self._machines[0]:
            self.absent.add(machine.name)
            self.lost_s = self._around.loop.time()
            return _nothing
        return lambda: self._return(machine)

    def _return(self, machine: Machine) -> None:
        if machine.name not in self.absent:
            self._start(machine)

    def _part(self, trouble: Trouble) -> Callable[[], object] | None:
        count = len(self._machines)
        mask = 1 + int(trouble.amount * (2**count - 2))
        pairs = [(one, other) for one, other in self._pairs() if (mask >> one & 1) != (mask >> other & 1)]
        for one, other in pairs:
            self._around.network.partition(self._machines[one].name, self._machines[other].name)
        return (lambda: self._join(pairs)) if pairs else None

    def _join(self, pairs: list[tuple[int, int]]) -> None:
        for one, other in pairs:
            self._around.network.heal(self._machines[one].name, self._machines[other].name)

    def heal(self) -> None:
        """Take all troubles away, and start whoever is to come back."""
        self._tell("-- heal")
        self._ends.clear()
        network, weather = self._around.network, self._around.setting.weather
        self._join(self._pairs())
        network.set_weather(weather)
        for one, other in self._pairs():
            network.set_weather(weather, (self._machines[one].name, self._machines[other].name))
        for machine in self._machines:
            machine.thaw()
            machine.slowness, machine.torn = 1.0, 0
            if machine.life is not None:
                machine.set_memory(machine.memory_bytes)
            elif machine.name not in self.absent:
                self._start(machine)

    def _pairs(self) -> list[tuple[int, int]]:
        return list(itertools.combinations(range(len(self._machines)), 2))

    def _tell(self, words: str) -> None:
        self._around.trace.tell(self._around.loop.time(), words)


def _storm(usual: Weather, amount: float) -> Weather:
    return replace(
        usual,
        loss=0.05 + 0.35 * amount,
        duplicate=0.1 * amount,
        jitter_s=0.1 * amount,
        break_chance=0.02 * amount,
    )


def _nothing() -> None:
    """It is over already."""
