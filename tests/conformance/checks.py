"""Checks of one architecture: its card, and that rings of its shards compute what the whole model does."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from meshinfer.messages import Opening, Sampling, SessionId
from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.families import family_of
from meshinfer.topology.ring import PeerId
from tests.meshinfer.model.parts import fill, part_of
from tests.meshinfer.model.rings import VOCABULARY, Ring, SmallModel, loud_weights
from tests.meshinfer.model.test_resuming import broken, finish, rebuilt

from .configs import Settings
from .report import PASSED, Report

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from mlx.utils import tree_flatten  # isort: skip
from mlx_lm.models.cache import make_prompt_cache  # isort: skip
from mlx_lm.utils import load_model  # isort: skip
from meshinfer.model import engine  # isort: skip
from meshinfer.model.anatomy import Anatomy, owned_modules, survey  # isort: skip
from meshinfer.model.cache import leaves  # isort: skip
from meshinfer.model.shard import Shard  # isort: skip

CHUNK = 5
ANSWER = 4
PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
WHOLE_RUNS = 2
MOST_FETCHED = 1.05
"""Of the weights that a shard holds: what a machine may fetch for it."""
CLOSE = 2e-3
"""A batch may round otherwise than a session alone: by this share of the largest logit."""

Logits = list[Any]


class Wrong(AssertionError):
    """A check found something."""


class Subject:
    """One tiny model on disk, loaded whole and in parts; in each part all that it does not need is NaN."""

    def __init__(self, name: str, config: Settings, directory: Path) -> None:
        """Write it."""
        self._config = config
        self._directory = directory
        self._weights = loud_weights(config)
        self.path = self._write("whole", self._weights)
        self.card: ModelCard
        self._name = name
        self._shards: dict[range, Shard] = {}

    def read_card(self) -> None:
        """Read the card, as a peer would."""
        self.card = read_card(ModelFiles(self._name, "dir:here", self.path))

    def whole(self) -> Any:
        """The model as mlx-lm loads it."""
        return load_model(self.path)[0]

    def ring(self, cuts: Sequence[int]) -> Ring:
        """Shards cut before some layers; each is loaded once."""
        bounds = [0, *cuts, self.card.layer_count]
        return Ring([self._shard(range(*pair)) for pair in pairwise(bounds)])

    def _shard(self, layers: range) -> Shard:
        if layers not in self._shards:
            path = self.path if len(layers) == self.card.layer_count else self._spoilt(layers)
            shard = Shard.load(ModelFiles(self._name, "dir:here", path), self.card, layers)
            self._check_size(shard)
            self._shards[layers] = shard
        return self._shards[layers]

    def fetched(self, layers: range) -> Shard:
        """A shard out of a directory that holds nothing of the weights but what it needs."""
        partial = part_of(self.path, self._directory / f"part-{layers.start}-{layers.stop}")
        fetched_bytes = fill(partial, self.path, partial.needed(layers))
        shard = Shard.load(partial.files, self.card, layers)
        if fetched_bytes > MOST_FETCHED * shard.weight_bytes:
            raise Wrong(f"layers {layers} fetch {fetched_bytes} bytes, and hold {shard.weight_bytes}")
        return shard

    def _check_size(self, shard: Shard) -> None:
        """A peer holds no more than its plan has room for."""
        card, layers = self.card, shard.layers
        is_head, is_tail = layers.start == 0, layers.stop == card.layer_count
        ends_bytes = is_head * card.embedding_bytes + is_tail * card.tail_bytes
        shared_bytes = card.shared_bytes if is_head and is_tail else 0
        planned_bytes = sum(card.layer_bytes[layer] for layer in layers) + ends_bytes - shared_bytes
        if shard.weight_bytes > planned_bytes:
            raise Wrong(f"layers {layers} hold {shard.weight_bytes} bytes, the card says {planned_bytes}")

    @cached_property
    def anatomy(self) -> Anatomy:
        """What a survey of the whole model shows."""
        model = self.whole()
        return survey(model, family_of(type(model).__module__.rpartition(".")[2]))

    def _spoilt(self, layers: range) -> Path:
        owned = owned_modules(self.anatomy, layers)
        local = tuple(f"{self.anatomy.layer_paths[layer]}." for layer in layers)
        weights = {
            name: weight if _is_needed(name, local, owned) else _spoilt(weight)
            for name, weight in self._weights.items()
        }
        return self._write(f"{layers.start}-{layers.stop}", weights)

    def _write(self, name: str, weights: dict[str, Any]) -> Path:
        path = self._directory / name
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text(json.dumps(self._config))
        (path / "tokenizer.json").write_text("{}")
        mx.save_safetensors(str(path / "model.safetensors"), weights)
        return path


def _is_needed(name: str, local: tuple[str, ...], owned: frozenset[str]) -> bool:
    """Whether a shard needs a weight. A model looks at all its signs when it is built."""
    return name.startswith(local) or name.rpartition(".")[0] in owned or name.endswith(".signs")


def _spoilt(weight: Any) -> Any:
    if not mx.issubdtype(weight.dtype, mx.floating):
        return mx.zeros_like(weight)
    return mx.full(weight.shape, float("nan"), weight.dtype)


def run_whole(subject: Subject) -> None:
    """Run mlx-lm's whole model some times; what fails here cannot be held against a ring."""
    for _ in range(WHOLE_RUNS):
        _whole_logits(subject.whole())


