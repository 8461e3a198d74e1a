"""The architecture, checked: who may import whom (read with `ast`), and what an import costs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MLX = {"mlx", "mlx_lm", "transformers"}
ACTORS = {
    "discovery",
    "head",
    "links",
    "membership",
    "placement",
    "porter",
    "requests",
    "rotation",
    "stage",
    "tracing",
    "weights",
}
CORES = [
    *(ROOT / "topology").rglob("*.py"),
    *(
        ROOT / "transports" / f"{name}.py"
        for name in ("choice", "frame", "gauge", "hail", "label", "records", "resend")
    ),
    ROOT / "meshinfer" / "messages.py",
    ROOT / "meshinfer" / "freight.py",
    ROOT / "meshinfer" / "handover.py",
    ROOT / "meshinfer" / "keys" / "succession.py",
    ROOT / "meshinfer" / "wire.py",
    ROOT / "meshinfer" / "model" / "sampling.py",
    ROOT / "meshinfer" / "model" / "stops.py",
    ROOT / "meshinfer" / "api" / "translate.py",
]
IMPURE = {"asyncio", "time", "random", "socket", "secrets", "uuid", "threading", "os", "selectors"}


def sources(*rooms: str) -> list[Path]:
    found = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return sorted({path.resolve() for path in found if "__pycache__" not in path.parts})


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all modules that a file imports, wherever in it, relative ones resolved."""
    relative = path.relative_to(ROOT)
    inside = ("meshinfer",) if relative.parts[0] in ("transports", "topology") else ()
    package = (*inside, *relative.with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("transports", "topology"), ids=short)
def test_the_ground_rooms_know_nobody(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        is_ours = name == "meshinfer" or name.startswith("meshinfer.")
        assert not is_ours or name.startswith(f"meshinfer.{room}"), f"{short(path)} imports {name}"
        assert name.split(".")[0] not in MLX, f"{short(path)} imports {name}"


@pytest.mark.parametrize("path", sources("topology"), ids=short)
def test_topology_needs_the_standard_library_only(path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names or name.startswith("meshinfer.topology"), name


@pytest.mark.parametrize("path", sources("meshinfer", "transports", "topology", "tests"), ids=short)
def test_the_bare_names_of_the_ground_rooms_are_never_imported(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in ("transports", "topology"), f"{short(path)} imports {name}"


@pytest.mark.parametrize("path", sources("meshinfer"), ids=short)
def test_mlx_lives_in_the_model_room_alone(path: Path) -> None:
    if path.is_relative_to(ROOT / "meshinfer" / "model"):
        return
    for name in imports(path):
        assert name.split(".")[0] not in MLX, f"{short(path)} imports {name}"


@pytest.mark.parametrize("name", sorted(ACTORS))
def test_no_actor_imports_another(name: str) -> None:
    for imported in imports(ROOT / "meshinfer" / "actors" / f"{name}.py"):
        if imported.startswith("meshinfer.actors."):
            assert imported.split(".")[2] not in ACTORS - {name}, f"{name} imports {imported}"


def test_every_actor_is_on_the_list_above() -> None:
    folder = ROOT / "meshinfer" / "actors"
    found = {path.stem for path in folder.glob("*.py") if "(Actor[" in path.read_text()}
    assert found == ACTORS


@pytest.mark.parametrize("path", CORES, ids=short)
def test_cores_touch_neither_loop_nor_clock_nor_chance_nor_network(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in IMPURE, f"{short(path)} imports {name}"


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=True, cwd=ROOT
    )
    return done.stdout


def test_importing_meshinfer_brings_no_mlx_and_changes_nothing() -> None:
    code = """
import asyncio, logging, resource, signal, socket, sys, threading
before = (
    [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
    list(logging.getLogger().handlers), logging.getLogger().level,
    resource.getrlimit(resource.RLIMIT_NOFILE), threading.active_count(),
)
import meshinfer
after = (
    [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
    list(logging.getLogger().handlers), logging.getLogger().level,
    resource.getrlimit(resource.RLIMIT_NOFILE), threading.active_count(),
)
assert before == after, (before, after)
heavy = {
    "mlx", "mlx_lm", "transformers", "tokenizers", "fastapi", "starlette", "uvicorn", "prometheus_client",
    "cryptography", "zeroconf", "filelock", "rich", "typer", "httpx2",
}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""
    assert run_python(code).strip() == "[]"
