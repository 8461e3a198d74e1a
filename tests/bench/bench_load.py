"""Loading a shard, against reading the same bytes from the disk: `python -m tests.bench.bench_load`.

Both end with the bytes in memory of their own, and begin with nothing of the files in the system's page cache
(Linux drops a file's pages when asked; elsewhere the files are warm, and the benchmark says so). The layers
are loaded from the whole model, and from a directory that holds nothing else of it. Without a model one of
1.2 GB is made. The goal: no more than 1.2 times as long.
"""

import argparse
import mmap
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from meshinfer.model.base import ModelFiles
from meshinfer.model.runtime import prepare_mlx

prepare_mlx()

from meshinfer.model.card import read_card  # noqa: E402
from meshinfer.model.safetensors import StoredTensor, read_tensors, weight_files  # noqa: E402
from meshinfer.model.shard import Shard  # noqa: E402
from tests.meshinfer.model.parts import fill, part_of  # noqa: E402
from tests.tiny import make_tiny_model  # noqa: E402


def main() -> None:
    """Compare in turns; print both medians and their ratio."""
    parser = argparse.ArgumentParser(description="Loading a shard, against reading the same bytes.")
    parser.add_argument("--model", type=Path, help="a directory; else one of 8 layers, 1.2 GB")
    parser.add_argument("--layers", default="1-6", metavar="FIRST-LAST")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    first, last = map(int, args.layers.split("-"))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        path = args.model or make_tiny_model(Path(scratch) / "whole", layers=8, hidden=2048, file_count=4)
        layers = range(first, last + 1)
        compare("the whole model", ModelFiles("bench", f"dir:{path}", path), layers, args.rounds)
        part = part_of(path, Path(scratch) / "part")
        fill(part, path, part.needed(layers))
        compare("a part of it", part.files, layers, args.rounds)


def compare(what: str, files: ModelFiles, layers: range, rounds: int) -> None:
    """Read and load in turns; print the medians."""
    card = read_card(files)
    tensors = _tensors_of(files.path, layers)
    size_bytes = sum(tensor.size_bytes for tensor in tensors)
    # The first load also imports what every later one has.
    Shard.load(files, card, layers).close()
    reads, loads = [], []
    for _ in range(rounds):
        _forget(files.path)
        reads.append(_timed(lambda: _read(tensors)))
        _forget(files.path)
        loads.append(_timed(lambda: Shard.load(files, card, layers)))
    cache = "dropped before each" if hasattr(os, "posix_fadvise") else "warm"
    print(f"layers {layers[0]}–{layers[-1]} of {what}, {size_bytes / 1e6:.0f} MB; page cache {cache}")
    print(
        f"read {median(reads):.3f} s ({size_bytes / median(reads) / 1e9:.2f} GB/s), "
        f"load {median(loads):.3f} s: ratio {median(loads) / median(reads):.2f} (goal ≤ 1.2)",
        flush=True,
    )


def _tensors_of(path: Path, layers: range) -> list[StoredTensor]:
    marks = tuple(f".layers.{layer}." for layer in layers)
    found = [tensor for name, tensor in read_tensors(path).items() if any(mark in name for mark in marks)]
    return sorted(found, key=lambda tensor: (tensor.file, tensor.offset))


def _read(tensors: list[StoredTensor]) -> list[memoryview]:
    """Each tensor into fresh memory."""
    read = []
    for tensor in tensors:
        memory = memoryview(mmap.mmap(-1, tensor.size_bytes))
        with tensor.file.open("rb", buffering=0) as stream:
            done = 0
            while done < tensor.size_bytes:
                done += os.preadv(stream.fileno(), [memory[done:]], tensor.offset + done)
        read.append(memory)
    return read


def _forget(path: Path) -> None:
    if not hasattr(os, "posix_fadvise"):
        return
    for file in weight_files(path):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _timed(work: Callable[[], object]) -> float:
    """Seconds until `work` is done; what it made goes afterwards."""
    began = time.perf_counter()
    made = work()
    took_s = time.perf_counter() - began
    if isinstance(made, Shard):
        made.close()
    return took_s


if __name__ == "__main__":
    main()
