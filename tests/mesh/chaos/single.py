"""One fault in the middle of one answer, again and again: each seed is one such run."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tests.mesh.chaos.faults import Fault, Kind, draw_for_s, strike
from tests.mesh.chaos.mesh import ChaosMesh, Settled, ring_names
from tests.mesh.chaos.questions import POOL, Length, Question, question
from tests.mesh.chaos.reader import Heard, read_answer, verdict
from tests.mesh.chaos.relief import Relief
from tests.mesh.chaos.setting import Setting
from tests.mesh.chaos.told import Told
from tests.mesh.chaos.vitals import Watch
from tests.simulation.chance import Chance


@dataclass(frozen=True, slots=True)
class Run:
    """What a seed says. victim, other, origin: places in the ring, 0 for the head.

    at_piece: the fault strikes when the reader has seen so many pieces.
    """

    seed: int
    size: int
    kind: Kind
    victim: int
    other: int
    origin: int
    at_piece: int
    for_s: float
    asked: Question

    def __str__(self) -> str:
        struck = f"{_place(self.victim, self.size)}"
        if self.kind is Kind.CUT:
            struck += f"–{_place(self.other, self.size)}"
        if self.kind is Kind.JOIN:
            struck = "one more"
        origin = "itself" if self.origin == self.victim and self.kind is not Kind.JOIN else ""
        return (
            f"seed {self.seed}: ring of {self.size}, {self.kind} {struck} for {self.for_s:.1f} s "
            f"at piece {self.at_piece}, asked {origin or _place(self.origin, self.size)}, {self.asked}"
        )


def draw_run(seed: int, sizes: tuple[int, ...], kinds: tuple[Kind, ...], length: Length) -> Run:
    """The run of a seed, among these sizes and faults."""
    chance = Chance(seed).stream("single")
    size, kind = chance.choice(sizes), chance.choice(kinds)
    victim, other = chance.sample(range(size), 2)
    asked = question(chance.randrange(POOL), length)
    return Run(
        seed=seed,
        size=size,
        kind=kind,
        victim=victim,
        other=other,
        origin=chance.randrange(size),
        # Not quite at the end: the answer should still be under way.
        at_piece=chance.randint(1, max(1, asked.max_tokens * 3 // 4)),
        for_s=draw_for_s(kind, chance),
        asked=asked,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run. settled: after fault and answer. wrong: why it failed, empty if it did not."""

    run: Run
    fault: str
    heard: Heard
    settled: Settled
    wrong: tuple[str, ...]


def play_run(
    mesh: ChaosMesh, run: Run, truth: Heard, watch: Watch, show: Callable[[str], None] | None = None
) -> Outcome:
    """Ask, strike, read to the end, relieve, and wait until the whole ring is back. Everything is bounded."""
    ring = ring_names(mesh.wait_until_whole())
    fault = Fault(run.kind, ring[run.victim], ring[run.other], run.for_s)
    if run.kind is Kind.JOIN:
        fault = Fault(run.kind, next(name for name in mesh.names if name not in ring), "", run.for_s)
    origin = mesh.present[ring[run.origin]]
    relief = Relief(mesh, fault)

    def at_piece(number: int) -> None:
        if number == run.at_piece:
            if show:
                show(f"{number} pieces came, now: {fault}")
            strike(mesh, fault)
            relief.begin()

    heard = read_answer(origin.url, run.asked.body(), at_piece)
    wrong = relief.wait()
    if not relief.is_begun:
        wrong.append(f"the answer ended after {len(heard.came_s)} pieces, before the fault")
    if trouble := verdict(heard, truth, is_origin_lost=(fault.kind, fault.who) == (Kind.KILL, origin.name)):
        wrong.append(trouble)
    settled = mesh.settle()
    if settled.wrong:
        wrong.append(settled.wrong)
    if not wrong:
        wrong += watch.begin(mesh.present.values())
    wrong += mesh.all_complaints()
    return Outcome(run, str(fault), heard, settled, tuple(wrong))


def _place(number: int, size: int) -> str:
    if number == 0:
        return "head"
    return "tail" if number == size - 1 else f"stage {number}"


# --- many


def play_runs(around: Setting, runs: Sequence[Run], told: Told) -> Iterator[Outcome]:
    """Play them, those of one ring size after another: a mesh serves many runs, until one fails."""
    for size in sorted({run.size for run in runs}):
        waiting = deque(run for run in runs if run.size == size)
        while waiting:
            yield from _play_on_one_mesh(around, size, waiting, told)


def _play_on_one_mesh(around: Setting, size: int, waiting: deque[Run], told: Told) -> Iterator[Outcome]:
    begun_s = time.monotonic()
    with around.mesh(size) as mesh:
        watch = Watch()
        begun = watch.begin(mesh.present.values())
        assert not begun, begun
        while waiting:
            run = waiting.popleft()
            outcome = play_run(mesh, run, around.truths.of(run.asked), watch, told.show)
            if not outcome.wrong and not waiting:
                outcome = replace(outcome, wrong=tuple(watch.check(mesh.present.values())))
            if outcome.wrong or (told.is_verbose and not waiting):
                told.keep_logs(f"seed-{run.seed}", mesh, begun_s)
            yield outcome
            if outcome.wrong or outcome.settled.left_out:
                # To be taken in again takes minutes; a new mesh takes seconds.
                return