def check(
    report: Report, subject: Subject, note: Callable[[Report], None], *, is_quick: bool = False
) -> None:
    """Do all checks that are possible; `note` is told before each. is_quick: in the last ring only."""

    def do(name: str, work: Callable[[], None]) -> None:
        report.phase = name
        note(report)
        try:
            work()
            report.checks[name] = PASSED
        except Exception as error:  # whatever it is, it is what the table is to show
            report.checks[name] = f"{type(error).__name__}: {error}"

    model = subject.whole()
    do("card", lambda: _check_card(subject, model))
    if report.checks["card"] != PASSED:
        return
    card = subject.card
    report.layers = card.layer_count
    report.forbidden = sorted({*range(1, card.layer_count)} - {*card.cuts})
    report.rings = [list(cuts) for cuts in _rings(card.cuts)][-1 if is_quick else 0 :]
    expected = _whole_logits(model)
    do("prefill", lambda: _check_answers(subject, report.rings, expected[:1]))
    do("decode", lambda: _check_answers(subject, report.rings, expected))
    do("lanes", lambda: _check_lanes(subject, report.rings))
    do("replay", lambda: _check_replay(subject, report.rings, report.remarks))
    do("parts", lambda: _check_parts(subject, report.rings, expected))


def _rings(cuts: Sequence[int]) -> Iterator[Sequence[int]]:
    """Each cut alone, two far apart, and all."""
    yield from ([cut] for cut in cuts)
    if len(cuts) > 2:
        yield [cuts[0], cuts[-1]]
    if len(cuts) > 1:
        yield cuts


def _check_card(subject: Subject, model: Any) -> None:
    subject.read_card()
    card = subject.card
    weights: Any = tree_flatten(model.parameters())
    total_bytes = sum(weight.nbytes for _, weight in weights)
    if card.total_bytes != total_bytes:
        raise Wrong(f"the card says {card.total_bytes} bytes, a whole load takes {total_bytes}")
    by_layer: list[Any] = [tree_flatten(layer.parameters()) for layer in model.layers]
    sizes = [sum(weight.nbytes for _, weight in held) for held in by_layer]
    if list(card.layer_bytes) != sizes:
        raise Wrong(f"the card says that layers take {card.layer_bytes} bytes, they take {sizes}")
    caches = make_prompt_cache(model)
    mx.eval(model(mx.array([PROMPT[:3]]), cache=caches))
    kept = _kept_by_layer(subject, caches) if card.cuts and all(map(_is_known, leaves(caches))) else None
    if kept not in (None, list(card.kv_bytes_per_token)):
        raise Wrong(f"the card says that layers keep {card.kv_bytes_per_token} of a token, they keep {kept}")


