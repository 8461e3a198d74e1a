"""Compare two ways back to an answer whose middle stage is gone: out of what was kept, and from its tokens.

    python -m tests.bench.bench_rebuild [MODEL_DIRECTORY] [--tokens 1024] [--rounds 5]

A ring of three thirds computes a prompt; the middle one is taken away, and the other two share its layers.
Both ways are timed in turns, from there to the next token, in one process: compute alone, no network. The
first computes a third of the layers, so about a third of the time is expected.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from meshinfer.messages import Holding, Opening, Row, Sampling, SessionId, Tensor
from meshinfer.model.base import ModelCard, ModelFiles, Step
from meshinfer.model.runtime import prepare_mlx
from meshinfer.scheduling.rebuilding import plan_rebuilding
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from tests.bench.bench_shard_step import card_of
from tests.tiny import make_tiny_model

CHUNK = 256
HEAD, MIDDLE, TAIL = (PeerId(letter * 32) for letter in "abc")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path, help="in mlx-lm's format; else a random one is made")
    parser.add_argument("--tokens", type=int, default=1024, help="of the prompt")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    prepare_mlx()
    with tempfile.TemporaryDirectory() as scratch:
        path = options.model or make_tiny_model(Path(scratch), layers=24, hidden=512, context_tokens=8192)
        compare(path, options.tokens, options.rounds)


def compare(path: Path, tokens: int, rounds: int) -> None:
    """Time both in turns, so that both meet the same noise."""
    from meshinfer.model.shard import Shard

    card, files = card_of(path), ModelFiles("bench", f"dir:{path}", path)
    count = card.layer_count
    thirds = [range(count // 3), range(count // 3, 2 * count // 3), range(2 * count // 3, count)]
    before = [Shard.load(files, card, layers) for layers in thirds]
    halves = [range(count // 2), range(count // 2, count)]
    after = [Shard.load(files, card, layers) for layers in halves]
    prompt = tuple(3 + (7 * index) % 200 for index in range(tokens))
    kept_s, anew_s = [], []
    for number in range(rounds):
        took_s, token = out_of_what_was_kept(card, before, after, halves, prompt, number)
        kept_s.append(took_s)
        took_s, same = from_the_tokens(after, prompt, number)
        anew_s.append(took_s)
        assert token == same, "both ways must lead to the same token"
    one, other = statistics.median(kept_s), statistics.median(anew_s)
    print(
        f"{tokens} tokens, {count} layers: out of what was kept {one * 1e3:.0f} ms, "
        f"from the tokens {other * 1e3:.0f} ms, ratio {one / other:.2f}"
    )


def out_of_what_was_kept(
    card: ModelCard,
    before: list[Any],
    after: list[Any],
    halves: list[range],
    prompt: tuple[int, ...],
    number: int,
) -> tuple[float, int]:
    """Seconds from the loss to the next token, and that token."""
    old, new = SessionId(f"old.{number}"), SessionId(f"new.{number}")
    opening = Opening(Sampling(), len(prompt), 1, ())
    prefill(before, old, opening, prompt[:-1])
    began_s = time.perf_counter()
    kept = {HEAD: before[0].take(old), TAIL: before[2].take(old)}
    before[1].release(old)
    holdings = [
        Holding(peer, k.layers.start, k.layers.stop, k.length, k.is_trimmable, k.handed_on)
        for peer, k in kept.items()
    ]
    stages = zip((HEAD, TAIL), halves, strict=True)
    ring = Ring(card.layer_count, tuple(Stage(p, Run(1), r.start, r.stop) for p, r in stages))
    made = plan_rebuilding(ring, holdings, len(prompt))
    assert made is not None
    (fill,) = made.fills
    run = range(fill.first_layer, fill.end_layer)
    parts = [range(max(run.start, half.start), min(run.stop, half.stop)) for half in halves]
    for shard, peer, part in zip(after, (HEAD, TAIL), parts, strict=True):
        shard.resume(new, opening, prompt[: made.length], kept[peer], (part,))
    for begin in range(0, made.length, CHUNK):
        tokens = prompt[begin : min(begin + CHUNK, made.length)]
        sent: tuple[Tensor, ...] = after[0].handed_on(new, begin, begin + len(tokens))
        for shard, part in zip(after, parts, strict=True):
            sent = shard.fill(new, part, begin, tokens, sent)
    token = step(after, new, made.length, prompt[made.length :], None, is_sampled=True)
    took_s = time.perf_counter() - began_s
    for shard in after:
        shard.release(new)
    assert token is not None
    return took_s, token


def from_the_tokens(after: list[Any], prompt: tuple[int, ...], number: int) -> tuple[float, int]:
    """The same where nothing was kept."""
    session = SessionId(f"anew.{number}")
    opening = Opening(Sampling(), len(prompt), 1, ())
    began_s = time.perf_counter()
    prefill(after, session, opening, prompt[:-1])
    token = step(after, session, len(prompt) - 1, prompt[-1:], None, is_sampled=True)
    took_s = time.perf_counter() - began_s
    for shard in after:
        shard.release(session)
    assert token is not None
    return took_s, token


def prefill(shards: list[Any], session: SessionId, opening: Opening, tokens: tuple[int, ...]) -> None:
    """Compute a prompt in pieces."""
    for begin in range(0, len(tokens), CHUNK):
        first = opening if begin == 0 else None
        step(shards, session, begin, tokens[begin : begin + CHUNK], first, is_sampled=False)


def step(
    shards: list[Any],
    session: SessionId,
    position: int,
    tokens: tuple[int, ...],
    opening: Opening | None,
    *,
    is_sampled: bool,
) -> int | None:
    """Send some tokens through all shards."""
    tensors: tuple[Tensor, ...] = ()
    token: int | None = None
    for shard in shards:
        result = shard.forward(Step((Row(session, HEAD, position, tokens, opening, is_sampled),), tensors))
        tensors, (token,) = result.tensors, result.tokens or (None,)
    return token


if __name__ == "__main__":
    main()
