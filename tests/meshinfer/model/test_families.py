"""Where models of each family can be cut, from config.json alone."""

from typing import Any

import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.families import allowed_cuts, check_cuts

ALL = tuple(range(1, 10))
SLIDING, FULL = "sliding_attention", "full_attention"


@pytest.mark.parametrize(
    ("architecture", "config", "cuts"),
    [
        ("llama", {}, ALL),
        ("rwkv7", {}, ALL),
        ("hunyuan", {"use_cla": True, "cla_share_factor": 2}, ALL),
        ("kimi_k3", {"attn_res_block_size": 3}, ALL),
        ("iquestloopcoder", {}, ()),
        ("nanbeige", {}, ALL),
        ("nanbeige", {"num_loops": 1, "loop_loss_weights": []}, ALL),
        ("nanbeige", {"num_loops": 2}, ()),
        ("nanbeige", {"num_loops": 1, "loop_loss_weights": [1.0]}, ()),
        ("afm7", {"num_kv_reuse_layers": 0}, ALL),
        ("afm7", {"num_kv_reuse_layers": 4}, (1, 2, 3, 4, 5)),
        ("afm7", {"num_kv_reuse_layers": 9}, ()),
        ("gemma3n", {"num_kv_shared_layers": 0}, ALL),
        # Layers 6 and 7 are read: they stay with those behind them.
        ("gemma3n", {"num_kv_shared_layers": 2, "layer_types": [SLIDING, FULL] * 5}, (1, 2, 3, 4, 5, 6)),
        # Layer 4 is the last one with full attention of its own.
        ("gemma4", {"num_kv_shared_layers": 4, "sliding_window_pattern": 5}, (1, 2, 3, 4)),
        ("gemma4_text", {"num_kv_shared_layers": 1, "layer_types": [SLIDING, FULL] * 5}, ALL[:7]),
        (
            "deepseek_v41",
            {
                "compress_ratios": [0, 2, 2, 2, 1, 1, 0],
                "kv_source_layer_ids": [1, 4],
                "index_source_layer_ids": [1, 2, 4, 5],
                "candidate_source_layer_id": 4,
            },
            (1, 4, 6, 7, 8, 9),
        ),
    ],
)
def test_a_model_can_be_cut_where_its_family_says(
    architecture: str, config: dict[str, Any], cuts: tuple[int, ...]
) -> None:
    assert allowed_cuts(architecture, config, 10) == cuts


@pytest.mark.parametrize("architecture", ["llama", "gemma4", "iquestloopcoder"])
def test_a_model_of_one_layer_has_no_cut(architecture: str) -> None:
    assert allowed_cuts(architecture, {}, 1) == ()


@pytest.mark.parametrize(
    ("architecture", "config", "text"),
    [
        ("gemma4", {"num_kv_shared_layers": "x"}, "num_kv_shared_layers is 'x'"),
        ("gemma4", {"num_kv_shared_layers": 10}, "10 of 10 layers have no keys"),
        ("gemma3n", {"num_kv_shared_layers": 2, "layer_types": [FULL]}, "layer_types names 1 of 10"),
        ("deepseek_v41", {"compress_ratios": [0, "x"]}, "compress_ratios is"),
        ("nanbeige", {"num_loops": -1}, "num_loops is -1"),
    ],
)
def test_absurd_settings_are_named(architecture: str, config: dict[str, Any], text: str) -> None:
    with pytest.raises(BrokenModel, match=text):
        allowed_cuts(architecture, config, 10)


def test_a_shard_that_ends_elsewhere_is_refused_with_the_reason() -> None:
    check_cuts("afm7", (1, 2), range(2, 9), 9)
    with pytest.raises(
        UnsupportedModel, match=r"before layer 3: its last layers read.*possible are \[1, 2\]"
    ):
        check_cuts("afm7", (1, 2), range(1, 3), 9)
    with pytest.raises(
        UnsupportedModel, match=r"before layer 4: it runs.*more than once; run it on one peer"
    ):
        check_cuts("nanbeige", (), range(4, 9), 9)
    with pytest.raises(UnsupportedModel, match="before layer 1: more than the hidden state crosses there"):
        check_cuts("llama", (2,), range(1), 3)
