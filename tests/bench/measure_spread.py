"""How much each peer of a ring fetches of a model that lies on one machine's disk alone.

    python -m tests.bench.measure_spread [--peers 4]

Starts real peers whose caches are their own, the first with a model of some 340 MB, and waits for a ring of
all. Prints for each of the others what its disk took beside what its stage needs; 1.05 is expected at most.
"""

import argparse
import tempfile
import time
from pathlib import Path

from meshinfer.cli.amounts import size_text
from meshinfer.model.needs import sort_tensors
from meshinfer.model.safetensors import read_tensors
from meshinfer.model.settings import read_settings
from tests.fakehub import cache_tree
from tests.mesh.processes import ProcessMesh, wait_for_ring
from tests.tiny import make_tiny_model

NAME = "org/bench"
WAIT_S = 300.0


def main() -> None:
    """Spread it, and print."""
    parser = argparse.ArgumentParser(description="What peers fetch of a model on one machine's disk.")
    parser.add_argument("--peers", type=int, default=4)
    peers = parser.parse_args().peers
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        spread(Path(name), peers)


def spread(scratch: Path, count: int) -> None:
    """Have `count` peers form a ring of a model that one of them has."""
    path = make_tiny_model(scratch / "model", layers=9, hidden=1024, file_count=4)
    cache_tree(scratch / "p0-hub", NAME, path)
    with ProcessMesh(scratch) as mesh:
        first = mesh.start("p0", NAME, "--cache-dir", str(scratch / "p0"), within=machine(scratch, "p0"))
        began_s = time.monotonic()
        others = [
            mesh.start(
                f"p{number}",
                None,
                "--cache-dir",
                str(scratch / f"p{number}"),
                seeds=[first],
                within=machine(scratch, f"p{number}"),
            )
            for number in range(1, count)
        ]
        shown = wait_for_ring([first, *others], WAIT_S)
        took_s = time.monotonic() - began_s
    total_bytes = sum(tensor.size_bytes for tensor in read_tensors(path).values())
    print(f"{size_text(total_bytes)} over {count} peers, {took_s:.1f} s after the others were started")
    for stage in shown["ring"]:
        if stage["name"] != "p0":
            tell(scratch, path, stage["name"], range(*stage["layers"]))


def machine(scratch: Path, name: str) -> tuple[str, ...]:
    """What makes a process see the files of a machine of its own."""
    return ("env", f"HF_HUB_CACHE={scratch / f'{name}-hub'}")


def tell(scratch: Path, path: Path, name: str, layers: range) -> None:
    """Print what one peer's disk took of the model, beside what its stage needs."""
    needed = sort_tensors(read_settings(path), read_tensors(path)).needed(layers)
    needed_bytes = sum(tensor.size_bytes for tensor in needed.values())
    weights = (scratch / name / "partial").rglob("*.safetensors")
    # Blocks, not lengths: what was not fetched is a hole.
    taken_bytes = sum(file.stat().st_blocks * 512 for file in weights)
    last = layers.stop - 1
    print(
        f"{name}: layers {layers.start}–{last}, {size_text(needed_bytes)} needed, "
        f"{size_text(taken_bytes)} on its disk: {taken_bytes / needed_bytes:.3f} (expected: 1.05 at most)"
    )


if __name__ == "__main__":
    main()