def _kept_by_layer(subject: Subject, caches: Sequence[Any]) -> list[int]:
    """What each layer's own caches keep; the first that uses one has it."""
    seen: set[int] = set()
    kept = []
    for used in subject.anatomy.layer_caches:
        kept.append(sum(_kept_bytes(caches[index]) for index in used - seen))
        seen |= used
    return kept


def _is_known(leaf: Any) -> bool:
    """Whether `_kept_bytes` can tell what a cache keeps: not where a family has a class of its own."""
    return bool(type(leaf).__module__ == make_prompt_cache.__module__)


def _kept_bytes(cache: Any) -> int:
    """What a layer's cache keeps of each token."""
    if hasattr(cache, "caches"):
        return sum(map(_kept_bytes, cache.caches))
    if getattr(cache, "keys", None) is None:
        return 0
    return sum(part.shape[1] * part.shape[3] * part.itemsize for part in (cache.keys, cache.values))


def _whole_logits(model: Any) -> Logits:
    """What mlx-lm's whole model makes of the prompt in chunks and of its own greedy answer."""
    cache = make_prompt_cache(model)
    begun = PROMPT[:-1]
    for begin in range(0, len(begun), CHUNK):
        mx.eval(model(mx.array([begun[begin : begin + CHUNK]]), cache=cache))
    token, made = PROMPT[-1], []
    for _ in range(1 + ANSWER):
        logits = model(mx.array([[token]]), cache=cache)[:, -1, :]
        mx.eval(logits)
        made.append(logits)
        token = _number(mx.argmax(logits))
    return made


def _check_answers(subject: Subject, rings: Sequence[Sequence[int]], expected: Logits) -> None:
    for cuts in [[], *rings]:
        with _overheard() as found:
            subject.ring(cuts).answer(PROMPT, len(expected), chunk=CHUNK)
        _compare(found, expected, cuts)


def _check_parts(subject: Subject, rings: Sequence[Sequence[int]], expected: Logits) -> None:
    """Machines that fetched only their parts compute what the whole model does."""
    shards: dict[range, Shard] = {}
    for cuts in [rings[0], rings[-1]] if rings else []:
        bounds = [0, *cuts, subject.card.layer_count]
        stages = [range(*pair) for pair in pairwise(bounds)]
        shards |= {layers: subject.fetched(layers) for layers in stages if layers not in shards}
        with _overheard() as found:
            Ring([shards[layers] for layers in stages]).answer(PROMPT, len(expected), chunk=CHUNK)
        _compare(found, expected, cuts)


LANES = ("ab", "ab", "abc", "bc", "cb", "bca", "b")
"""Sessions of one step after the other; who is not there waits."""


def _check_lanes(subject: Subject, rings: Sequence[Sequence[int]]) -> None:
    """Cut rings compute lanes as the whole shard does, to the bit, and that as each session alone, nearly."""
    prompts = {"a": PROMPT[:9], "b": PROMPT[2:3], "c": PROMPT[4:16]}
    alone = {}
    for name, prompt in prompts.items():
        with _overheard() as found:
            subject.ring([]).answer(prompt, sum(name in lane for lane in LANES), chunk=CHUNK)
        alone[name] = found
    expected = _lane_logits(subject.ring([]), prompts)
    turns = dict.fromkeys(prompts, 0)
    for lane, logits in zip(LANES, expected, strict=True):
        for row, name in enumerate(lane):
            one, turns[name] = alone[name][turns[name]], turns[name] + 1
            off = _largest(one[0] - logits[row])
            if not off <= CLOSE * _largest(one):
                raise Wrong(f"in lane {lane} session {name} is off by {off:g} from what it is alone")
    for cuts in rings:
        _compare(_lane_logits(subject.ring(cuts), prompts), expected, cuts)


