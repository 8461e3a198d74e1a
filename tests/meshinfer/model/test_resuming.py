"""Sessions that go on in other shards, out of what the earlier ones kept."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Holding, Opening, Sampling, SessionId, Tensor
from meshinfer.scheduling.rebuilding import Rebuilding, plan_rebuilding
from meshinfer.topology.ring import PeerId, Run, Stage
from meshinfer.topology.ring import Ring as Plan
from tests.meshinfer.model.rings import CONFIGS, VOCABULARY, Ring, SmallModel, make_model, make_ring

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from meshinfer.model.kept import HandedOn, KeptSession, LaneHandedOn  # isort: skip
from meshinfer.model.shard import Shard  # isort: skip

A, B, C, D = (PeerId(letter * 32) for letter in "abcd")
PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
S, AGAIN = SessionId("s"), SessionId("again")
CHUNK = 5
COUNT = 9
BEFORE = 4
"""Tokens of the answer that are there when the ring breaks."""

Places = dict[PeerId, range]


@dataclass
class Broken:
    """A session in the middle of its answer whose shards were taken away. missed: by which stages a step."""

    model: SmallModel
    sampling: Sampling
    answer: list[int]
    kept: dict[PeerId, KeptSession | None]

    @property
    def tokens(self) -> tuple[int, ...]:
        return (*PROMPT, *self.answer)


def opening(sampling: Sampling, answered: int = 0) -> Opening:
    return Opening(sampling, len(PROMPT) + answered, COUNT - answered, (), answered)


def broken(model: SmallModel, places: Places, sampling: Sampling, missed: int = 0) -> Broken:
    """Answer for a while; the last `missed` stages did not get the last step."""
    ring = Ring([Shard.load(model.files, model.card, layers) for layers in places.values()])
    begun = opening(sampling)
    for begin in range(0, len(PROMPT) - 1, CHUNK):
        ring.step(S, PROMPT[begin : min(begin + CHUNK, len(PROMPT) - 1)], begun, False)
    answer: list[int] = []
    for _ in range(BEFORE):
        token = ring.step(S, (answer[-1] if answer else PROMPT[-1],), begun, True)
        assert token is not None
        answer.append(token)
    if missed:
        ring.shards = ring.shards[:-missed]
        ring.step(S, (answer[-1],), begun, True)
        ring.shards = [*ring.shards, *[Shard.load(model.files, model.card, range(1))] * missed]
    kept = {peer: shard.take(S) for peer, shard in zip(places, ring.shards, strict=True)}
    for shard in ring.shards:
        shard.close()
    return Broken(model, sampling, answer, kept)


def rebuilt(state: Broken, places: Places) -> tuple[Ring, Rebuilding | None]:
    """Rings as stages would rebuild them on the wire, with the session begun if anything was kept."""
    plan = Plan(
        state.model.card.layer_count, tuple(Stage(p, Run(1), r.start, r.stop) for p, r in places.items())
    )
    holdings = [
        Holding(peer, k.layers.start, k.layers.stop, k.length, k.is_trimmable, k.handed_on)
        for peer, k in state.kept.items()
        if k is not None and peer in places
    ]
    ring = Ring([Shard.load(state.model.files, state.model.card, layers) for layers in places.values()])
    made = plan_rebuilding(plan, holdings, len(state.tokens))
    if made is None:
        return ring, None
    shards = dict(zip(places, ring.shards, strict=True))
    runs = [range(fill.first_layer, fill.end_layer) for fill in made.fills]
    again, tokens = opening(state.sampling, len(state.answer)), state.tokens[: made.length]
    for peer, shard in shards.items():
        missing = tuple(part for run in runs if (part := within(run, shard.layers)))
        shard.resume(AGAIN, again, tokens, state.kept.get(peer), missing)
    for fill, run in zip(made.fills, runs, strict=True):
        for begin in range(0, made.length, CHUNK):
            end, sent = min(begin + CHUNK, made.length), tuple[Tensor, ...]()
            if run.start:
                sent = shards[fill.source].handed_on(AGAIN, begin, end)
            for shard in shards.values():
                if part := within(run, shard.layers):
                    sent = shard.fill(AGAIN, part, begin, tokens[begin:end], sent)
    ring.lengths[AGAIN] = made.length
    return ring, made


def within(run: range, layers: range) -> range:
    return range(max(run.start, layers.start), min(run.stop, layers.stop))


def finish(ring: Ring, state: Broken, length: int) -> list[int]:
    """The rest of the answer."""
    again, answer = opening(state.sampling, len(state.answer)), list(state.answer)
    if state.tokens[length:-1]:
        ring.step(AGAIN, state.tokens[length:-1], again, False)
    while len(answer) < COUNT:
        token = ring.step(AGAIN, (answer[-1],), again, True)
        assert token is not None
        answer.append(token)
    return answer


THREE: Places = {A: range(2), B: range(2, 3), C: range(3, 4)}
CHANGES: dict[str, Places] = {
    "same": THREE,
    "middle-gone": {A: range(3), C: range(3, 4)},
    "middle-gone-to-the-tail": {A: range(2), C: range(2, 4)},
    "tail-gone": {A: range(2), B: range(2, 4)},
    "head-gone": {B: range(3), C: range(3, 4)},
    "all-to-one": {A: range(4)},
    "spare": {A: range(2), D: range(2, 3), C: range(3, 4)},
    "a-longer-head-and-a-spare": {A: range(3), D: range(3, 4)},
}


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind != "gemma4-reusing"])
def test_an_answer_goes_on_as_if_nothing_had_happened(kind: str, change: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, kind)
    expected = model.reference(PROMPT, COUNT, chunk=CHUNK)
    state = broken(model, THREE, Sampling())
    ring, made = rebuilt(state, CHANGES[change])
    assert made is not None
    assert finish(ring, state, made.length) == expected


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return make_model(tmp_path_factory.mktemp("llama"))


SAMPLED = Sampling(temperature=0.8, top_p=0.95, repetition_penalty=1.1, presence_penalty=0.3, seed=11)


@pytest.mark.parametrize("missed", [0, 1, 2])
def test_what_is_drawn_at_random_goes_on_too_wherever_the_last_step_was_lost(
    llama: SmallModel, missed: int
) -> None:
    expected = make_ring(llama).answer(PROMPT, COUNT, chunk=CHUNK, sampling=SAMPLED)
    state = broken(llama, THREE, SAMPLED, missed)
    ring, made = rebuilt(state, CHANGES["middle-gone"])
    assert made is not None
    assert made.length == len(PROMPT) + BEFORE - 1
    assert finish(ring, state, made.length) == expected


def test_a_ring_that_breaks_twice_still_has_what_it_needs(llama: SmallModel) -> None:
    expected = llama.reference(PROMPT, COUNT, chunk=CHUNK)
    state = broken(llama, THREE, Sampling())
    ring, made = rebuilt(state, CHANGES["spare"])
    assert made is not None
    again = opening(Sampling(), len(state.answer))
    token = ring.step(AGAIN, (state.answer[-1],), again, True)
    assert token is not None
    kept = {peer: shard.take(AGAIN) for peer, shard in zip(CHANGES["spare"], ring.shards, strict=True)}
    then = replace(state, answer=[*state.answer, token], kept=kept)
    lengths = [each.handed_on for each in kept.values() if each is not None]
    assert lengths == [len(then.tokens) - 1, len(then.tokens) - 1, 0]
    ring, made = rebuilt(then, CHANGES["all-to-one"])
    assert made is not None
    assert made.fills[0].first_layer == 2
    assert finish(ring, then, made.length) == expected


def test_a_session_on_its_way_back_is_neither_computed_nor_kept(llama: SmallModel) -> None:
    state = broken(llama, THREE, Sampling())
    shard = Shard.load(llama.files, llama.card, range(3))
    again = opening(Sampling(), BEFORE)
    shard.resume(AGAIN, again, state.tokens[:-1], state.kept[A], (range(2, 3),))
    with pytest.raises(StageFailed, match="not whole again"):
        Ring([shard], {AGAIN: len(state.tokens) - 1}).step(AGAIN, state.tokens[-1:], again, True)
    assert shard.take(AGAIN) is None


@pytest.mark.parametrize(
    ("missing", "words"),
    [((), "layers 0 to 2 were not kept"), ((range(1, 2), range(2, 3)), "")],
)
def test_caches_that_were_not_kept_are_not_invented(
    llama: SmallModel, missing: tuple[range, ...], words: str
) -> None:
    state = broken(llama, THREE, Sampling())
    shard = Shard.load(llama.files, llama.card, range(3))
    again = opening(Sampling(), BEFORE)
    if not words:
        shard.resume(AGAIN, again, state.tokens[:-1], state.kept[A], missing)
        return
    with pytest.raises(StageFailed, match=words):
        shard.resume(AGAIN, again, state.tokens[:-1], state.kept[A], missing)
    assert shard.take(AGAIN) is None


def test_fills_come_in_order_and_end_where_the_caches_do(llama: SmallModel) -> None:
    shard = Shard.load(llama.files, llama.card, range(4))
    for position, tokens in [(1, PROMPT[:2]), (0, PROMPT[:9])]:
        shard.resume(AGAIN, opening(Sampling()), PROMPT[:8], None, (range(4),))
        with pytest.raises(StageFailed, match="of 8 tokens"):
            shard.fill(AGAIN, range(4), position, tokens, ())
    with pytest.raises(StageFailed, match="not on its way back"):
        shard.fill(AGAIN, range(4), 0, PROMPT[:2], ())
    shard.resume(AGAIN, opening(Sampling()), PROMPT[:8], None, (range(4),))
    with pytest.raises(StageFailed, match="are not missing"):
        shard.fill(AGAIN, range(2), 0, PROMPT[:2], ())


def test_what_is_kept_takes_memory_and_gives_it_back(llama: SmallModel) -> None:
    state = broken(llama, THREE, Sampling())
    kept = state.kept[A]
    assert kept is not None
    assert kept.size_bytes > kept.length * llama.card.hidden_size * 4
    kept.drop()
    assert not kept.entries
    ring = make_ring(llama, 2)
    ring.step(S, PROMPT, opening(Sampling()), True)
    head = ring.shards[0]
    assert head.handed_on_bytes == len(PROMPT) * llama.card.hidden_size * 4
    head.forget_handed_on()
    ring.step(S, (1,), opening(Sampling()), True)
    assert head.handed_on_bytes == 0
    taken = head.take(S)
    assert taken is not None
    assert taken.handed_on == 0


def test_what_is_handed_on_can_be_had_in_any_part_however_it_came() -> None:
    states, pieces = HandedOn(), [mx.full((1, 1 + index % 3, 2), float(index)) for index in range(600)]
    for piece in pieces:
        states.add({"hidden": piece})
    whole = mx.concatenate(pieces, axis=1)
    assert (states.length, states.size_bytes) == (whole.shape[1], whole.nbytes)
    assert mx.array_equal(states.part(500, 700)["hidden"], whole[:, 500:700])
    states.add({"hidden": whole[:, :5]})
    states.trim(1001)
    assert (states.length, states.size_bytes) == (1001, 1001 * 8)
    assert mx.array_equal(states.part(0, 1001)["hidden"], whole[:, :1001])


def test_what_a_lane_hands_on_is_shared_out_to_those_that_keep_it() -> None:
    first, last = HandedOn(), HandedOn()
    lane, pieces = LaneHandedOn([first, None, last]), []
    for index in range(600):
        pieces.append(mx.arange(6.0).reshape((3, 1, 2)) + index)
        lane.add({"hidden": pieces[-1]})
        if index == 299:
            lane.leave(2)
    whole = mx.concatenate(pieces, axis=1)
    assert lane.size_bytes == (600 - 512) * 24
    assert last.length == 256
    lane.share_out()
    assert (lane.size_bytes, first.length, first.size_bytes) == (0, 600, 600 * 8)
    assert mx.array_equal(first.part(0, 600)["hidden"], whole[:1])
    assert mx.array_equal(last.part(0, 256)["hidden"], whole[2:, :256])


def test_all_runs_of_layers_can_be_told_apart() -> None:
    assert all(
        [*itertools.chain(*places.values())] == list(range(4)) for places in [THREE, *CHANGES.values()]
    )
