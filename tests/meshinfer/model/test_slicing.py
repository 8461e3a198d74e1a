from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import UnsupportedModel
from tests.meshinfer.model.rings import SmallModel, make_model

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
import mlx.nn as nn  # isort: skip
from mlx.utils import tree_flatten  # isort: skip
from mlx_lm.utils import load_model  # isort: skip
from meshinfer.model.anatomy import owned_modules, survey  # isort: skip
from meshinfer.model.cache import make_caches  # isort: skip
from meshinfer.model.slicing import slice_model  # isort: skip

TOKENS = (5, 9, 33, 2, 17)


def whole(model: SmallModel) -> Any:
    return load_model(model.files.path, lazy=True)[0]


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3", "qwen3_next", "lfm2"])
def test_the_logits_of_a_sliced_model_are_those_of_the_whole_to_the_bit(kind: str, tmp_path: Path) -> None:
    small = make_model(tmp_path, kind)
    reference, head, tail = (whole(small) for _ in range(3))
    head_anatomy, tail_anatomy = survey(head), survey(tail)
    ends = slice_model(head, range(2)), slice_model(tail, range(2, 4))
    poison(head, head_anatomy, range(2))
    poison(tail, tail_anatomy, range(2, 4))
    caches = make_caches(reference, None)
    head_caches = make_caches(head, frozenset().union(*head_anatomy.layer_caches[:2]))
    tail_caches = make_caches(tail, frozenset().union(*tail_anatomy.layer_caches[2:]))
    for tokens in (TOKENS, TOKENS[:2], TOKENS[3:4], TOKENS[4:]):
        ids = mx.array(tokens)[None]
        expected = reference(ids, cache=caches.entries)
        head(ids, cache=head_caches.entries)
        ends[1].incoming = ends[0].outgoing
        found = tail(ids, cache=tail_caches.entries)
        for each in (head_caches, tail_caches):
            each.advance(len(tokens))
        assert mx.array_equal(found, expected).item()


def poison(model: Any, anatomy: Any, layers: range) -> None:
    """Make every weight that such a shard does not own NaN."""
    owned = owned_modules(anatomy, layers)
    local = tuple(f"{anatomy.layer_paths[layer]}." for layer in layers)
    parameters: Any = tree_flatten(model.parameters())
    spoilt = [
        (name, mx.full(weight.shape, float("nan")))
        for name, weight in parameters
        if not name.startswith(local) and name.rpartition(".")[0] not in owned
    ]
    assert spoilt
    model.load_weights(spoilt, strict=False)


def test_a_survey_finds_who_needs_embeddings_norm_and_head(tmp_path: Path) -> None:
    anatomy = survey(whole(make_model(tmp_path)))
    assert anatomy.layer_paths == tuple(f"model.layers.{layer}" for layer in range(4))
    assert anatomy.cuts == {1, 2, 3}
    assert owned_modules(anatomy, range(1)) == {"model.embed_tokens"}
    assert owned_modules(anatomy, range(1, 3)) == set()
    assert owned_modules(anatomy, range(3, 4)) == {"model.norm", "lm_head"}


def test_tied_embeddings_belong_to_both_ends(tmp_path: Path) -> None:
    anatomy = survey(whole(make_model(tmp_path, "llama-tied")))
    assert owned_modules(anatomy, range(3, 4)) == {"model.norm", "model.embed_tokens"}


def test_a_survey_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = whole(make_model(tmp_path))
    before = [type(module) for module in model.modules()]
    survey(model)
    assert [type(module) for module in model.modules()] == before


def test_caches_of_other_peers_are_aliases_of_local_ones_of_the_same_kind(tmp_path: Path) -> None:
    model = whole(make_model(tmp_path, "qwen3_next"))
    assert survey(model).layer_caches == tuple(frozenset({layer}) for layer in range(4))
    caches = make_caches(model, {2, 3})
    assert caches.entries[0] is caches.entries[2]
    assert caches.entries[1] is caches.entries[3]
    assert caches.stand_ins == []


def test_a_kind_without_a_local_layer_gets_a_stand_in_that_advances(tmp_path: Path) -> None:
    caches = make_caches(whole(make_model(tmp_path, "qwen3_next")), {0})
    assert caches.entries[0] is caches.entries[2] is caches.local[0]
    assert caches.entries[1] is caches.entries[3] is caches.stand_ins[0]
    caches.advance(7)
    assert caches.stand_ins[0].offset == 7


def test_a_whole_model_is_left_as_it_is(tmp_path: Path) -> None:
    model = whole(make_model(tmp_path))
    before = [type(layer) for layer in model.layers]
    slice_model(model, range(4))
    assert [type(layer) for layer in model.layers] == before


class Layer(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.weight = mx.ones((8,))

    def __call__(self, hidden: Any, mask: Any = None, cache: Any = None) -> Any:
        return hidden * self.weight


class Odd(nn.Module):  # type: ignore[misc]
    """A model whose layers hang together in some way that a cut would break."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.embed = nn.Embedding(10, 8)
        self.layers = [Layer() for _ in range(3)]

    def __call__(self, tokens: Any, cache: Any = None) -> Any:
        first = hidden = self.embed(tokens)
        for _ in range(2 if self.way == "laps" else 1):
            for index, layer in enumerate(self.layers):
                hidden = layer(hidden, first if self.way == "first" and index == 2 else None)
                if self.way == "between" and index == 0:
                    hidden = hidden + 1
                if self.way == "pair":
                    hidden, _ = hidden
        return hidden


def test_a_model_that_runs_through_its_layers_twice_cannot_be_cut() -> None:
    with pytest.raises(UnsupportedModel, match=r"once, in order.*3 layers, called \[0, 1, 2, 0, 1, 2\]"):
        survey(Odd("laps"))


def test_a_model_whose_layers_return_more_than_a_hidden_state_cannot_be_cut() -> None:
    with pytest.raises(UnsupportedModel, match="more than hand on a hidden state"):
        survey(Odd("pair"))


def test_a_hidden_state_that_changes_between_layers_forbids_a_cut_there() -> None:
    assert survey(Odd("plain")).cuts == {1, 2}
    assert survey(Odd("between")).cuts == {2}


def test_a_layer_that_reads_a_second_hidden_state_forbids_a_cut_before_it() -> None:
    assert survey(Odd("first")).cuts == {1}
