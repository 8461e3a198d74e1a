"""What the tools of several machines told, recorded; every identifier in it is invented."""

from pathlib import Path

FOLDER = Path(__file__).parent / "fixtures" / "platform"

STUDIOS = tuple(f"m3-ultra-{number}" for number in (1, 2, 3, 4))
"""Four Mac Studios, each joined with each by a Thunderbolt 5 cable."""


def told(machine: str, tool: str) -> str:
    """What a tool told on a machine, such as `told("m3-ultra-1", "ifconfig.txt")`."""
    return (FOLDER / f"{machine}.{tool}").read_text()


def all_told(tool: str) -> list[str]:
    """The names of all machines of which a tool was recorded."""
    return sorted(path.name.removesuffix(f".{tool}") for path in FOLDER.glob(f"*.{tool}"))
