"""Compare a ring of two processes with mlx-lm in one: eight readers, a long prompt, a chat's next turn.

    python -m tests.bench.bench_readers [MODEL_DIRECTORY] [--rounds 5] [--only readers,prompt,turn]
        [--vocabulary 2048]

Readers: tokens a second of all of them together, while all of them read; mlx-lm's BatchGenerator gets prompts
of the same length at once. Prompt: the time to the first token of a prompt of
--prompt tokens; mlx-lm's own loop gets the same. Turn: the time to the first token of a chat's second turn,
over that of its first, in the same ring. Both sides are up all the time and take turns, so that they meet the
same noise. Before all that one reader warms the ring up, which measures its stages and cuts the layers anew
where that makes it faster. Without a directory the model is SmolLM2, quantised. Expected: readers at least
1.6 times as many tokens, the prompt at least 1.7 times as fast, the second turn at most 0.15 of the first.

SmolLM2's projection to its vocabulary costs as much as eight of its thirty layers. The tail of a ring that
decodes evenly gets fewer layers for it, and prompts, which don't need it, find the head with more than half
of them. --vocabulary cuts the projection down to what it weighs in a large model.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.bench.altered import Weights, altered
from tests.bench.bench_ring_step import ratio
from tests.mesh.processes import PeerProcess, json_of, ring
from tests.smollm2 import smollm2

Prompt = tuple[int, ...]

WARM_TOKENS = 100
"""As many as every stage needs to tell its speed, and to take up a ring that is cut by it."""


class Contest:
    """Prompts that nobody has seen, for a ring and for mlx-lm in this process."""

    def __init__(self, path: Path, peer: PeerProcess, tokens: int, vocabulary: int) -> None:
        from meshinfer.model.runtime import prepare_mlx

        prepare_mlx()
        import mlx_lm

        self._model = mlx_lm.load(str(path))[0]
        self._vocab_size = vocabulary
        self._random = random.Random(1)
        self._peer = peer
        self._tokens = tokens

    def prompt(self, tokens: int) -> Prompt:
        """Token ids that begin like nobody else's."""
        return tuple(self._random.randrange(100, self._vocab_size) for _ in range(tokens))

    def warm_up(self) -> None:
        """Let the ring measure itself."""
        self._read(self.prompt(2), WARM_TOKENS)

    def ring_readers(self, prompts: Sequence[Prompt]) -> float:
        """Tokens a second of all who read at once through the ring."""
        with ThreadPoolExecutor(len(prompts)) as readers:
            arrivals = list(readers.map(self._read, prompts))
        return self._rate(arrivals)

    def mlx_readers(self, prompts: Sequence[Prompt]) -> float:
        """The same by mlx-lm's own batching."""
        from mlx_lm.generate import BatchGenerator

        arrivals: dict[int, list[float]] = {}
        generator = BatchGenerator(self._model, max_tokens=self._tokens)
        generator.insert([list(prompt) for prompt in prompts])
        while responses := generator.next_generated():
            now_s = time.perf_counter()
            for response in responses:
                arrivals.setdefault(response.uid, []).append(now_s)
            if all(len(each) >= self._tokens for each in arrivals.values()) and len(arrivals) == len(prompts):
                break
        generator.close()
        return self._rate(list(arrivals.values()))

    def ring_first_token_s(self, prompt: Prompt) -> float:
        """Seconds from a question to its first token, through the ring."""
        began_s = time.perf_counter()
        return self._read(prompt, tokens=1)[0] - began_s

    def mlx_first_token_s(self, prompt: Prompt) -> float:
        """The same by mlx-lm's own loop."""
        import mlx.core as mx
        from mlx_lm.generate import generate_step

        began_s = time.perf_counter()
        next(iter(generate_step(mx.array(prompt), self._model, max_tokens=1)))
        return time.perf_counter() - began_s

    def turns_s(self, prompt: Prompt) -> tuple[float, float]:
        """Seconds to the first token of a chat's first turn, and of its second."""
        first_s = self.ring_first_token_s(prompt)
        return first_s, self.ring_first_token_s((*prompt, *self.prompt(20)))

    def _read(self, prompt: Prompt, tokens: int = 0) -> list[float]:
        wanted = tokens or self._tokens
        with self._peer.stream(prompt, wanted, ignore_eos=True) as pieces:
            return [time.perf_counter() for _ in pieces]

    def _rate(self, arrivals: Sequence[Sequence[float]]) -> float:
        """Tokens a second while all of them read: from the last first arrival to the first last one.

        A piece of text that arrives may stand for several tokens.
        """
        begin_s, end_s = max(each[0] for each in arrivals), min(each[-1] for each in arrivals)
        tokens = sum(
            sum(begin_s < at_s <= end_s for at_s in each) * (self._tokens - 1) / (len(each) - 1)
            for each in arrivals
        )
        return tokens / (end_s - begin_s)


