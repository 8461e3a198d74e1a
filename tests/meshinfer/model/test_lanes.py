"""Sessions that are computed as one batch answer as each would alone, whoever joins or leaves, and when."""

import gc
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Row, Sampling, SessionId, Tensor
from meshinfer.model.base import Step
from tests.meshinfer.model.rings import VOCABULARY, Ring, SmallModel, make_model, make_ring, row

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from meshinfer.model.kept import KeptSession  # isort: skip

KINDS = [
    "llama",
    "llama-sliding",
    "gemma3",
    "qwen3_moe",
    "qwen3_next",
    "lfm2",
    "falcon_h1",
    "rwkv7",
    "gemma4",
    "kimi_k3",
    "recurrent_gemma",
]
ONE_BY_ONE = "llama4"
"""Its caches have no form for a batch."""
UNEQUAL = "longcat_flash_ngram"
"""Sessions of other lengths make no batch with it."""

SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.8, top_p=0.95, repetition_penalty=1.1, presence_penalty=0.3, seed=11),
    Sampling(repetition_penalty=1.3, penalty_window=8),
    Sampling(),
    Sampling(temperature=1.2, top_k=20, frequency_penalty=0.4, seed=12),
]


@dataclass
class Reader:
    """One session, what it was given and what it is expected to answer."""

    name: SessionId
    prompt: tuple[int, ...]
    sampling: Sampling
    count: int
    answer: list[int] = field(default_factory=list)

    @property
    def opening(self) -> Opening:
        return Opening(self.sampling, len(self.prompt), self.count, ())

    @property
    def next_token(self) -> int:
        return self.answer[-1] if self.answer else self.prompt[-1]

    def alone(self, ring: Ring) -> list[int]:
        return ring.answer(self.prompt, self.count, chunk=64, sampling=self.sampling)


def readers(lengths: list[int], count: int = 8) -> list[Reader]:
    return [
        Reader(
            SessionId(f"s{number}"),
            tuple((7 * index + 5 * number + 3) % VOCABULARY for index in range(length)),
            SAMPLINGS[number % len(SAMPLINGS)],
            count,
        )
        for number, length in enumerate(lengths)
    ]


def prefill(ring: Ring, reader: Reader) -> None:
    ring.prefill(reader.name, reader.prompt[:-1], reader.opening, 5)


def turn(ring: Ring, lane: list[Reader]) -> None:
    """One step of a lane."""
    openings = {reader.name: reader.opening for reader in lane}
    made = ring.lane({reader.name: reader.next_token for reader in lane}, openings)
    for reader in lane:
        reader.answer.append(made[reader.name])


def play(ring: Ring, waiting: list[Reader], drawn: random.Random) -> None:
    """Let readers come, be computed in lanes of any members in any order, and go, until all are answered."""
    here: list[Reader] = []
    while waiting or here:
        if waiting and (not here or drawn.random() < 0.3):
            here.append(waiting.pop())
            prefill(ring, here[-1])
        # Mostly the same lane again: what was built ahead is to be used too.
        lane = here if drawn.random() < 0.6 else drawn.sample(here, drawn.randint(1, len(here)))
        turn(ring, list(lane))
        for reader in [reader for reader in here if len(reader.answer) == reader.count]:
            here.remove(reader)
            ring.release(reader.name)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("cuts", [(2,), (1, 3)])
@pytest.mark.parametrize("kind", [*KINDS, ONE_BY_ONE, UNEQUAL])
def test_sessions_answer_the_same_in_whichever_lanes(
    kind: str, cuts: tuple[int, ...], seed: int, tmp_path: Path
) -> None:
    model, drawn = make_model(tmp_path, kind), random.Random(f"{kind} {cuts} {seed}")
    everybody = readers([1, 3, 12, 7, 20, 2], count=9)
    for reader in everybody:
        reader.count = drawn.randint(3, 9)
    ring = make_ring(model, *cuts)
    play(ring, list(everybody), drawn)
    alone = make_ring(model)
    assert [reader.answer for reader in everybody] == [reader.alone(alone) for reader in everybody]
    assert len({token for reader in everybody for token in reader.answer}) > 9


