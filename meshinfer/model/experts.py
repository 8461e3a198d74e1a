"""Mixtures of experts: how much of a layer a token reads, from its tensors' names and shapes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .settings import Settings

_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_CHOSEN = (
    "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "top_k_experts",
    "experts_per_token",
)  # fmt: skip

_FEED_FORWARD = re.compile(r"(^|\.)(\w*moe\w*|mlp|ffn|feed_forward|experts|switch_\w+)\.")
_SHARED = re.compile(r"(^|\.)shared_\w+\.")
# Checkpoints that nobody has converted hold each expert's tensors apart.
_ONE_EXPERT = re.compile(r"(^|\.)experts\.\d+\.")
_NAMED = re.compile(r"(^|\.)(experts|switch_\w+)\.")


@dataclass(frozen=True, slots=True)
class Experts:
    """How many experts a layer has to choose from, and how many a token goes through; 1 of 1 where none."""

    count: int = 1
    chosen: int = 1

    def is_chosen(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a tensor, by its name within the layer, holds experts that a token may leave out.

        Experts are stacked in one tensor, whose first dimension counts them. What all tokens go through, as
        routers and shared experts, is none.
        """
        if self.count == 1 or _SHARED.search(name) or not _FEED_FORWARD.search(name):
            return False
        is_stack = shape[:1] == (self.count,) and (len(shape) > 2 or _NAMED.search(name) is not None)
        return is_stack or _ONE_EXPERT.search(name) is not None

    def read(self, tensors: Iterable[tuple[str, tuple[int, ...], int]]) -> int:
        """How much of a layer one token reads, of tensors (name, shape, amount); rounded up."""
        whole = stacked = 0
        for name, shape, amount in tensors:
            if self.is_chosen(name, shape):
                stacked += amount
            else:
                whole += amount
        return whole + -(-stacked * self.chosen // self.count)


def read_experts(settings: Settings) -> Experts:
    """What config.json says of a model's experts; where it says nothing, every token reads everything."""
    count, chosen = settings.number(*_EXPERTS), settings.number(*_CHOSEN)
    return Experts(count, min(chosen, count)) if count and chosen else Experts()
