"""Writes what is installed here as constraints: `make lock`.

They bind where the lock was made, one system and one Python, and nowhere else: a fresh checkout installs on
all others as pyproject.toml alone says.
"""

import platform
import sys
from pathlib import Path

from .closure import needed

FILE = Path(".ci/constraints.txt")
_HEAD = """\
# What CI installs, to the version: made by `make lock`, and used by `make test` where the markers hold.
# pyproject.toml has the lower bounds that everybody else installs by.
"""


def lines() -> list[str]:
    """A line for each distribution, with the system that it is for."""
    marker = (
        f'python_version == "{sys.version_info.major}.{sys.version_info.minor}" '
        f'and sys_platform == "{sys.platform}" and platform_machine == "{platform.machine()}"'
    )
    return [f"{name}=={found.version} ; {marker}" for name, found in needed().items()]


if __name__ == "__main__":
    FILE.write_text(_HEAD + "\n".join(lines()) + "\n")
    print(f"{FILE}: {len(lines())} distributions")
