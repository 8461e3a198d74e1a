"""Faults all the time, under readers all the time."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.mesh.chaos.faults import Fault, Kind, draw_for_s, strike
from tests.mesh.chaos.mesh import ChaosMesh, Settled
from tests.mesh.chaos.readers import Readers
from tests.mesh.chaos.relief import Relief
from tests.mesh.chaos.setting import Setting
from tests.mesh.chaos.told import Told
from tests.mesh.chaos.vitals import Watch
from tests.simulation.chance import Chance

_GAP_S = (0.5, 6.0)
"""Between one fault and the next, at least and at most."""

_GLANCE_S = 0.2


@dataclass(slots=True)
class Soaked:
    """What came of it. wrong: what failed beside answers. vitals: of each peer, at first and at rest."""

    readers: Readers
    faults: Counter[Kind] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    vitals: list[str] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Whether anything was not as it must be."""
        return bool(self.wrong or self.readers.failed or self.readers.crashed)


def soak(
    around: Setting,
    size: int,
    kinds: tuple[Kind, ...],
    *,
    seed: int,
    for_s: float,
    clients: int,
    told: Told,
) -> Soaked:
    """Let faults drawn from `seed` befall a ring of `size`, then heal everything and look at what is left."""
    chance, begun_s = Chance(seed), time.monotonic()
    truths = around.all_truths()
    with around.mesh(size) as mesh:
        watch = Watch()
        soaked = Soaked(Readers(mesh, truths, clients, chance))
        soaked.wrong += watch.begin(mesh.present.values())
        with soaked.readers:
            troubles = Troubles(mesh, kinds, chance.stream("faults"), told)
            troubles.go_on(for_s)
            soaked.faults, soaked.wrong = troubles.counts, [*soaked.wrong, *troubles.wrong]
        settled = mesh.settle()
        soaked.wrong += rested(mesh, watch, settled)
        soaked.vitals = watch.lines(mesh.present.values())
        if soaked.has_failed:
            told.keep_logs(f"soak-{seed}", mesh, begun_s)
    return soaked


def rested(mesh: ChaosMesh, watch: Watch, settled: Settled) -> list[str]:
    """What is wrong with a mesh that has come to rest."""
    wrong = [settled.wrong] if settled.wrong else watch.check(mesh.present.values())
    wrong += mesh.all_complaints()
    return wrong


class Troubles:
    """Draws faults and lets them happen, at most as many at once as leave the mesh two peers unharmed."""

    def __init__(self, mesh: ChaosMesh, kinds: tuple[Kind, ...], chance: Random, told: Told) -> None:
        self._mesh = mesh
        self._kinds = kinds
        self._chance = chance
        self._told = told
        self._present: list[tuple[Fault, Relief]] = []
        self._names = mesh.names
        self.counts: Counter[Kind] = Counter()
        self.wrong: list[str] = []

    def go_on(self, for_s: float) -> None:
        """Strike again and again; at the end wait until every fault is over."""
        begun_s = time.monotonic()
        while (at_s := time.monotonic() - begun_s) < for_s:
            self._clear()
            if fault := self._draw():
                self._told.show(f"{at_s:7.1f} s: {fault}")
                self.counts[fault.kind] += 1
                relief = Relief(self._mesh, fault)
                strike(self._mesh, fault)
                relief.begin()
                self._present.append((fault, relief))
            time.sleep(self._chance.uniform(*_GAP_S))
        for _, relief in self._present:
            self.wrong += relief.wait()

    def _clear(self) -> None:
        for fault, relief in list(self._present):
            if relief.is_over:
                self.wrong += relief.wait()
                self._present.remove((fault, relief))

    def _draw(self) -> Fault | None:
        kind, chance = self._chance.choice(self._kinds), self._chance
        harmed = set(self._harmed())
        free = [name for name in self._mesh.present if name not in harmed]
        missing = [name for name in self._names if name not in self._mesh.present and name not in harmed]
        for_s = draw_for_s(kind, chance)
        if kind is Kind.JOIN:
            return Fault(kind, missing[0], "", for_s) if missing else None
        if len(free) < 2 + len(self._present):
            return None
        who, other = chance.sample(free, 2)
        return Fault(kind, who, other, for_s)

    def _harmed(self) -> Iterator[str]:
        for fault, _ in self._present:
            yield fault.who
            if fault.kind is Kind.CUT:
                yield fault.other