@pytest.mark.parametrize("kind", [*KINDS, ONE_BY_ONE, UNEQUAL])
def test_a_session_is_taken_out_of_a_lane_and_goes_on_in_another_ring(kind: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, kind)
    lane = readers([4, 11, 2])
    before, after = make_ring(model, 2), make_ring(model, 2)
    for reader in lane:
        prefill(before, reader)
    for _ in range(4):
        turn(before, lane)
    for reader in lane:
        tokens = (*reader.prompt, *reader.answer[:-1])
        for old, new in zip(before.shards, after.shards, strict=True):
            kept = old.take(reader.name)
            assert kept is not None
            assert kept.handed_on == (len(tokens) if old is before.shards[0] else 0)
            new.resume(reader.name, reader.opening, tokens, kept, ())
        after.lengths[reader.name] = len(tokens)
    for _ in range(4):
        turn(after, lane)
    alone = make_ring(model)
    assert [reader.answer for reader in lane] == [reader.alone(alone) for reader in lane]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return make_model(tmp_path_factory.mktemp("llama"))


def test_what_left_a_lane_is_kept_of_each_session_and_counted_once(llama: SmallModel) -> None:
    lane, ring, alone = readers([4, 9, 2]), make_ring(llama, 2), make_ring(llama, 2)
    for each in (ring, alone):
        for reader in lane:
            prefill(each, reader)
    head = ring.shards[0]
    for _ in range(5):
        turn(ring, lane)
    size_bytes = sum(ring.lengths.values()) * llama.card.hidden_size * 4
    assert head.handed_on_bytes == size_bytes
    ring.release(lane[0].name)
    turn(ring, lane[1:])
    assert head.handed_on_bytes == sum(ring.lengths.values()) * llama.card.hidden_size * 4
    for reader in lane[1:]:
        for token in (reader.prompt[-1], *reader.answer[:-1]):
            alone.step(reader.name, (token,), reader.opening, False)
        found, expected = head.take(reader.name), alone.shards[0].take(reader.name)
        assert isinstance(found, KeptSession)
        assert isinstance(expected, KeptSession)
        assert found.states is not None
        assert expected.states is not None
        assert found.states.length == found.length == expected.length
        part, alike = (states.part(0, found.length)["hidden"] for states in (found.states, expected.states))
        assert mx.allclose(part, alike, 1e-3)
    assert head.handed_on_bytes == 0


def test_what_left_a_lane_can_be_forgotten(llama: SmallModel) -> None:
    lane, ring = readers([4, 9]), make_ring(llama, 2)
    for reader in lane:
        prefill(ring, reader)
    turn(ring, lane)
    ring.shards[0].forget_handed_on()
    turn(ring, lane)
    assert ring.shards[0].handed_on_bytes == 0
    kept = ring.shards[0].take(lane[0].name)
    assert kept is not None
    assert kept.handed_on == 0


def test_logits_of_one_row_that_are_no_numbers_end_that_session_alone(llama: SmallModel) -> None:
    lane, ring, alone = readers([4, 9, 2]), make_ring(llama, 2), make_ring(llama)
    for reader in lane:
        prefill(ring, reader)
    turn(ring, lane)
    head, tail = ring.shards
    rows = tuple(ring.next_row(each.name, (each.next_token,), each.opening, True) for each in lane)
    (sent,) = head.forward(Step(rows)).tensors
    spoilt = bytearray(sent.data)
    spoilt[128:256] = b"\xff" * 128
    made = tail.forward(Step(rows, (Tensor(sent.name, sent.dtype, sent.shape, memoryview(spoilt)),)))
    ((session, reason),) = made.faults
    assert session == lane[1].name
    assert "not finite" in reason
    assert made.tokens[1] is None
    head.release(lane[1].name)
    others = [lane[0], lane[2]]
    for reader, token in zip(others, made.tokens[::2], strict=True):
        assert token is not None
        reader.answer.append(token)
        ring.lengths[reader.name] += 1
    for _ in range(6):
        turn(ring, others)
    assert [reader.answer for reader in others] == [reader.alone(alone) for reader in others]
    with pytest.raises(StageFailed, match="without an opening"):
        tail.forward(Step((row(lane[1].name, 0, (1,), None, True),)))


