"""Compare what parts of a model cost with the plain work in it: reading, hashing, fetching.

    python -m tests.bench.bench_parts [MODEL_DIRECTORY] [--rounds 3]

Without a directory the model is SmolLM2 in float32, 538 MB. Files lie in the page cache. Prints medians
over the rounds. What loading costs is `bench_load`'s, what peers give each other `bench_transfer`'s.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from meshinfer.model.base import ModelFiles
from meshinfer.model.blueprint import blueprint_of
from meshinfer.model.card import read_card
from meshinfer.model.hashing import hash_files
from meshinfer.model.hashstore import HashStore
from meshinfer.model.hub import Repository
from meshinfer.model.partial import lay_out
from meshinfer.model.ranges import HubFiles
from meshinfer.model.remote import fetch_from_hub, remote_blueprint
from meshinfer.model.runtime import prepare_mlx
from tests.fakehub import fake_hub
from tests.smollm2 import smollm2

ROW = "{:<58}{:>10}{:>12}"
CHUNK_BYTES = 4 << 20


def unheard(what: str, done: int, total: int) -> None:
    """Take a report."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare_mlx()
    path = options.model.resolve() if options.model else smollm2("float32").path
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(path, Path(scratch), options.rounds)
        print(ROW.format("", "seconds", "MB/s"))
        bench.hashing()
        bench.laying_out()
        bench.fetching()


class Bench:
    """A model, and what is done with it."""

    def __init__(self, path: Path, scratch: Path, rounds: int) -> None:
        self.scratch, self.rounds = scratch, rounds
        self.files = ModelFiles(path.name, f"dir:{path}", path)
        self.store = HashStore(scratch)
        self.weights = sorted(path.glob("model*.safetensors"))
        self.card = read_card(self.files, self.store)

    def show(self, what: str, size_bytes: int, work: Callable[[], object]) -> float:
        """Do some work, print and return how long it takes."""
        taken = []
        for _ in range(self.rounds):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
        median_s = statistics.median(taken)
        speed = f"{size_bytes / median_s / 1e6:.0f}" if size_bytes else ""
        print(ROW.format(what, f"{median_s:.3f}", speed), flush=True)
        return median_s

    def hashing(self) -> None:
        """Read all weights, and hash them and their tensors."""
        total_bytes = sum(file.stat().st_size for file in self.weights)
        self.show("read the weight files", total_bytes, lambda: read_all(self.weights))
        self.show("SHA-256 of the weight files, one thread", total_bytes, lambda: sha256_all(self.weights))
        self.show(
            "SHA-256 of files and tensors in one pass",
            total_bytes,
            lambda: hash_files(self.weights, "checking", unheard),
        )
        self.show("card of a model that was hashed before", 0, lambda: read_card(self.files, self.store))

    def laying_out(self) -> None:
        """Make a directory without tensors."""
        blueprint = blueprint_of(self.files, self.store)

        def lay() -> None:
            lay_out(blueprint, self.scratch / "empty", "m", "dir:m").drop()

        self.show(f"lay out and drop a model of {self.card.layer_count} layers", 0, lay)

    def fetching(self) -> None:
        """Fetch half of the layers from a hub on loopback, and the same bytes as one plain body."""
        with fake_hub(self.files.path) as endpoint:
            hub = HubFiles(Repository("org/name"), endpoint)
            blueprint, _ = remote_blueprint(hub, self.scratch / "hub")
            partial = lay_out(blueprint, self.scratch / "fetched", "m", "dir:m")
            layers = range(self.card.layer_count // 2)
            size_bytes = partial.missing_bytes(partial.needed(layers))

            def fetch() -> None:
                lay_out(blueprint, self.scratch / "fetched", "m", "dir:m").drop()
                fresh = lay_out(blueprint, self.scratch / "fetched", "m", "dir:m")
                fetch_from_hub(fresh, fresh.needed(layers), hub, unheard, lambda: True)

            plain_s = self.show(
                "plain GET of half the model into a file, and fsync",
                size_bytes,
                lambda: plain_get(endpoint, self.weights[0].name, size_bytes, self.scratch / "plain"),
            )
            taken_s = self.show("fetch the first half of the layers from the hub", size_bytes, fetch)
            print(ROW.format("  ratio", f"{taken_s / plain_s:.2f}", ""))


def read_all(files: Iterable[Path]) -> None:
    """Read files and forget what they hold."""
    buffer = bytearray(CHUNK_BYTES)
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def sha256_all(files: Iterable[Path]) -> None:
    """Hash files one after the other."""
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")


def plain_get(endpoint: str, name: str, size_bytes: int, target: Path) -> None:
    """Get the beginning of a file in one body."""
    from http.client import HTTPConnection

    connection = HTTPConnection(urlsplit(endpoint).netloc)
    connection.request(
        "GET", f"/org/name/resolve/main/{name}", headers={"Range": f"bytes=0-{size_bytes - 1}"}
    )
    response, buffer = connection.getresponse(), bytearray(1 << 20)
    with target.open("wb") as stream:
        while count := response.readinto(buffer):
            stream.write(memoryview(buffer)[:count])
        stream.flush()
        os.fsync(stream.fileno())
    connection.close()


if __name__ == "__main__":
    main()
