"""Reads the small files in which Linux tells about itself."""

import re
from pathlib import Path

SYS = Path("/sys")

_LONGEST = 4096
_NUMBER = re.compile(r"-?[0-9]{1,19}")


def read_line(file: Path) -> str:
    """The first line of a small file; empty where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(_LONGEST).decode(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def read_number(file: Path) -> int | None:
    """The number in a small file; None where there is none."""
    text = read_line(file)
    return int(text) if _NUMBER.fullmatch(text) else None