def test_some_rows_may_be_sampled_and_others_not(llama: SmallModel) -> None:
    lane, ring = readers([3, 3]), make_ring(llama)
    for reader in lane:
        ring.prefill(reader.name, reader.prompt[:-2], reader.opening, 5)
    rows = [ring.next_row(each.name, each.prompt[1:2], each.opening, each is lane[1]) for each in lane]
    nothing, token = ring.turn(rows).tokens
    assert nothing is None
    assert token is not None
    turn(ring, lane[:1])
    assert lane[0].answer == lane[0].alone(make_ring(llama))[:1]


A, B = SessionId("a"), SessionId("b")
BEGUN = Opening(Sampling(), 3, 9, ())


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ((), r"a step with tokens of sessions \[\]"),
        ((row(A, 2, (1,)), row(A, 2, (1,))), r"\[\('a', 1\), \('a', 1\)\].*one of each of several"),
        ((row(A, 2, (1, 2)), row(B, 2, (1,))), r"\[\('a', 2\), \('b', 1\)\].*one of each of several"),
        ((row(A, 2, (1,)), row(B, 3, (1,))), "session b: a step at position 3, the KV cache ends at 2"),
        ((row(A, 2, (1,)), row(B, 2, (99,))), "session b: token ids from 99"),
        ((row(A, 2, (1,)), row(B, 2, (1,), BEGUN)), "session b: a step with an opening"),
    ],
)
def test_a_step_that_fits_not_all_of_its_sessions_ends_them_all(
    llama: SmallModel, rows: tuple[Row, ...], text: str
) -> None:
    ring = make_ring(llama)
    for session in (A, B):
        ring.step(session, (1, 2), BEGUN, False)
    with pytest.raises(StageFailed, match=text):
        ring.turn(rows)
    for session in {each.session for each in rows}:
        assert ring.shards[0].take(session) is None


def test_hidden_states_of_fewer_rows_are_refused(llama: SmallModel) -> None:
    ring = make_ring(llama, 2)
    for session in (A, B):
        ring.step(session, (1, 2), BEGUN, False)
    head, tail = ring.shards
    rows = (row(A, 2, (1,), None, True), row(B, 2, (1,), None, True))
    sent = head.forward(Step(rows[:1])).tensors
    with pytest.raises(StageFailed, match=r"shape \(1, 1, 32\), expected \(2, 1, 32\)"):
        tail.forward(Step(rows, sent))


def test_hidden_states_of_fewer_rows_are_refused_one_by_one_too(tmp_path: Path) -> None:
    head, tail = make_ring(make_model(tmp_path, ONE_BY_ONE), 2).shards
    rows = (row(A, 0, (1,), BEGUN, True), row(B, 0, (1,), BEGUN, True))
    sent = head.forward(Step(rows[:1])).tensors
    with pytest.raises(StageFailed, match=r"shape \(1, 1, 32\) came for 2 rows"):
        tail.forward(Step(rows, sent))


@pytest.mark.parametrize("kind", ["llama", "qwen3_next"])
def test_a_lane_gives_its_memory_back(kind: str, tmp_path: Path) -> None:
    ring = make_ring(make_model(tmp_path, kind), 2)
    lane = readers([40, 3, 30])
    for name in ("before", "again"):
        gc.collect()
        held = mx.get_active_memory()
        for reader in lane:
            prefill(ring, reader)
        for _ in range(3):
            turn(ring, lane)
        three = mx.get_active_memory()
        ring.release(lane[0].name)
        turn(ring, lane[1:])
        assert mx.get_active_memory() < three
        for reader in lane[1:]:
            ring.release(reader.name)
        if name == "again":
            assert mx.get_active_memory() <= held


def test_a_step_updates_the_caches_where_they_are(llama: SmallModel) -> None:
    ring, lane = make_ring(llama), readers([1000, 100, 900])
    for reader in lane:
        prefill(ring, reader)
    one_bytes = 1000 * llama.card.layer_count * 2 * 2 * 8 * 4
    # Whatever is still noted of the caches makes mlx copy them instead.
    turn(ring, lane[:1])
    assert _peak_bytes(ring, lane[:1]) < one_bytes / 4
    turn(ring, lane)
    assert _peak_bytes(ring, lane) < one_bytes * 3 / 4


def _peak_bytes(ring: Ring, lane: list[Reader]) -> int:
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    turn(ring, lane)
    return int(mx.get_peak_memory()) - int(before)
