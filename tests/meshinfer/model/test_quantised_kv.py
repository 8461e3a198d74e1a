"""A ring with quantised KV caches answers as mlx-lm does with the same caches, whatever happens to it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import UnsupportedModel
from meshinfer.messages import Opening, Prefix, Sampling, SessionId
from meshinfer.model.variant import KV_BITS, Variant
from meshinfer.model.variant_files import make_variant
from tests.meshinfer.model import test_prefixes, test_resuming
from tests.meshinfer.model.rings import VOCABULARY, SmallModel, make_model, make_ring

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from mlx_lm.generate import generate_step  # isort: skip
from mlx_lm.models.cache import KVCache, QuantizedKVCache, make_prompt_cache  # isort: skip
from mlx_lm.utils import load_model  # isort: skip

PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
KINDS = ["llama", "llama-sliding", "gemma3", "qwen3_moe", "qwen3_next"]
SAMPLED = Sampling(temperature=1.0, seed=3)


def quantised(path: Path, kind: str = "llama", bits: int = 8, head_dim: int = 32) -> SmallModel:
    model = make_model(path / "model", kind, changes={"head_dim": head_dim})
    files = make_variant(model.files, Variant(kv_bits=bits), path / "cache")
    return SmallModel(files, replace(model.card, fingerprint="1" * 32))


def mlx_lms(model: SmallModel, count: int, bits: int, group_size: int, chunk: int = 5) -> list[int]:
    """mlx-lm's own greedy answer with caches that are quantised from the first token on."""
    loaded, _ = load_model(model.files.path)
    caches: list[Any] = [
        QuantizedKVCache(group_size, bits) if type(cache) is KVCache else cache
        for cache in make_prompt_cache(loaded)
    ]
    made = generate_step(
        mx.array(PROMPT),
        loaded,
        max_tokens=count,
        prompt_cache=caches,
        prefill_step_size=chunk,
        kv_bits=bits,
        kv_group_size=group_size,
        quantized_kv_start=1 << 30,
    )
    return [int(token) for token, _ in made]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [8, 4])
def test_split_is_whole_is_what_mlx_lm_answers(kind: str, bits: int, tmp_path: Path) -> None:
    model = quantised(tmp_path, kind, bits)
    rings = [make_ring(model, *cuts) for cuts in [(), (2,), (1, 3)]]
    assert [ring.answer(PROMPT, 8, chunk=5) for ring in rings] == [mlx_lms(model, 8, bits, 32)] * 3
    drawn = [ring.answer(PROMPT, 8, chunk=5, sampling=SAMPLED) for ring in rings]
    assert drawn == [drawn[0]] * 3


@pytest.mark.parametrize("bits", KV_BITS)
def test_wide_heads_are_quantised_in_groups_of_64(bits: int, tmp_path: Path) -> None:
    model = quantised(tmp_path, bits=bits, head_dim=64)
    ring = make_ring(model, 2)
    assert ring.answer(PROMPT, 8, chunk=5) == mlx_lms(model, 8, bits, 64)


def test_eight_bits_answer_as_mlx_lm_that_quantises_behind_the_first_piece(tmp_path: Path) -> None:
    model = quantised(tmp_path)
    loaded, _ = load_model(model.files.path)
    steps = generate_step(
        mx.array(PROMPT), loaded, max_tokens=8, kv_bits=8, kv_group_size=32, quantized_kv_start=0
    )
    assert make_ring(model, 2).answer(PROMPT, 8, chunk=64) == [int(token) for token, _ in steps]


def test_answers_longer_than_a_caches_first_room_go_on(tmp_path: Path) -> None:
    model = quantised(tmp_path, bits=4)
    assert make_ring(model, 1, 3).answer(PROMPT, 260, chunk=5) == mlx_lms(model, 260, 4, 32)


def test_sessions_are_computed_one_after_the_other_in_a_lane(tmp_path: Path) -> None:
    ring = make_ring(quantised(tmp_path, "llama-sliding", 4), 2)
    names = {SessionId("one"): PROMPT, SessionId("two"): PROMPT[:9]}
    openings = {name: Opening(Sampling(), len(prompt), 6, ()) for name, prompt in names.items()}
    answers: dict[SessionId, list[int]] = {name: [] for name in names}
    for name, prompt in names.items():
        ring.prefill(name, prompt[:-1], openings[name], 5)
    for _ in range(6):
        fed = {name: (answers[name] or prompt)[-1] for name, prompt in names.items()}
        for name, token in ring.lane(fed, openings).items():
            answers[name].append(token)
    for name, prompt in names.items():
        assert ring.answer(prompt, 6, chunk=5, name="alone") == answers[name]


