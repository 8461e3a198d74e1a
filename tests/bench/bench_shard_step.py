"""Compare a decode step through Shard with mlx-lm's own generate_step, in one run, taking turns.

    python -m tests.bench.bench_shard_step MODEL_DIRECTORY [--tokens 24] [--rounds 5]

Prints the median milliseconds a token of each and their ratio; about 1 is expected. Without a directory a
tiny random model is used: then the ratio shows the cost of our own Python, which a real model hides.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from meshinfer.messages import Opening, Row, Sampling, SessionId
from meshinfer.model.base import ModelCard, ModelFiles, Step
from meshinfer.model.runtime import prepare_mlx
from meshinfer.topology.ring import PeerId
from tests.tiny import make_tiny_model

ORIGIN = PeerId("a" * 32)
PROMPT = tuple(range(40, 72))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    prepare_mlx()
    with tempfile.TemporaryDirectory() as scratch:
        path = options.model or make_tiny_model(Path(scratch))
        compare(path, options.tokens, options.rounds)


def compare(path: Path, tokens: int, rounds: int) -> None:
    """Time both in turns, so that both meet the same noise."""
    from mlx_lm.utils import load_model

    from meshinfer.model.shard import Shard

    card = card_of(path)
    shard = Shard.load(ModelFiles("bench", f"dir:{path}", path), card, range(card.layer_count))
    model, _ = load_model(path)
    assert through_shard(shard, 4)[1] == through_mlx_lm(model, 4)[1], "the answers must be equal"
    ours, theirs = [], []
    for _ in range(rounds):
        ours += through_shard(shard, tokens)[0]
        theirs += through_mlx_lm(model, tokens)[0]
    our_ms, their_ms = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    print(f"Shard {our_ms:.3f} ms a token, generate_step {their_ms:.3f} ms, ratio {our_ms / their_ms:.3f}")


def through_shard(shard: Any, tokens: int) -> tuple[list[float], list[int]]:
    """Seconds of each decode step after the first, and the answer."""
    session = SessionId("bench")
    opening = Opening(Sampling(), len(PROMPT), tokens, ())
    shard.forward(Step((Row(session, ORIGIN, 0, PROMPT[:-1], opening, False),)))
    last, answer, times = PROMPT[-1], [], []
    for position in range(len(PROMPT) - 1, len(PROMPT) - 1 + tokens):
        begin = time.perf_counter()
        (last,) = shard.forward(Step((Row(session, ORIGIN, position, (last,), None, True),))).tokens
        times.append(time.perf_counter() - begin)
        answer.append(last)
    shard.release(session)
    return times[1:], answer


def through_mlx_lm(model: Any, tokens: int) -> tuple[list[float], list[int]]:
    """The same, by mlx-lm, which builds the next step while it waits for this one."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    answer, times = [], []
    begin = 0.0
    for token, _ in generate_step(mx.array(list(PROMPT)), model, max_tokens=tokens):
        times.append(time.perf_counter() - begin)
        answer.append(int(token))
        begin = time.perf_counter()
    return times[1:], answer


def card_of(path: Path) -> ModelCard:
    """As much of a card as a shard looks at."""
    config = json.loads((path / "config.json").read_text())
    layers = (0,) * config["num_hidden_layers"]
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    kind = config["model_type"]
    return ModelCard(
        "bench", "dir:", "0" * 32, kind, "", hidden, vocabulary, 2048, layers, layers, 0, 0, 0, layers, (),
        tuple(range(1, len(layers))),
    )  # fmt: skip


if __name__ == "__main__":
    main()
