"""How much memory a peer gets here, and whether the limit of the GPU's memory makes sense."""

from .finding import Finding, bad, good, note, warning
from .observed import Observed

_LEFT_TO_SYSTEM_BYTES = 4 << 30
_LEAST_BYTES = 2 << 30
_USUAL_SHARE = 0.65
"""Below what any Mac sets by itself."""


def check_memory(observed: Observed) -> list[Finding]:
    """Look at the budget, and on a Mac at `iogpu.wired_limit_mb`."""
    memory = observed.memory
    if memory is None:
        return [note("it was not measured")]
    findings = [good(memory.text)]
    if memory.budget_bytes < _LEAST_BYTES:
        findings = [warning(memory.text, "quit programs that take much memory, or join with --memory GB")]
    if observed.wired_limit_mb:
        findings += _wired_limit(observed.wired_limit_mb << 20, memory.total_bytes)
    return findings


def _wired_limit(limit_bytes: int, total_bytes: int) -> list[Finding]:
    """The limit that somebody has set by hand; it is forgotten at the next start."""
    text = f"iogpu.wired_limit_mb gives the GPU {limit_bytes / 1e9:.1f} GB of {total_bytes / 1e9:.1f}"
    usual = "sudo sysctl iogpu.wired_limit_mb=0"
    if total_bytes - limit_bytes < _LEFT_TO_SYSTEM_BYTES:
        return [bad(f"{text}: the system may freeze when a model fills it", usual)]
    if limit_bytes < total_bytes * _USUAL_SHARE:
        return [warning(f"{text}, less than macOS does by itself", usual)]
    return []
