"""A session that begins with another's tokens answers as if it had computed them itself."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Prefix, Sampling, SessionId
from tests.meshinfer.model.rings import VOCABULARY, Ring, SmallModel, make_model, make_ring, row

# Below what prepares mlx.
import mlx.core as mx  # isort: skip

CUT_ANYWHERE = ["llama", "qwen3_moe"]
CUT_AT_MARKS = ["llama-sliding", "gemma3", "qwen3_next", "lfm2", "falcon_h1", "llama4", "longcat_flash_ngram"]
KINDS = [*CUT_ANYWHERE, *CUT_AT_MARKS]

SOURCE, NEW, OTHER = SessionId("source"), SessionId("new"), SessionId("other")
PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(23))
MARKED = 13
MORE = (5, 60, 33, 2)
COUNT = 5
PENALISED = Sampling(temperature=0.7, repetition_penalty=1.4, penalty_window=30, seed=5)


def opening(tokens: int, prefix: Prefix | None = None, sampling: Sampling | None = None) -> Opening:
    return Opening(sampling or Sampling(), tokens, COUNT, (), prefix=prefix)


def retain_source(ring: Ring) -> None:
    """Compute all of PROMPT, with a mark in its midst, and end the session."""
    ring.prefill(SOURCE, PROMPT, opening(len(PROMPT)), 5, marked=MARKED)
    ring.release(SOURCE, is_retained=True)


def answer(ring: Ring, session: SessionId, prompt: tuple[int, ...], begun: Opening) -> list[int]:
    """Answer a prompt whose first tokens come from a prefix; the session stays open."""
    assert begun.prefix is not None
    ring.prefill(session, prompt[begun.prefix.length : -1], begun, 5)
    made: list[int] = []
    while len(made) < COUNT:
        token = ring.step(session, (made[-1] if made else prompt[-1],), begun, True)
        assert token is not None
        made.append(token)
    return made


def expected(ring: Ring, prompt: tuple[int, ...], sampling: Sampling | None = None) -> list[int]:
    return ring.answer(prompt, COUNT, chunk=64, sampling=sampling, name="expected")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return make_model(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("cuts", [(2,), (1, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_prefix_is_worth_the_tokens_it_holds(kind: str, cuts: tuple[int, ...], tmp_path: Path) -> None:
    ring = make_ring(make_model(tmp_path, kind), *cuts)
    whole, anywhere = len(PROMPT), [9] if kind in CUT_ANYWHERE else []
    for sampling, taken in [(Sampling(), MARKED), (PENALISED, whole)]:
        retain_source(ring)
        # As copies first, whose source stays as it is, and at last the caches themselves.
        begun = [(length, False) for length in (whole, *anywhere, MARKED, whole)]
        for length, is_taken in [*begun, (taken, True)]:
            prompt = (*PROMPT[:length], *MORE)
            prefix = Prefix(SOURCE, length, is_taken)
            made = answer(ring, NEW, prompt, opening(len(prompt), prefix, sampling))
            assert made == expected(ring, prompt, sampling), length
            ring.release(NEW)


@pytest.mark.parametrize("kind", KINDS)
def test_whether_a_prefix_may_end_anywhere_is_said_by_all_shards(kind: str, tmp_path: Path) -> None:
    ring = make_ring(make_model(tmp_path, kind), 1, 2, 3)
    assert {shard.is_trimmable for shard in ring.shards} == {kind in CUT_ANYWHERE}


@pytest.mark.parametrize("kind", KINDS)
def test_sessions_of_one_prefix_are_computed_as_a_lane_from_their_first_step(
    kind: str, tmp_path: Path
) -> None:
    ring = make_ring(make_model(tmp_path, kind), 2)
    retain_source(ring)
    prompts = {NEW: (*PROMPT, 8), OTHER: (*PROMPT[:MARKED], 9)}
    openings = {
        name: opening(len(prompt), Prefix(SOURCE, len(prompt) - 1, is_taken=False))
        for name, prompt in prompts.items()
    }
    answers: dict[SessionId, list[int]] = {NEW: [], OTHER: []}
    for _ in range(COUNT):
        fed = {name: (answers[name] or prompts[name])[-1] for name in prompts}
        for name, token in ring.lane(fed, openings).items():
            answers[name].append(token)
    assert answers == {name: expected(ring, prompt) for name, prompt in prompts.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_may_be_made_in_a_lane_and_a_prefix_be_the_source_of_another(
    kind: str, tmp_path: Path
) -> None:
    ring = make_ring(make_model(tmp_path, kind), 2)
    begun = opening(len(PROMPT))
    ring.prefill(SOURCE, PROMPT[: MARKED - 1], begun, 5)
    ring.prefill(OTHER, PROMPT[:3], begun, 5)
    ring.turn(
        [
            ring.next_row(OTHER, (1,), begun, True),
            ring.next_row(SOURCE, PROMPT[MARKED - 1 : MARKED], begun, True, is_marked=True),
        ]
    )
    # The next step is built ahead, and another one comes.
    ring.prefill(SOURCE, PROMPT[MARKED:], begun, 5)
    ring.release(SOURCE, is_retained=True)
    prompt = (*PROMPT, *MORE)
    made = answer(ring, NEW, prompt, opening(len(prompt), Prefix(SOURCE, len(PROMPT), is_taken=True)))
    assert made == expected(ring, prompt)
    ring.release(NEW, is_retained=True)
    prompt = (*PROMPT[:MARKED], *MORE)
    made = answer(ring, SOURCE, prompt, opening(len(prompt), Prefix(NEW, MARKED, is_taken=True)))
    assert made == expected(ring, prompt)


@pytest.mark.parametrize(
    ("kind", "source", "length", "text"),
    [
        (
            "llama",
            OTHER,
            9,
            "with 9 tokens of session other, which is not among the 1 that are retained here",
        ),
        ("llama", SOURCE, 24, "with 24 tokens of session source: it has 23 tokens, 24 are wanted"),
        ("llama", SOURCE, 0, "it has 23 tokens, 0 are wanted"),
        ("qwen3_next", SOURCE, 9, r"its ArraysCache can be cut after \[13, 23\] tokens, not 9"),
        ("gemma3", SOURCE, 9, r"its RotatingKVCache can be cut after \[13, 23\] tokens, not 9"),
        ("llama4", SOURCE, 9, r"its ChunkedKVCache can be cut after \[13, 23\] tokens, not 9"),
    ],
)
def test_a_prefix_that_is_not_there_fails_its_session_and_nothing_else(
    kind: str, source: SessionId, length: int, text: str, tmp_path: Path
) -> None:
    ring = make_ring(make_model(tmp_path, kind))
    retain_source(ring)
    with pytest.raises(StageFailed, match=f"session new: it begins {text}" if "with" in text else text):
        ring.step(NEW, MORE, opening(30, Prefix(source, length, is_taken=True)), True)
    prompt = (*PROMPT, *MORE)
    prefix = Prefix(SOURCE, len(PROMPT), is_taken=True)
    assert answer(ring, NEW, prompt, opening(len(prompt), prefix)) == expected(ring, prompt)


def test_a_session_that_begins_with_a_prefix_comes_at_its_end(llama: SmallModel) -> None:
    ring = make_ring(llama)
    retain_source(ring)
    ring.lengths[NEW] = 0
    begun = opening(30, Prefix(SOURCE, 9, is_taken=False))
    with pytest.raises(StageFailed, match="a step at position 0, the KV cache ends at 9"):
        ring.turn([replace(ring.next_row(NEW, MORE, begun, True), opening=begun)])


def test_what_was_taken_released_or_retired_is_no_prefix_any_more(llama: SmallModel) -> None:
    def begins(ring: Ring, is_taken: bool) -> bool:
        ring.release(NEW)
        try:
            ring.step(NEW, MORE, opening(30, Prefix(SOURCE, 9, is_taken)), True)
        except StageFailed:
            return False
        return True

    ring = make_ring(llama)
    retain_source(ring)
    assert begins(ring, is_taken=False)
    with pytest.raises(StageFailed, match="a step at position 23"):
        ring.turn([row(SOURCE, len(PROMPT), MORE)])
    assert begins(ring, is_taken=True)
    assert not begins(ring, is_taken=True)
    retain_source(ring)
    ring.release(SOURCE)
    assert not begins(ring, is_taken=False)
    ring.release(SessionId("unknown"), is_retained=True)
    retain_source(ring)
    ring.shards[0].retire()
    assert not begins(ring, is_taken=False)


@pytest.mark.parametrize("kind", ["llama", "gemma3", "lfm2"])
def test_prefixes_give_their_memory_back(kind: str, tmp_path: Path) -> None:
    ring = make_ring(make_model(tmp_path, kind), 2)
    for name in ("before", "again"):
        gc.collect()
        nothing = mx.get_active_memory()
        retain_source(ring)
        alone = mx.get_active_memory()
        prompt = (*PROMPT, *MORE)
        prefix = Prefix(SOURCE, len(PROMPT), is_taken=False)
        made = answer(ring, NEW, prompt, opening(len(prompt), prefix))
        assert ring.shards[0].handed_on_bytes == 0
        assert mx.get_active_memory() > alone
        ring.release(NEW)
        assert mx.get_active_memory() <= alone
        taken = opening(len(prompt), replace(prefix, is_taken=True))
        assert answer(ring, OTHER, prompt, taken) == made
        ring.release(OTHER)
        if name == "again":
            assert mx.get_active_memory() <= nothing
