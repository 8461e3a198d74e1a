from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.card import read_card
from meshinfer.model.experts import Experts, read_experts
from meshinfer.model.settings import settings_of
from tests.meshinfer.model.test_card import Shapes, in_layers, write_model

EIGHT = Experts(8, 2)
ATTENTION: Shapes = {"self_attn.k_proj.weight": ("BF16", (4, 8)), "self_attn.v_proj.weight": ("BF16", (4, 8))}
ROUTER: Shapes = {"mlp.gate.weight": ("BF16", (8, 8))}
SHARED: Shapes = {"mlp.shared_experts.up_proj.weight": ("BF16", (8, 8))}
STACK: Shapes = {"mlp.switch_mlp.up_proj.weight": ("BF16", (8, 6, 8))}


@pytest.mark.parametrize(
    ("name", "shape", "is_chosen"),
    [
        ("mlp.switch_mlp.gate_proj.weight", (8, 6, 4), True),
        ("mlp.switch_mlp.gate_proj.scales", (8, 6, 1), True),
        ("mlp.experts.gate_proj.bias", (8, 6), True),
        ("block_sparse_moe.switch_mlp.up_proj.weight", (8, 6, 4), True),
        ("feed_forward.experts.gate_up_proj", (8, 6, 4), True),
        ("mlp.experts.7.gate_proj.weight", (6, 4), True),
        ("ffn.moe.w1", (8, 6, 4), True),
        ("mlp.gate.weight", (8, 4), False),
        ("mlp.router.weight", (8, 4), False),
        ("mlp.shared_experts.gate_proj.weight", (8, 4), False),
        ("mlp.shared_expert.gate_proj.weight", (8, 4), False),
        ("mlp.switch_mlp.gate_proj.weight", (7, 6, 4), False),
        ("self_attn.embed_q.weight", (8, 6, 4), False),
        ("linear_attn.conv1d.weight", (8, 4, 1), False),
        ("input_layernorm.weight", (8,), False),
    ],
)
def test_experts_are_known_by_name_and_shape(name: str, shape: tuple[int, ...], is_chosen: bool) -> None:
    assert EIGHT.is_chosen(name, shape) is is_chosen
    assert not Experts().is_chosen(name, shape)


def test_a_token_reads_its_share_of_the_experts_and_all_the_rest() -> None:
    tensors = [("mlp.gate.weight", (8, 4), 10), ("mlp.experts.up_proj", (8, 6, 4), 81)]
    assert EIGHT.read(tensors) == 10 + 21
    assert Experts().read(tensors) == 91


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, Experts()),
        ({"num_experts": 64, "num_experts_per_tok": 8}, Experts(64, 8)),
        ({"n_routed_experts": 256, "num_experts_per_tok": 8}, Experts(256, 8)),
        ({"num_local_experts": 8, "num_experts_per_tok": 2}, Experts(8, 2)),
        ({"moe_num_experts": 64, "moe_topk": 6}, Experts(64, 6)),
        ({"num_experts": 4, "num_experts_per_tok": 9}, Experts(4, 4)),
        ({"num_experts": 0, "num_experts_per_tok": 0}, Experts()),
        ({"num_experts": 64}, Experts()),
        ({"text_config": {"num_local_experts": 16, "num_experts_per_tok": 1}}, Experts(16, 1)),
    ],
)
def test_the_config_tells_how_many_are_chosen(config: dict[str, Any], expected: Experts) -> None:
    whole = {"model_type": "m", "hidden_size": 8, "num_hidden_layers": 2} | config
    assert read_experts(settings_of(Path("m"), whole)) == expected


def test_a_card_tells_what_a_token_reads_of_each_layer(tmp_path: Path) -> None:
    experts = {"num_experts": 8, "num_experts_per_tok": 2}
    layers = in_layers([ATTENTION | SHARED, ATTENTION | ROUTER | SHARED | STACK])
    card = read_card(write_model(tmp_path, layers, **experts))
    dense, stacked = 128 + 128, 8 * 6 * 8 * 2
    assert card.layer_bytes == (dense, dense + 128 + stacked)
    assert card.layer_read_bytes == (dense, dense + 128 + stacked // 4)


def test_a_layer_without_experts_is_read_whole(tmp_path: Path) -> None:
    card = read_card(write_model(tmp_path, in_layers([ATTENTION, ATTENTION])))
    assert card.layer_read_bytes == card.layer_bytes
