"""How much memory a peer may use where the user does not say, and how much it does use."""

import psutil

RESERVE_BYTES = 2 << 30
"""Left to the system and to what else runs."""

SHARE_OF_TOTAL = 0.75
"""Metal recommends 0.75 to 0.95 of a Mac's memory as working set; the lowest is safe everywhere."""

STEP_BYTES = 256 << 20
"""Budgets are cut to this, so that small changes of free memory don't look like another machine."""


def memory_budget_bytes() -> int:
    """What is available now, less a reserve, and never more than three quarters of all memory."""
    memory = psutil.virtual_memory()
    free_bytes = min(memory.available - RESERVE_BYTES, int(memory.total * SHARE_OF_TOTAL))
    # A small machine keeps half of what is free instead of the whole reserve.
    usable_bytes = max(free_bytes, memory.available // 2)
    return max(STEP_BYTES, usable_bytes // STEP_BYTES * STEP_BYTES)


def resident_bytes() -> int:
    """What this process has in memory now: weights, caches, Python and all."""
    return int(psutil.Process().memory_info().rss)
