"""Real peers under chaos: processes and sockets, and every answer held against the undisturbed one."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mesh.chaos.faults import Kind
from tests.mesh.chaos.network import why_no_network
from tests.mesh.chaos.questions import SHORT_LENGTH
from tests.mesh.chaos.report import line_of, report_of, totals
from tests.mesh.chaos.rolling import roll
from tests.mesh.chaos.setting import MODELS, TINY, setting
from tests.mesh.chaos.single import Outcome, draw_run, play_runs
from tests.mesh.chaos.soak import soak
from tests.mesh.chaos.told import Told

_TERMINATED = 128 + signal.SIGTERM
_BATCH = 30
_DEFAULT_RUNS = 50
_DEFAULT_MINUTES = 10.0

_EPILOG = f"""\
modes:
  single   one fault in the middle of one answer; each seed is one run and prints one line
  soak     faults all the time, under readers all the time, for --minutes; then a report
  rolling  each peer in turn leaves and is started again, under readers; no request may fail

faults:
{chr(10).join(f"  {kind:6} {kind.means}" for kind in Kind)}
cut and pull take Linux network namespaces (root): those are the command's own, the machine's
interfaces stay untouched. Without them, peers live on loopback and the other faults remain.

what must hold:
  an answer whose own peer lived equals the undisturbed answer, to the token, greedy or drawn;
  one whose peer was killed may end early, and what came of it is a part of the undisturbed one;
  afterwards all peers show one live ring, with the memory, files and threads that they had.

examples:
  python -m tests.mesh.chaos --runs 200                         single faults of every kind
  python -m tests.mesh.chaos --faults kill,cut --peers 3 -v     only these, on rings of three
  python -m tests.mesh.chaos --seed 17 --runs 1 -v              one run again, with its peers' logs
  python -m tests.mesh.chaos soak --minutes 30 --clients 4      half an hour of trouble
  python -m tests.mesh.chaos rolling --peers 4 --clients 8      restart all, one after the other
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parse(arguments)
    # As Ctrl-C does: peers and namespaces are taken away first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    kinds, has_network = _possible(options.faults, options.loopback)
    if not kinds:
        return 2
    print(
        f"faults: {', '.join(kinds)}; model: {options.model}; logs of what fails: {options.logs}", flush=True
    )
    told = Told(options.logs, options.verbose)
    match options.mode:
        case "single":
            return _single(options, kinds, has_network, told)
        case _:
            return _under_readers(options, kinds, has_network, told)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mesh.chaos",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("mode", nargs="?", choices=["single", "soak", "rolling"], default="single", help="see below")
    add("--faults", type=_kinds, default=tuple(Kind), metavar="A,B", help="which faults; all by default")
    add(
        "--peers",
        type=_sizes,
        metavar="2,3,4",
        help="ring sizes; soak and rolling take the last (default 2,3,4)",
        default=(2, 3, 4),
    )
    add(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="the first seed of single, the seed of soak (default 1)",
    )
    add("--runs", type=int, metavar="N", help=f"how many seeds single plays (default {_DEFAULT_RUNS})")
    add(
        "--minutes",
        type=float,
        metavar="M",
        help="how long soak goes on (default 10); single, instead of --runs",
    )
    add("--model", choices=MODELS, default=TINY, help="tiny: random weights, fast; smollm2: a real one")
    add(
        "--clients",
        type=int,
        default=4,
        metavar="N",
        help="readers at a time in soak and rolling (default 4)",
    )
    add(
        "--loopback",
        action="store_true",
        help="no network namespaces, so neither cut nor pull; starts faster",
    )
    add(
        "--logs",
        type=Path,
        default=Path(tempfile.gettempdir()) / "meshinfer-chaos",
        metavar="DIR",
        help="where the peers' logs of failed runs go",
    )
    add("-v", "--verbose", action="store_true", help="tell each fault as it happens")
    return parser.parse_args(arguments)


def _kinds(text: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind(part) for part in text.split(","))
    except ValueError as error:
        known = ", ".join(Kind)
        raise argparse.ArgumentTypeError(f"{error}: give some of {known}, with commas") from error


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(sorted({int(part) for part in text.split(",") if part.isdigit()}))
    if not sizes or sizes[0] < 2 or sizes[-1] > 16:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers of peers from 2 to 16, such as 2,3,4")
    return sizes


def _possible(kinds: tuple[Kind, ...], is_loopback: bool) -> tuple[tuple[Kind, ...], bool]:
    """The faults that this machine can make, and whether in network namespaces; says what it leaves out."""
    why = "--loopback" if is_loopback else why_no_network()
    if not why:
        return kinds, True
    left = tuple(kind for kind in kinds if not kind.needs_network)
    print(f"no links are cut, peers live on loopback: {why}", flush=True)
    if not left:
        print("nothing is left to do: choose other --faults", file=sys.stderr)
    return left, False


# --- modes


def _single(options: argparse.Namespace, kinds: tuple[Kind, ...], has_network: bool, told: Told) -> int:
    begun_s = time.monotonic()
    wanted = options.runs or (None if options.minutes else _DEFAULT_RUNS)
    until_s = begun_s + 60 * options.minutes if options.minutes else float("inf")
    outcomes: list[Outcome] = []
    with setting(options.model, options.peers, has_network=has_network) as around:
        while (wanted is None or len(outcomes) < wanted) and time.monotonic() < until_s:
            first = options.seed + len(outcomes)
            count = _BATCH if wanted is None else min(wanted - len(outcomes), 10 * _BATCH)
            seeds = range(first, first + count)
            runs = [draw_run(seed, options.peers, kinds, around.length) for seed in seeds]
            for outcome in play_runs(around, runs, told):
                outcomes.append(outcome)
                print(line_of(outcome), flush=True)
                if outcome.wrong:
                    print(f"  replay: {_replay(outcome.run.seed, options)}", flush=True)
                if time.monotonic() > until_s:
                    break
    print("\n".join(totals(outcomes)))
    print(f"{len(outcomes)} runs in {time.monotonic() - begun_s:.0f} s")
    return int(any(outcome.wrong for outcome in outcomes))


def _under_readers(
    options: argparse.Namespace, kinds: tuple[Kind, ...], has_network: bool, told: Told
) -> int:
    size, seed, clients = options.peers[-1], options.seed, options.clients
    length = SHORT_LENGTH if options.model == TINY else None
    with setting(options.model, [size], has_network=has_network, length=length) as around:
        if options.mode == "rolling":
            soaked = roll(around, size, seed=seed, clients=clients, told=told)
        else:
            for_s = 60 * (options.minutes or _DEFAULT_MINUTES)
            soaked = soak(around, size, kinds, seed=seed, for_s=for_s, clients=clients, told=told)
    print("\n".join(report_of(soaked)))
    return int(soaked.has_failed)


def _replay(seed: int, options: argparse.Namespace) -> str:
    """The same draws: they depend on what was to be drawn from as well."""
    parts = [f"python -m tests.mesh.chaos --seed {seed} --runs 1"]
    if options.faults != tuple(Kind):
        parts.append(f"--faults {','.join(options.faults)}")
    if options.loopback:
        parts.append("--loopback")
    parts.append(f"--peers {','.join(map(str, options.peers))}")
    if options.model != TINY:
        parts.append(f"--model {options.model}")
    return " ".join([*parts, "-v"])


if __name__ == "__main__":
    sys.exit(main())