def take_turns(
    rounds: int, one: Callable[[], float], other: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Call both in each round, now the one first and now the other; a first round is not counted."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(-1, rounds):
        pair = [(0, one), (1, other)]
        for which, call in pair if number % 2 else reversed(pair):
            value = call()
            print(f"round {number + 1} of {rounds}: {value:.2f}", file=sys.stderr)
            if number >= 0:
                found[which].append(value)
    return found


def cut_vocabulary(source: Path, path: Path, tokens: int) -> Path:
    """Copy a model with tied embeddings and a BPE tokenizer, with the first so many tokens only."""

    def cut(weights: Weights) -> None:
        for name in [each for each in weights if ".embed_tokens." in each]:
            weights[name] = weights[name][:tokens].copy()

    altered(source, path, {"vocab_size": tokens}, cut)
    file = path / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = {token: number for token, number in content["model"]["vocab"].items() if number < tokens}
    merges = [pair for pair in content["model"]["merges"] if {*pair, "".join(pair)} <= vocabulary.keys()]
    content["model"] |= {"vocab": vocabulary, "merges": merges}
    content["added_tokens"] = [added for added in content["added_tokens"] if added["id"] < tokens]
    file.write_text(json.dumps(content))
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=40, help="of each reader's answer")
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=1024, help="tokens of the long prompt")
    parser.add_argument("--vocabulary", type=int, default=0, help="cut it down to so many tokens")
    parser.add_argument("--only", default="readers,prompt,turn")
    options = parser.parse_args()
    only = options.only.split(",")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        path = options.model.resolve() if options.model else smollm2("q4").path
        if options.vocabulary:
            path = cut_vocabulary(path, Path(scratch) / "model", options.vocabulary)
        vocabulary = json.loads((path / "config.json").read_text())["vocab_size"]
        mesh = ring(2, path, Path(scratch) / "mesh", memory_gb=1.0, is_quiet=True)
        peers = stack.enter_context(mesh)
        contest = Contest(path, peers[0], options.tokens, vocabulary)
        contest.warm_up()
        stages = json_of(peers[0].get("/mesh"))["ring"]
        print("layers of the ring of two:", ", ".join(str(len(range(*stage["layers"]))) for stage in stages))
        if "readers" in only:

            def prompts() -> list[Prompt]:
                return [contest.prompt(2) for _ in range(options.readers)]

            ours, theirs = take_turns(
                options.rounds,
                lambda: contest.ring_readers(prompts()),
                lambda: contest.mlx_readers(prompts()),
            )
            _show(f"{options.readers} readers, tokens a second", ours, theirs, "{:.1f}", ratio(ours, theirs))
        if "prompt" in only:
            ours, theirs = take_turns(
                options.rounds,
                lambda: contest.ring_first_token_s(contest.prompt(options.prompt)),
                lambda: contest.mlx_first_token_s(contest.prompt(options.prompt)),
            )
            _show(f"prompt of {options.prompt}, seconds", ours, theirs, "{:.2f}", ratio(theirs, ours))
        if "turn" in only:
            turns = [contest.turns_s(contest.prompt(1000)) for _ in range(options.rounds)]
            first, second = [each[0] for each in turns], [each[1] for each in turns]
            print(
                f"{'second turn of a chat of 1,000 tokens':<40}first {statistics.median(first):.2f} s, "
                f"second {statistics.median(second):.2f} s, ratio {ratio(second, first):.3f}"
            )


def _show(name: str, ours: list[float], theirs: list[float], form: str, times: float) -> None:
    medians = [form.format(statistics.median(each)) for each in (ours, theirs)]
    print(
        f"{name:<40}ring of two {medians[0]}, mlx-lm in one process {medians[1]}, {times:.2f} times as fast"
    )


if __name__ == "__main__":
    main()
