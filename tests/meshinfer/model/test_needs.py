import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from meshinfer.messages import Opening, Sampling, SessionId
from meshinfer.model.needs import sort_tensors
from meshinfer.model.safetensors import StoredTensor
from meshinfer.model.settings import Settings
from tests.meshinfer.model.parts import fill, part_of
from tests.meshinfer.model.rings import CONFIGS, Ring, SmallModel, make_model

# Below what prepares mlx.
from meshinfer.model.shard import Shard  # isort: skip

PROMPT = (3, 1, 4, 1, 5, 9, 2, 6)
LAYERS = 4


def settings(*, is_tied: bool = False, extra_layers: int = 0, reusing: int = 0) -> Settings:
    return Settings(
        path=Path("model"),
        config={},
        model_type="llama",
        layer_count=2,
        extra_layers=extra_layers,
        reusing=reusing,
        hidden_size=8,
        vocab_size=8,
        context_tokens=8,
        is_tied=is_tied,
        heads=1,
        kv_heads=1,
        head_dim=8,
    )


def stored(*names: str) -> dict[str, StoredTensor]:
    return {name: StoredTensor(name, "F32", (1,), Path("model.safetensors"), 0, 4) for name in names}


COMMON = ("model.embed_tokens.weight", "model.layers.0.a", "model.layers.1.a", "model.norm.weight")


def test_what_is_read_when_a_model_is_built_is_needed_by_every_stage() -> None:
    signs = {
        "model.layers.0.mlp.signs",
        "model.layers.1.mlp.signs",
        "lm_head.signs",
        "model.embed_tokens.signs",
    }
    places = sort_tensors(settings(), stored(*COMMON, *signs))
    for layers in (range(1), range(1, 2)):
        assert signs <= places.needed(layers).keys()


def test_layers_that_reuse_keys_are_counted_behind_the_others() -> None:
    names = ("model.embed_tokens.weight", "model.layers.0.a", "model.kv_reuse_layers.0.b")
    places = sort_tensors(settings(reusing=1), stored(*names))
    assert [list(layer) for layer in places.layers] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("names", "is_tied", "expected"),
    [
        ((), False, [{0, 1}, {0, 2, 3}]),
        (("lm_head.weight",), False, [{0, 1}, {2, 3, 4}]),
        (("lm_head.weight",), True, [{0, 1}, {0, 2, 3}]),
        (("lm_head",), False, [{0, 1}, {2, 3, 4}]),
        (("lm_head.linear.weight", "lm_head_gain.w_g"), False, [{0, 1}, {2, 3, 4, 5}]),
        (("lm_head.weight", "model.mystery"), False, [{0, 1, 5}, {2, 3, 4, 5}]),
        (("model.embed_tokens_per_layer.weight",), True, [{0, 1, 4}, {0, 2, 3}]),
        (("model.altup_projections.0.weight",), True, [{0, 1, 4}, {0, 2, 3}]),
        (("model.altup_unembed_projections.0.weight",), True, [{0, 1}, {0, 2, 3, 4}]),
        (("lm_head.weight", "vision_tower.layers.7.b"), False, [{0, 1}, {2, 3, 4}]),
        (("lm_head.weight", "mtp.layers.0.b"), False, [{0, 1}, {2, 3, 4}]),
        (("lm_head.weight", "model.layers.2.mtp_head"), False, [{0, 1}, {2, 3, 4}]),
    ],
)
def test_each_stage_needs_its_layers_and_what_stands_at_its_end(
    names: tuple[str, ...], is_tied: bool, expected: list[set[int]]
) -> None:
    everything = (*COMMON, *names)
    places = sort_tensors(settings(is_tied=is_tied, extra_layers=1), stored(*everything))
    for layers, numbers in zip((range(1), range(1, 2)), expected, strict=True):
        assert set(places.needed(layers)) == {everything[number] for number in numbers}


def cuts_of(model: SmallModel) -> Iterable[tuple[int, ...]]:
    """All ways to cut four layers that the family allows."""
    for count in range(LAYERS):
        for cuts in itertools.combinations(range(1, LAYERS), count):
            if set(cuts) <= set(model.card.cuts):
                yield cuts


def logits_decide(ring: Ring) -> list[int]:
    """An answer that every logit has decided: sampled, at a high temperature."""
    sampling = Sampling(temperature=3.0, seed=5)
    session = SessionId("s")
    opening = Opening(sampling, len(PROMPT), 6, ())
    ring.prefill(session, PROMPT[:-1], opening, 3)
    answer, last = [], PROMPT[-1]
    for _ in range(6):
        token = ring.step(session, (last,), opening, True)
        assert token is not None
        answer.append(last := token)
    return answer


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_stages_need_is_all_that_they_load(tmp_path: Path, kind: str) -> None:
    model = make_model(tmp_path / "whole", kind)
    (model.files.path / "tokenizer.json").write_text("{}")
    expected = logits_decide(Ring([Shard.load(model.files, model.card, range(LAYERS))]))
    parts: dict[range, Shard] = {}
    for cuts in cuts_of(model):
        ranges = [range(start, stop) for start, stop in itertools.pairwise((0, *cuts, LAYERS))]
        for layers in ranges:
            if layers not in parts:
                parts[layers] = loaded_alone(model, layers, tmp_path / f"{layers.start}-{layers.stop}")
        ring = Ring([parts[layers] for layers in ranges])
        assert logits_decide(ring) == expected, cuts
        ring.release(SessionId("s"))


def loaded_alone(model: SmallModel, layers: range, directory: Path) -> Shard:
    """A shard out of a directory that holds nothing but what it needs; fetched and loaded must agree."""
    partial = part_of(model.files.path, directory)
    fetched_bytes = fill(partial, model.files.path, partial.needed(layers))
    assert partial.missing(partial.needed(layers)) == []
    shard = Shard.load(partial.files, model.card, layers)
    assert fetched_bytes <= 1.05 * shard.weight_bytes
    return shard