@pytest.mark.parametrize("kind", ["llama", "llama-sliding", "qwen3_next"])
def test_a_prefix_is_worth_the_tokens_it_holds(kind: str, tmp_path: Path) -> None:
    ring = make_ring(quantised(tmp_path, kind), 2)
    test_prefixes.retain_source(ring)
    whole, marked = len(test_prefixes.PROMPT), test_prefixes.MARKED
    anywhere = [9] if kind == "llama" else []
    for length, is_taken in [*((n, False) for n in (whole, *anywhere, marked, whole)), (marked, True)]:
        prompt = (*test_prefixes.PROMPT[:length], *test_prefixes.MORE)
        begun = test_prefixes.opening(len(prompt), Prefix(test_prefixes.SOURCE, length, is_taken), SAMPLED)
        made = test_prefixes.answer(ring, test_prefixes.NEW, prompt, begun)
        assert made == test_prefixes.expected(ring, prompt, SAMPLED), length
        ring.release(test_prefixes.NEW)


@pytest.mark.parametrize("change", ["same", "middle-gone", "all-to-one", "a-longer-head-and-a-spare"])
@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_an_answer_goes_on_as_if_nothing_had_happened(kind: str, change: str, tmp_path: Path) -> None:
    model = quantised(tmp_path, kind, 4)
    expected = make_ring(model).answer(
        test_resuming.PROMPT, test_resuming.COUNT, chunk=test_resuming.CHUNK, sampling=SAMPLED
    )
    state = test_resuming.broken(model, test_resuming.THREE, SAMPLED)
    ring, made = test_resuming.rebuilt(state, test_resuming.CHANGES[change])
    assert made is not None
    assert test_resuming.finish(ring, state, made.length) == expected


def test_quantised_caches_take_less_memory(tmp_path: Path) -> None:
    sizes = []
    for model in (
        make_model(tmp_path / "exact", changes={"head_dim": 64}),
        quantised(tmp_path, bits=4, head_dim=64),
    ):
        shard = make_ring(model).shards[0]
        make = shard._model.make_caches()
        shard._model.build(mx.zeros((1, 256), mx.int32), {}, make)
        sizes.append(sum(entry.nbytes for entry in make.local))
    # Half a byte a number, and eight bytes to every 64 of them, where it was four bytes a number.
    assert sizes[1] * 64 * 4 == sizes[0] * (32 + 8)


@pytest.mark.parametrize(
    ("kind", "bits", "head_dim", "words"),
    [
        ("llama", 8, 8, "heads of 8 numbers do not divide into groups of 32 or 64, as a KV cache of 8 bits"),
        ("llama", 6, 128, "cannot keep heads of 128 numbers in 6 bits: give kv_bits 2 or 3 or 4 or 8"),
        ("falcon_h1", 8, 32, "none of its caches can be kept in 8 bits, which are CacheList: leave kv_bits"),
        (
            "rwkv7",
            8,
            32,
            "none of its caches can be kept in 8 bits, which are ArraysCache: leave kv_bits",
        ),
    ],
)
def test_what_mlx_cannot_keep_in_few_bits_is_refused(
    kind: str, bits: int, head_dim: int, words: str, tmp_path: Path
) -> None:
    changes = {"head_dim": head_dim} if kind == "llama" else {}
    model = make_model(tmp_path / "model", kind, changes=changes)
    files = make_variant(model.files, Variant(kv_bits=bits), tmp_path / "cache")
    for cuts in [(), (2,)]:
        with pytest.raises(UnsupportedModel, match=rf"{files.name.replace('+', '.')}: .*{words}"):
            make_ring(replace(model, files=files), *cuts)


def test_attention_that_mlx_lm_does_not_compute_with_them_is_refused(tmp_path: Path) -> None:
    latent = {"kv_lora_rank": 32, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 32}
    dense = {"moe_intermediate_size": 32, "n_routed_experts": None, "rope_scaling": None, "v_head_dim": 8}
    model = make_model(tmp_path / "model", changes={"model_type": "deepseek_v3", **latent, **dense})
    files = make_variant(model.files, Variant(kv_bits=8), tmp_path / "cache")
    with pytest.raises(UnsupportedModel, match="cannot compute its attention with a quantised KV cache"):
        make_ring(replace(model, files=files), 2)
