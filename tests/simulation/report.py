"""What came of many runs, in a few lines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.mesh import Outcome
from tests.simulation.peace import Peace

REQUESTS = ("begun", "answered", "abandoned", "NoRing", "Overloaded", "RingBroken")
WORK = ("tokens", "frames", "installs", "activations", "beside", "resumed", "filled", "retained", "prefixes")


@dataclass(slots=True)
class Totals:
    """The sums of all runs, and what came of them.

    peace: how each part of each mesh came to rest.
    """

    runs: int = 0
    virtual_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    peace: list[Peace] = field(default_factory=list)
    most_mail: int = 0
    most_datagrams: int = 0
    failed: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take in a run."""
        self.runs += 1
        self.virtual_s += outcome.virtual_s
        self.counts += outcome.counts
        self.troubles += outcome.troubles
        self.most_mail = max(self.most_mail, outcome.most_mail)
        self.most_datagrams = max(self.most_datagrams, outcome.most_datagrams)
        if outcome.violations:
            self.failed.append(outcome.seed)
        self.peace += outcome.peace

    def lines(self) -> list[str]:
        """What to print of it."""
        counts = self.counts
        live = sum(peace.is_live for peace in self.peace)
        healed, others = ([p for p in self.peace if p.is_healed is is_healed] for is_healed in (True, False))
        return [
            f"{self.runs} runs, {self.virtual_s / 3600:.1f} virtual hours; {len(self.failed)} failed",
            "requests: " + ", ".join(f"{name} {counts[name]:,}" for name in REQUESTS),
            "work: " + ", ".join(f"{name} {counts[name]:,}" for name in WORK),
            "troubles: " + ", ".join(f"{kind} {number:,}" for kind, number in sorted(self.troubles.items())),
            f"at the end {len(self.peace)} parts of meshes, {live} with a live ring",
            *_times("everybody came back", healed),
            *_times("somebody is missing since", others),
            f"at most {self.most_mail} messages in a mailbox, {self.most_datagrams} datagrams in a second",
        ]


def _times(which: str, peace: list[Peace]) -> list[str]:
    return [
        f"  {which}: {len(peace)}",
        f"    one plan, loading apart   {spread([each.agreed_s - each.loading_s for each in peace])}",
        f"    one plan, loads included  {spread([each.agreed_s for each in peace])}",
        f"    until the last change     {spread([each.settled_s for each in peace])}",
    ]


def spread(values_s: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    return (
        f"p50 {quantile(values_s, 0.5):5.2f} s, p99 {quantile(values_s, 0.99):5.2f} s, "
        f"max {quantile(values_s, 1.0):5.2f} s"
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all are; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
