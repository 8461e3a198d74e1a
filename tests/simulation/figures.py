"""Measure the membership protocol in simulation, and print it beside the references.

    python -m tests.simulation.figures                 all, medians over 100 seeds (an hour on two cores)
    python -m tests.simulation.figures --quick         a few seeds of each
    python -m tests.simulation.figures silent slow     some of them

References: memberlist's defaults and an earlier model of this protocol, both simulated, and goals. Times in
seconds of simulated time.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.table import Table

from meshinfer.topology.knobs import MembershipKnobs, lan, large
from tests.simulation.gossip import GossipWorld
from tests.simulation.scenarios import Death, Idle, Wrongs, death, idle, lossy, slow_members, update

Row = tuple[str, ...]

# "all know" of memberlist's defaults (lifeguard), of the earlier model, and the goal.
SILENT = {
    2: ("", "12.7", "≤ 13"),
    3: ("", "2.83", "≤ 3.5"),
    4: ("", "2.91", "≤ 3.5"),
    8: ("", "3.07", "≤ 3.5"),
    16: ("6.97", "3.48", "≤ 3.5"),
    128: ("10.8", "5.42", "≤ 5.5"),
    1024: ("15.0", "7.61", "≤ 7.7"),
}
UPDATES = {
    16: ("0.36", "0.16", ""),
    128: ("0.62", "0.31", "≤ 0.35"),
    1024: ("0.85", "0.43", "≤ 0.45"),
}
IDLES = {2: "", 16: "4.0", 128: "4.0", 1024: ""}
# False deaths of healthy members in 240 s: SWIM, Lifeguard with TCP.
SLOW = {
    (16, 2, 8.0): ("894", "0"),
    (16, 2, 16.0): ("1,800", "1.6"),
    (16, 2, 32.0): ("1,190", "39"),
    (16, 2, 64.0): ("", ""),
    (128, 4, 8.0): ("514", "0"),
    (128, 4, 16.0): ("27,300", "0"),
    (128, 4, 32.0): ("35,600", "25"),
    (128, 4, 64.0): ("22,900", "1,630"),
}
STALLS = [(count, stall_s) for count in (2, 3) for stall_s in (4.0, 8.0, 12.0)]
LOSSY = [(2, 6), (8, 6), (16, 6)]


def knobs_for(count: int) -> MembershipKnobs:
    return lan() if count <= 32 else large()


def silence(world: GossipWorld) -> None:
    world.silence(0)


def end_process(world: GossipWorld) -> None:
    world.kill(0)


def silent_death(job: tuple[int, int]) -> Death:
    return death(*job, knobs_for(job[0]), silence)


def process_death(job: tuple[int, int]) -> Death:
    return death(*job, knobs_for(job[0]), end_process)


def one_update(job: tuple[int, int]) -> float:
    return update(*job, knobs_for(job[0]))


def one_idle(job: tuple[int, int]) -> Idle:
    return idle(*job, knobs_for(job[0]))


def one_slow(job: tuple[int, int, float, int]) -> Wrongs:
    count, slow, stall_s, seed = job
    return slow_members(count, slow, stall_s, seed, knobs_for(count))


def one_lossy(job: tuple[int, int]) -> Wrongs:
    count, seed = job
    return lossy(count, 0.05, seed, knobs_for(count), duration_s=3600.0)


class Figures:
    """Runs scenarios over seeds on all cores, and prints a table of each."""

    def __init__(self, pool: ProcessPoolExecutor, is_quick: bool) -> None:
        self._pool = pool
        self._is_quick = is_quick
        self._console = Console()

    def seeds(self, count: int, full: int = 100) -> range:
        """As many seeds as are asked for; a quick look takes few."""
        return range((5 if count <= 32 else 1) if self._is_quick else full)

    def counts(self, table: dict[int, object]) -> list[int]:
        return [count for count in table if not self._is_quick or count <= 128]

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        shown = Table(title=title, title_justify="left")
        for index, column in enumerate(columns):
            shown.add_column(column, justify="left" if index == 0 else "right")
        for row in rows:
            shown.add_row(*row)
        self._console.print(shown)

    def silent(self) -> None:
        """A machine that goes silent."""
        rows = []
        for count in self.counts(dict(SILENT)):
            runs = list(self._pool.map(silent_death, [(count, seed) for seed in self.seeds(count)]))
            rows.append((str(count), str(len(runs)), *_death_cells(runs), *SILENT[count]))
        columns = ("peers", "runs", "suspected", "dead", "all know", "worst", "packets/s", "B/s", "wronged")
        self.table("silent host", (*columns, "memberlist", "model", "goal"), rows)

    def killed(self) -> None:
        """A process that dies, and whose sockets are reset."""
        rows = []
        for count in (2, 3, 4, 8, 16):
            runs = list(self._pool.map(process_death, [(count, seed) for seed in self.seeds(count)]))
            all_know = statistics.median(run.all_s for run in runs)
            worst = max(run.all_s for run in runs)
            rows.append((str(count), str(len(runs)), f"{all_know:.3f}", f"{worst:.3f}", "≤ 1"))
        self.table("killed process", ("peers", "runs", "all know", "worst", "goal"), rows)

    def updates(self) -> None:
        """One changed record."""
        rows = []
        for count in self.counts(dict(UPDATES)):
            runs = list(self._pool.map(one_update, [(count, seed) for seed in self.seeds(count)]))
            cells = (f"{statistics.median(runs):.3f}", f"{max(runs):.3f}")
            rows.append((str(count), str(len(runs)), *cells, *UPDATES[count]))
        columns = ("peers", "runs", "all have it", "worst", "memberlist", "model", "goal")
        self.table("one record update", columns, rows)

    def idle(self) -> None:
        """Nothing happens."""
        rows = []
        for count in self.counts(dict(IDLES)):
            seeds = self.seeds(count, full=10)
            runs = list(self._pool.map(one_idle, [(count, seed) for seed in seeds]))
            packets = statistics.median(run.packets_per_s for run in runs)
            size = statistics.median(run.bytes_per_s for run in runs)
            rows.append((str(count), str(len(runs)), f"{packets:.2f}", f"{size:.0f}", IDLES[count], "≤ 5"))
        self.table("idle", ("peers", "runs", "packets/s", "B/s", "model packets/s", "goal"), rows)

    def slow(self) -> None:
        """Slow members; what is thought of the others."""
        rows = []
        for (count, slow, stall_s), reference in SLOW.items():
            seeds = self.seeds(count, full=20 if count <= 32 else 4)
            jobs = [(count, slow, stall_s, seed) for seed in seeds]
            runs = list(self._pool.map(one_slow, jobs))
            mean = statistics.mean(run.deaths for run in runs)
            rows.append((f"{count}, {slow} slow {stall_s:.0f} s", str(len(runs)), f"{mean:.1f}", *reference))
        for count, stall_s in STALLS:
            runs = list(
                self._pool.map(one_slow, [(count, 1, stall_s, seed) for seed in self.seeds(count, full=20)])
            )
            mean = statistics.mean(run.deaths for run in runs)
            rows.append((f"{count}, 1 slow {stall_s:.0f} s", str(len(runs)), f"{mean:.1f}", "", "goal 0"))
        columns = ("peers, stalls", "runs", "false deaths", "SWIM", "Lifeguard")
        self.table("slow members: healthy peers taken for dead in 240 s", columns, rows)

    def loss(self) -> None:
        """5 % of all datagrams are lost."""
        rows = []
        for count, share in LOSSY:
            hours = 20 if self._is_quick else 10_000 / len(LOSSY)
            jobs = [(count, seed) for seed in range(max(1, round(hours / count)))]
            runs = list(self._pool.map(one_lossy, jobs, chunksize=share))
            total = sum(run.hours for run in runs)
            deaths = sum(run.deaths for run in runs)
            rate = sum(run.suspicions for run in runs) / total
            rows.append((str(count), f"{total:,.0f}", str(deaths), f"{rate:.3f}", "0"))
        columns = ("peers", "peer-hours", "false deaths", "suspicions seen a peer-hour", "goal deaths")
        self.table("5 % of all datagrams lost", columns, rows)


def _death_cells(runs: list[Death]) -> Row:
    medians = [
        statistics.median(values)
        for values in (
            [run.suspected_s for run in runs],
            [run.first_s for run in runs],
            [run.all_s for run in runs],
        )
    ]
    packets = statistics.median(run.packets_per_s for run in runs)
    size = statistics.median(run.bytes_per_s for run in runs)
    worst = max(run.all_s for run in runs)
    wronged = sum(run.wronged for run in runs)
    times = (*(f"{value:.2f}" for value in medians), f"{worst:.2f}")
    return (*times, f"{packets:.1f}", f"{size:.0f}", str(wronged))


def main() -> int:
    """Run what is asked for."""
    names = ("silent", "killed", "updates", "idle", "slow", "loss")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("which", nargs="*", metavar="|".join(names), help="which figures; all by default")
    parser.add_argument("--quick", action="store_true", help="a few seeds, no 1,024 peers")
    args = parser.parse_args()
    if unknown := [name for name in args.which if name not in names]:
        parser.error(f"no such figure: {unknown[0]}; there are {', '.join(names)}")
    began_s = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        figures = Figures(pool, args.quick)
        for name in args.which or names:
            run: Callable[[], None] = getattr(figures, name)
            run()
    print(f"{time.monotonic() - began_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
