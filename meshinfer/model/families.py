"""Model families whose layers hang together in more ways than by the hidden state: one row each.

Most of mlx-lm's architectures need no row: `slicing.survey` watches the model run once, lazily, and finds
out where it can be cut. What a row says is what such a look cannot show, and what a planner must know that
has no more than config.json.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meshinfer.errors import BrokenModel, UnsupportedModel

from .cutrules import CutRule, anywhere, before_reused, between_sources, nowhere, where_one_lap


@dataclass(frozen=True, slots=True)
class Family:
    """How layers of one architecture hang together.

    cuts: the rule for where it can be cut. why: what forbids the other places, in words.
    hidden: the layer's parameter that takes the hidden state, where it is not the first.
    side_outputs: how many values a layer returns beside the hidden state.
    carried: parameters of a layer, in the order of the first of those values, that cross a cut with the
        hidden state: an array (rows, tokens, …), some of them, or an object that gathers hidden states.
    carried_each: parameters that the model makes of the token ids for every layer, (rows, tokens, …) each;
        those of all later layers cross a cut. carried_on: one that is the same for all layers.
    remade: parameters among the side values that a layer makes itself where it is given none.
    is_batchable: whether sessions of unequal length come out right in one batch, as far as it can be tried.
    is_lazy: whether its graph can be built before its input is there.
    """

    cuts: CutRule = anywhere
    why: str = ""
    hidden: str = ""
    side_outputs: int = 0
    carried: tuple[str, ...] = ()
    carried_each: tuple[str, ...] = ()
    carried_on: tuple[str, ...] = ()
    remade: tuple[str, ...] = ()
    is_batchable: bool = True
    is_lazy: bool = True

    @property
    def has_sides(self) -> bool:
        """Whether anything beside the hidden state crosses a cut."""
        return bool(self.carried or self.carried_each or self.carried_on)


PLAIN = Family()

_REUSE = "its last layers read keys and values of earlier ones"
_LAPS = "it runs through its layers more than once"
_DEEPSEEK_V41 = Family(
    cuts=between_sources,
    why="layers read compressed keys, or a choice of them, of earlier ones",
    side_outputs=1,
    carried=("pre_mix",),
)
_GEMMA4 = Family(cuts=before_reused, why=_REUSE, side_outputs=2, carried_each=("per_layer_input",))

FAMILIES: dict[str, Family] = {
    # It takes positions from the width of a batch.
    "afm7": Family(cuts=before_reused, why=_REUSE, is_batchable=False),
    # It picks experts by numbers that it looks at.
    "dbrx": Family(is_lazy=False),
    "deepseek_v41": _DEEPSEEK_V41,
    "deepseek_v41_text": _DEEPSEEK_V41,
    "gemma3n": Family(cuts=before_reused, why=_REUSE, carried_each=("per_layer_input",)),
    "gemma4": _GEMMA4,
    "gemma4_text": _GEMMA4,
    "gemma4_unified": _GEMMA4,
    "hunyuan": Family(side_outputs=1, carried=("shared_kv_states",)),
    "iquestloopcoder": Family(cuts=nowhere, why=_LAPS),
    "kimi_k3": Family(side_outputs=1, carried=("blocks",)),
    # What it attends to is chosen in blocks, which padding moves.
    "minimax_m3_vl": Family(is_batchable=False),
    "muse_spark": Family(side_outputs=1, remade=("attn_input",)),
    "nanbeige": Family(cuts=where_one_lap, why=_LAPS),
    "rwkv7": Family(side_outputs=1, carried=("v_first",)),
    "talkie": Family(hidden="x", carried_on=("e_x",)),
}


def family_of(architecture: str) -> Family:
    """The row of an architecture, named as config.json or mlx-lm's module; the plain one when it has none."""
    return FAMILIES.get(architecture, PLAIN)


def allowed_cuts(architecture: str, config: Mapping[str, Any], layer_count: int) -> tuple[int, ...]:
    """The layers before which such a model can be cut, in ascending order; the same on every machine.

    config: config.json; of a model with images, the part about text.

    Raises:
        BrokenModel: a setting that the rule needs is absurd.
    """
    try:
        found = family_of(architecture).cuts(config, layer_count)
    except ValueError as error:
        raise BrokenModel(f"config.json of a {architecture} model: {error}") from error
    return tuple(cut for cut in range(1, layer_count) if cut in found)


def check_cuts(architecture: str, cuts: Iterable[int], layers: range, layer_count: int) -> None:
    """Check that a shard of `layers` can be cut out of a model that can be cut before `cuts`.

    Raises:
        UnsupportedModel: not there.
    """
    allowed = sorted(cuts)
    for cut in (layers.start, layers.stop):
        if cut not in (0, layer_count, *allowed):
            why = family_of(architecture).why or "more than the hidden state crosses there"
            places = f"possible are {allowed[:100]}" if allowed else "run it on one peer"
            raise UnsupportedModel(
                f"a {architecture} model cannot be cut before layer {cut}: {why}; {places}"
            )
