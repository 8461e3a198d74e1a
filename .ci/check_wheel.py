"""Build the wheel, unpack it alone, and see that it holds every module and can be imported from there."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the folders of the checkout are called once they are installed.
FOLDERS = {"meshinfer": "meshinfer", "transports": "meshinfer/transports", "topology": "meshinfer/topology"}
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--quiet"]

LOOK = """
import importlib, sys
target = sys.argv[1]
sys.path.insert(0, target)
for name in ("meshinfer", "meshinfer.transports", "meshinfer.topology", "meshinfer.cli"):
    file = importlib.import_module(name).__file__
    assert file.startswith(target), f"{name} came from {file}"
"""


def main() -> None:
    """Raise SystemExit with the reason if the wheel is not what it should be."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary).resolve()
        wheel = build(scratch)
        target = scratch / "installed"
        subprocess.run([*PIP, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
        there = {
            file.relative_to(target).as_posix() for file in target.rglob("meshinfer/**/*") if is_ours(file)
        }
        wanted = modules()
        if missing := sorted(wanted - there):
            raise SystemExit(f"the wheel lacks {', '.join(missing)}: name their package in pyproject.toml")
        if strays := sorted(there - wanted):
            raise SystemExit(f"the wheel should not hold {', '.join(strays)}")
        subprocess.run([sys.executable, "-c", LOOK, str(target)], check=True, cwd=scratch)
        print(f"{wheel.name}: all {len(there)} modules and data files, importable as they should be")


def build(scratch: Path) -> Path:
    """Build from a copy: in the checkout, build/ would bring back what was deleted since the last time."""
    source = scratch / "source"
    source.mkdir()
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / file, source)
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", str(scratch), str(source)], check=True)
    (wheel,) = scratch.glob("*.whl")
    return wheel


def is_ours(file: Path) -> bool:
    """Modules, and the data and the page that they read."""
    return file.suffix in (".py", ".json", ".html", ".css", ".js", ".svg")


def modules() -> set[str]:
    """The files that must be in the wheel, by their place in it."""
    return {
        f"{place}/{file.relative_to(ROOT / folder).as_posix()}"
        for folder, place in FOLDERS.items()
        for file in (ROOT / folder).rglob("*")
        # meshinfer/transports and meshinfer/topology are links, for what reads a checkout.
        if is_ours(file)
        and file.relative_to(ROOT).parts[:2] not in (("meshinfer", "transports"), ("meshinfer", "topology"))
    }


if __name__ == "__main__":
    main()
