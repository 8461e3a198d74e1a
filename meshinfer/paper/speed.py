"""How long a stage needs for tokens: the formulas, and what they are calibrated with.

A decode step of a stage takes

    weights and KV cache that it reads / (bandwidth × DECODE_SHARE) + what starting its kernels costs

and a piece of a prompt

    2 × parameters that a token goes through × tokens / (TFLOPs × PREFILL_SHARE).

Attention over what a long prompt has behind it comes on top and is not counted. The shares were fitted to
published figures, see `tests/meshinfer/paper/test_published.py`.
"""

from meshinfer.model.base import Sketch

from .machines import Machine

DECODE_SHARE = 0.85
"""Share of the published bandwidth that reading weights reaches."""

MODULE_S = 9e-6
"""What starting the kernels of a module with weights costs, whatever their size."""

CHOICE_S = 100e-6
"""What a layer that chooses among experts needs for it besides."""

PREFILL_SHARE = 0.55
"""Share of the TFLOPs that long products of quantised weights reach; among experts it is less."""


def ns_per_mib(sketch: Sketch, machine: Machine) -> int:
    """What a peer would measure: nanoseconds of a decode step per MiB of weights that it reads."""
    read_bytes = sum(sketch.card.layer_read_bytes) + sketch.card.tail_bytes
    reading_s = read_bytes / (machine.chip.bandwidth_gb_s * 1e9 * DECODE_SHARE)
    return max(1, round((reading_s + starting_s(sketch)) * 1e9 * (1 << 20) / read_bytes))


def starting_s(sketch: Sketch) -> float:
    """What starting the kernels of a token costs, over all layers."""
    card = sketch.card
    choosing = sum(one < whole for one, whole in zip(card.layer_read_bytes, card.layer_bytes, strict=True))
    return sum(sketch.layer_modules) * MODULE_S + choosing * CHOICE_S


def read_bytes(sketch: Sketch, layers: range, rows: int) -> int:
    """Weights that a step of `rows` sessions reads in some layers, and in the tail's matrix where they end.

    Sessions choose their experts alone: two rarely share them, hundreds need them all.
    """
    card, share = sketch.card, sketch.experts_chosen / sketch.expert_count
    layers_bytes = 0.0
    for layer in layers:
        whole, one = card.layer_bytes[layer], card.layer_read_bytes[layer]
        experts_bytes = (whole - one) / (1 - share) if share < 1 else 0
        layers_bytes += whole - experts_bytes * (1 - share) ** rows
    return round(layers_bytes) + (card.tail_bytes if layers.stop == card.layer_count else 0)


def flops(sketch: Sketch, layers: range, tokens: int) -> int:
    """Multiplications and additions of `tokens` tokens in some layers."""
    return 2 * tokens * sum(sketch.layer_parameters[layer] for layer in layers)


def compute_s(flop_count: int, tflops: float) -> float:
    """How long a GPU computes."""
    return flop_count / (tflops * 1e12 * PREFILL_SHARE)
