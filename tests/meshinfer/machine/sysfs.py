"""Folders as Linux shows them below /sys, made for a test."""

from pathlib import Path


def make_interface(sys: Path, name: str, *, device: str = "", driver: str = "", **files: str) -> Path:
    """An interface. device: the path below `sys` of what it belongs to; empty for one made of software."""
    folder = sys / "class" / "net" / name
    folder.mkdir(parents=True)
    for file, text in {"type": "1", "mtu": "1500", **files}.items():
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n")
    if device:
        home = sys / "devices" / device
        home.mkdir(parents=True, exist_ok=True)
        (folder / "device").symlink_to(home)
        if driver:
            drivers = sys / "bus" / "drivers" / driver
            drivers.mkdir(parents=True, exist_ok=True)
            (home / "driver").symlink_to(drivers)
    return folder


def make_thunderbolt_device(sys: Path, name: str, **files: str) -> None:
    """A router or another computer, such as `0-0` or `0-1`."""
    folder = sys / "bus" / "thunderbolt" / "devices" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(f"{text}\n")
