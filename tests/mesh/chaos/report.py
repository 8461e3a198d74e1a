"""What came of chaos, in lines for people."""

from collections import Counter
from collections.abc import Sequence

from tests.mesh.chaos.readers import Asked, End
from tests.mesh.chaos.single import Outcome
from tests.mesh.chaos.soak import Soaked
from tests.simulation.report import spread


def line_of(outcome: Outcome) -> str:
    """One run in one line."""
    if outcome.wrong:
        return f"FAILED {outcome.run}: {'; '.join(outcome.wrong)}"
    pause_s, settled = outcome.heard.longest_pause_s, outcome.settled
    ended = "" if outcome.heard.is_whole else ", ended with its peer"
    left_out = f" without {', '.join(settled.left_out)}" if settled.left_out else ""
    rest = f"one ring{left_out} {settled.after_s:.1f} s later"
    return f"ok {outcome.run}: longest pause {pause_s:.2f} s{ended}, {rest}"


def report_of(soaked: Soaked) -> list[str]:
    """A soak, or a rolling restart, in lines."""
    readers = soaked.readers
    lines = [f"FAILED {_asked(asked)}: {asked.wrong}" for asked in readers.failed]
    lines += [f"FAILED {wrong}" for wrong in [*soaked.wrong, *readers.crashed]]
    if soaked.faults:
        lines.append("faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(soaked.faults.items())))
    ends = readers.ends
    lines.append(
        f"{len(readers.asked)} requests: " + ", ".join(f"{ends[end]} {end}" for end in End if ends[end])
    )
    lines.append(f"longest pause {spread([asked.heard.longest_pause_s for asked in readers.asked])}")
    return [*lines, *(f"  {line}" for line in soaked.vitals)]


def _asked(asked: Asked) -> str:
    came = f"{len(asked.heard.came_s)} pieces"
    return f"reader {asked.reader} asked {asked.peer} {asked.question}, {came} came"


def totals(outcomes: Sequence[Outcome]) -> list[str]:
    """All runs, by the fault that struck."""
    lines = []
    for kind in sorted({outcome.run.kind for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if outcome.run.kind is kind]
        failed = sum(bool(outcome.wrong) for outcome in mine)
        pauses_s = [outcome.heard.longest_pause_s for outcome in mine if not outcome.wrong]
        lines.append(f"{kind:6} {len(mine):4} runs, {failed} failed; longest pause {spread(pauses_s)}")
    left_out = sum(bool(outcome.settled.left_out) for outcome in outcomes)
    lines.append(f"peers were left out of the next ring, as lost too often, after {left_out} runs")
    ended = Counter("whole" if outcome.heard.is_whole else "cut short" for outcome in outcomes)
    lines.append(f"answers: {', '.join(f'{number} {how}' for how, number in sorted(ended.items()))}")
    return lines