def _lane_logits(ring: Ring, prompts: dict[str, tuple[int, ...]]) -> Logits:
    openings = {
        SessionId(name): Opening(Sampling(), len(prompt), len(LANES), ()) for name, prompt in prompts.items()
    }
    fed = {SessionId(name): prompt[-1] for name, prompt in prompts.items()}
    for name, prompt in prompts.items():
        ring.prefill(SessionId(name), prompt[:-1], openings[SessionId(name)], CHUNK)
    made = []
    for lane in LANES:
        with _overheard() as found:
            fed |= ring.lane({SessionId(name): fed[SessionId(name)] for name in lane}, openings)
        # One array, or one for each session where they were computed one by one.
        made.append(mx.concatenate(found))
    for name in openings:
        ring.release(name)
    return made


A, B, C = (PeerId(letter * 32) for letter in "abc")


def _check_replay(subject: Subject, rings: Sequence[Sequence[int]], remarks: list[str]) -> None:
    """A session goes on in another ring: of its tokens alone, and of what the earlier ring kept."""
    with _overheard() as straight:
        answer = subject.ring([]).answer(PROMPT, ANSWER, chunk=CHUNK)
    expected = _replayed(subject.ring([]), answer[:2])
    off = _largest(expected[0] - straight[2])
    if not off <= CLOSE * _largest(straight[2]):
        remarks.append(f"mlx-lm's whole model is off by {off:g} where the same tokens come in other pieces")
    for cuts in rings:
        _compare(_replayed(subject.ring(cuts), answer[:2]), expected, cuts)
    if rings:
        _check_rebuilding(subject)


def _replayed(ring: Ring, answered: Sequence[int]) -> Logits:
    """The logits behind the prompt and some tokens of an answer, in a ring that has not seen them yet."""
    again = SessionId("again")
    count = len(answered)
    opening = Opening(Sampling(), len(PROMPT) + count, ANSWER - count, (), count)
    with _overheard() as found:
        ring.prefill(again, (*PROMPT, *answered[:-1]), opening, CHUNK)
        ring.step(again, answered[-1:], opening, True)
    ring.release(again)
    return found


def _check_rebuilding(subject: Subject) -> None:
    """Caches that were kept are taken over by a ring that is cut otherwise, and the rest is filled in."""
    card, cuts = subject.card, subject.card.cuts
    small = SmallModel(ModelFiles(card.name, "dir:here", subject.path), replace(card))
    expected = small.reference(PROMPT, 9, chunk=CHUNK)
    first, last, count = cuts[0], cuts[-1], card.layer_count
    before = {A: range(first), B: range(first, count)}
    if first != last:
        before = {A: range(first), B: range(first, last), C: range(last, count)}
    for after in ({A: range(count)}, {B: range(count)}, {A: range(last), B: range(last, count)}):
        state = broken(small, before, Sampling())
        ring, made = rebuilt(state, after)
        found = finish(ring, state, made.length if made is not None else 0)
        if found != expected:
            raise Wrong(f"rebuilt from {before} as {after} the answer is {found}, expected is {expected}")


@contextmanager
def _overheard() -> Iterator[Logits]:
    """The logits that tokens are chosen by meanwhile, one array (rows, vocabulary) a step."""
    heard: Logits = []
    choose = engine.__dict__["sample_rows"]

    def listen(logits: Any, draws: Any) -> Any:
        heard.append(logits)
        return choose(logits, draws)

    engine.__dict__["sample_rows"] = listen
    try:
        yield heard
    finally:
        engine.__dict__["sample_rows"] = choose
        mx.eval(heard)


def _number(array: Any) -> int:
    return int(array.item())


def _largest(array: Any) -> float:
    largest: Any = mx.max(mx.abs(array))
    return float(largest.item())


def _compare(found: Logits, expected: Logits, cuts: Sequence[int]) -> None:
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        if not mx.array_equal(one, other).item():
            off = _largest(one - other)
            raise Wrong(f"cut before {cuts}, logits of step {step} are off by {off:g}")
