"""Model families that cannot be cut anywhere like the rest: one row each.

Most of mlx-lm's architectures need no row: `slicing.survey` watches the model run once, lazily, and finds
out where it can be cut. What a row says is what such a look cannot show.
"""

from dataclasses import dataclass

from meshinfer.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Family:
    """How layers of one architecture hang together.

    uncuttable: why its layers must stay on one peer; empty when they need not.
    cut_multiple: the setting in config.json whose multiples are the only places to cut at ("" if any is).
    side_outputs: values that a layer returns beside the hidden state and that never cross a cut.
    is_batchable: whether sessions of unequal length come out right in one batch, as far as it can be tried.
    """

    uncuttable: str = ""
    cut_multiple: str = ""
    side_outputs: int = 0
    is_batchable: bool = True


PLAIN = Family()

FAMILIES: dict[str, Family] = {
    # It takes positions from the width of a batch.
    "afm7": Family(uncuttable="its last layers reuse keys and values of earlier ones", is_batchable=False),
    "gemma3n": Family(uncuttable="its last layers reuse keys and values of earlier ones"),
    "gemma4": Family(uncuttable="its last layers reuse keys and values of earlier ones"),
    "gemma4_text": Family(uncuttable="its last layers reuse keys and values of earlier ones"),
    "hunyuan": Family(cut_multiple="cla_share_factor", side_outputs=1),
    "iquestloopcoder": Family(uncuttable="it runs through its layers more than once"),
    "nanbeige": Family(uncuttable="it runs through its layers more than once"),
    "rwkv7": Family(uncuttable="every layer reads a value of the first one"),
}


def family_of(architecture: str) -> Family:
    """The row of an architecture, named as mlx-lm names its module; the plain one when it has none."""
    return FAMILIES.get(architecture, PLAIN)


def check_cuts(architecture: str, config: dict[str, object], layers: range, layer_count: int) -> Family:
    """Check that a shard of `layers` can be cut out of such a model, as far as its family tells.

    Raises:
        UnsupportedModel: the family cannot be cut, or not there.
    """
    family = family_of(architecture)
    if len(layers) == layer_count:
        return family
    if family.uncuttable:
        raise UnsupportedModel(
            f"a {architecture} model cannot be spread over several peers: {family.uncuttable}; "
            "run it on one peer"
        )
    multiple = config.get(family.cut_multiple, 1) if family.cut_multiple else 1
    if not isinstance(multiple, int) or multiple < 1:
        raise UnsupportedModel(
            f"config.json: {family.cut_multiple} is {multiple!r}, a number ≥ 1 is expected"
        )
    for cut in (layers.start, layers.stop):
        if cut % multiple and cut != layer_count:
            raise UnsupportedModel(
                f"a {architecture} model can be cut at multiples of {multiple} layers, not at layer {cut}"
            )
    return family
