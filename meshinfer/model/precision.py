"""Precisions that weights can have: as people write them, and as mlx quantises."""

import difflib
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Precision:
    """How a conversion stores weights. bits: 16 for plain floats; mode, group_size: mlx's, of all others."""

    name: str
    bits: int
    mode: str = ""
    group_size: int = 0

    @property
    def is_quantised(self) -> bool:
        """Whether weights are packed in groups with scales."""
        return bool(self.mode)


PRECISIONS: dict[str, Precision] = {
    "bf16": Precision("bf16", 16),
    "8": Precision("8-bit", 8, "affine", 64),
    "6": Precision("6-bit", 6, "affine", 64),
    "5": Precision("5-bit", 5, "affine", 64),
    "4": Precision("4-bit", 4, "affine", 64),
    "3": Precision("3-bit", 3, "affine", 64),
    "2": Precision("2-bit", 2, "affine", 64),
    "mxfp8": Precision("mxfp8", 8, "mxfp8", 32),
    "mxfp4": Precision("mxfp4", 4, "mxfp4", 32),
    "nvfp4": Precision("nvfp4", 4, "nvfp4", 16),
}
"""Finest first, then mlx's floating-point formats; groups are as large as mlx_lm.convert makes them."""

_BITS = re.compile(r"(?:q|int)?([2-8])(?:[-_ ]?bits?)?")
_FLOATS = {"bfloat16", "bf16", "fp16", "f16", "float16", "16", "half"}


class WrongPrecision(ValueError):
    """A text names no precision that mlx can store."""


def parse_precision(text: str) -> Precision:
    """Read `4`, `q4`, `4bit`, `4-bit`, `bf16`, `mxfp4`, …

    Raises:
        WrongPrecision: it is none of them; the text names those there are.
    """
    wanted = text.strip().lower()
    if wanted in _FLOATS:
        return PRECISIONS["bf16"]
    matched = _BITS.fullmatch(wanted)
    found = PRECISIONS.get(matched[1] if matched else wanted)
    if found is None:
        close = difflib.get_close_matches(wanted, PRECISIONS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise WrongPrecision(f"{text!r} is no precision: {hint}Give one of {', '.join(PRECISIONS)}")
    return found
