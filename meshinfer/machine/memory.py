"""How much memory a peer may use where the user does not say, and how much it does use."""

from dataclasses import dataclass
from pathlib import Path

import psutil

RESERVE_BYTES = 2 << 30
"""Left to the system and to what else runs."""

SHARE_OF_TOTAL = 0.75
"""Metal recommends 0.75 to 0.95 of a Mac's memory as working set; the lowest is safe everywhere."""

STEP_BYTES = 256 << 20
"""Budgets are cut to this, so that small changes of free memory don't look like another machine."""

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """What a budget is made of.

    total_bytes, available_bytes: as the system tells. working_set_bytes: what Metal recommends to use at
    most, None where there is no Metal. limit_bytes: what this container may use, None where nobody limits it.
    """

    total_bytes: int
    available_bytes: int
    working_set_bytes: int | None = None
    limit_bytes: int | None = None

    @property
    def most_bytes(self) -> int:
        """What a peer could use on this machine if nothing else ran."""
        most_bytes = self.working_set_bytes or int(self.total_bytes * SHARE_OF_TOTAL)
        return min(most_bytes, self.limit_bytes) if self.limit_bytes is not None else most_bytes

    @property
    def budget_bytes(self) -> int:
        """What is available now, less a reserve, and never more than `most_bytes`."""
        available_bytes = min(self.available_bytes, self.limit_bytes or self.available_bytes)
        free_bytes = min(available_bytes - RESERVE_BYTES, self.most_bytes)
        # A small machine keeps half of what is free instead of the whole reserve.
        usable_bytes = max(free_bytes, available_bytes // 2)
        return max(STEP_BYTES, min(usable_bytes, self.most_bytes) // STEP_BYTES * STEP_BYTES)

    @property
    def text(self) -> str:
        """For people: the budget, and what bounds it."""
        terms = [f"{_gb(self.available_bytes)} free of {_gb(self.total_bytes)}"]
        if self.working_set_bytes is not None:
            terms.append(f"Metal takes at most {_gb(self.working_set_bytes)}")
        if self.limit_bytes is not None:
            terms.append(f"this container may use {_gb(self.limit_bytes)}")
        return f"{_gb(self.budget_bytes)} for weights and KV cache ({', '.join(terms)})"


def measure_memory(working_set_bytes: int | None = None, cgroup: Path = _CGROUP) -> MemoryTerms:
    """Look at this machine's memory now. working_set_bytes: as Metal tells it, where there is Metal."""
    memory = psutil.virtual_memory()
    limit_bytes = _container_limit_bytes(cgroup)
    is_limited = limit_bytes is not None and limit_bytes < memory.total
    return MemoryTerms(
        int(memory.total), int(memory.available), working_set_bytes, limit_bytes if is_limited else None
    )


def memory_budget_bytes(working_set_bytes: int | None = None) -> int:
    """What a peer may use now where the user does not say."""
    return measure_memory(working_set_bytes).budget_bytes


def resident_bytes() -> int:
    """What this process has in memory now: weights, caches, Python and all."""
    return int(psutil.Process().memory_info().rss)


def _container_limit_bytes(cgroup: Path) -> int | None:
    """The limit of a container (cgroup v2), as it sees it itself; None without one."""
    try:
        text = (cgroup / "memory.max").read_text().strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isascii() and text.isdigit() else None


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
