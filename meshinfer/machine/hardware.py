"""What this computer is, for those who read figures that were measured on it."""

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_CPUINFO = Path("/proc/cpuinfo")
_MODEL_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_SYSCTL = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
_SYSCTL_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """A computer. chip: such as `Apple M3 Ultra`; cores: those that the system shows, all kinds together."""

    system: str
    chip: str
    cores: int
    memory_bytes: int


def this_hardware() -> Hardware:
    """Look at this computer; nothing in it names its owner."""
    return Hardware(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        chip=_chip(),
        cores=os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
    )


def _chip() -> str:
    """The processor's name; where nobody tells it, its architecture."""
    try:
        if sys.platform == "darwin":
            done = subprocess.run(_SYSCTL, capture_output=True, text=True, timeout=_SYSCTL_TIMEOUT_S)
            name = done.stdout.strip()
        else:
            found = _MODEL_NAME.search(_CPUINFO.read_text())
            name = found[1].strip() if found else ""
    except (OSError, subprocess.SubprocessError):
        name = ""
    return name or platform.machine()
