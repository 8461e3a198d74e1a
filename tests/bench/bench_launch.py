"""Compare rings of two and of four processes with mlx-lm's pipeline under `mlx.launch --backend ring`.

    python -m tests.bench.bench_launch [--model smollm2|tiny] [--peers 2,4] [--tokens 48] [--rounds 5]

The time between two tokens of one reader: medians over each round, then over the rounds, taking turns. The
model is one that mlx-lm can pipeline: SmolLM2 in 4 bits, written as a qwen2 whose biases are 0, which
computes the same; or a tiny random one, whose step is nearly all software. Expected: mlx.launch takes at
least 1.5 times as long.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from tests.bench.altered import Weights, altered
from tests.bench.bench_ring_step import compare, show, through
from tests.bench.launched import PROMPT
from tests.mesh.processes import ring
from tests.smollm2 import smollm2
from tests.tiny import make_tiny_model

START_S = 120.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2,tiny", help="of smollm2, tiny")
    parser.add_argument("--peers", default="2,4")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name in options.model.split(","):
        for peers in map(int, options.peers.split(",")):
            with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
                model = _tiny(Path(scratch)) if name == "tiny" else _smollm2(Path(scratch))
                mlx = stack.enter_context(_launched(model, peers))
                memory_gb = 0.5 if name == "tiny" else 1.0
                mesh = Path(scratch) / "mesh"
                first = stack.enter_context(ring(peers, model, mesh, memory_gb=memory_gb, is_quiet=True))[0]
                contestants = {f"ring of {peers}": through(first, PROMPT), f"mlx.launch, {peers} ranks": mlx}
                print(name)
                show(compare(contestants, options.tokens, options.rounds))


def _tiny(scratch: Path) -> Path:
    return make_tiny_model(scratch / "tiny", layers=8, family="qwen2", file_count=2)


def _smollm2(scratch: Path) -> Path:
    """SmolLM2 as a qwen2, which has biases that a llama lacks."""

    def add_biases(weights: Weights) -> None:
        for name in [*weights]:
            if name.endswith(("q_proj.scales", "k_proj.scales", "v_proj.scales")):
                bias = np.zeros(len(weights[name]), np.float32)
                weights[name.removesuffix("scales") + "bias"] = bias

    config = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
    return altered(smollm2("q4").path, scratch / "smollm2", config, add_biases)


@contextmanager
def _launched(model: Path, ranks: int) -> Iterator[Callable[[int], Iterator[bytes]]]:
    """Start mlx-lm's pipeline; yield what has it answer, a byte a token."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        server.settimeout(START_S)
        worker = Path(__file__).with_name("launched.py")
        port = server.getsockname()[1]
        command = [
            *(str(Path(sys.executable).with_name("mlx.launch")), "-n", str(ranks), "--backend", "ring"),
            *("--starting-port", str(_free_ports(ranks)), "--cwd", str(Path.cwd())),
            *(sys.executable, str(worker), str(model), str(port)),
        ]
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            try:
                accepted = [stack.enter_context(server.accept()[0]) for _ in range(ranks)]
            except TimeoutError:
                log.seek(0)
                raise SystemExit(f"mlx.launch did not come up:\n{log.read()}") from None
            by_rank = {sock.recv(1)[0]: sock for sock in accepted}

            def answer(tokens: int) -> Iterator[bytes]:
                for sock in by_rank.values():
                    sock.sendall(f"{tokens}\n".encode())
                for _ in range(tokens):
                    yield by_rank[0].recv(1)

            yield answer
        finally:
            # They end when nobody orders any more.
            stack.pop_all().close()
            process.wait(START_S)


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on now."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return int(first)


if __name__ == "__main__":
    main()
