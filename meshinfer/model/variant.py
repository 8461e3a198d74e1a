"""How a model is run other than its files say: in another number type, with a quantised KV cache, or adapted.

A variant is a model of its own, whose config.json says so in one more setting. So it has a fingerprint of its
own, goes to other peers like any model, and a ring can never mix variants.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from meshinfer.errors import BrokenModel, UnsupportedModel

SETTING = "meshinfer"
"""What config.json of a variant has more than the model's own."""

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapters.safetensors"

ADAPTER_PREFIX = "adapter."
"""Before the names of an adapter's tensors in a variant's directory: the model may have the same names."""

DTYPES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Types that a model's floats can be cast to, with the bytes of a number."""

KV_BITS = (2, 3, 4, 6, 8)
KV_GROUP_SIZES = (64, 32)
"""How many numbers share a scale in a quantised KV cache: the first that divides a head."""


@dataclass(frozen=True, slots=True)
class Variant:
    """dtype: of weights, scales and states that are floats, "" for that of the files. kv_bits: 0 keeps the KV
    cache in floats. adapter: the directory, as the user wrote it; in config.json its name.

    Raises:
        UnsupportedModel: there is no such type, or number of bits.
    """

    dtype: str = ""
    kv_bits: int = 0
    adapter: str = ""

    def __post_init__(self) -> None:
        if self.dtype and self.dtype not in DTYPES:
            raise UnsupportedModel(f"dtype {self.dtype!r}: give one of {', '.join(DTYPES)}")
        if self.kv_bits and self.kv_bits not in KV_BITS:
            bits = ", ".join(map(str, KV_BITS))
            raise UnsupportedModel(f"a KV cache of {self.kv_bits} bits: give one of {bits}")

    @property
    def is_plain(self) -> bool:
        """Whether the model is run as its files say."""
        return self == Variant()

    @property
    def suffix(self) -> str:
        """For the model's name: `+float32+kv8+my-adapter`."""
        kv = f"kv{self.kv_bits}" if self.kv_bits else ""
        adapter = re.sub(r"[^\w.-]", "-", Path(self.adapter).name) if self.adapter else ""
        return "".join(f"+{part}" for part in (self.dtype, kv, adapter) if part)

    def __str__(self) -> str:
        """As `split_variant` reads it, behind a model's name or source."""
        given = {key: quote(str(value), safe="/ +~:") for key, value in asdict(self).items() if value}
        return "&".join(f"{key}={value}" for key, value in given.items())


def split_variant(wanted: str) -> tuple[str, Variant]:
    """Take `org/name?dtype=float32&kv_bits=8&adapter=PATH` apart.

    Raises:
        UnsupportedModel: what stands behind the question mark is none of these.
    """
    model, mark, text = wanted.rpartition("?")
    if not mark:
        return wanted, Variant()
    given = dict(parse_qsl(text.replace("+", "%2B"), keep_blank_values=True))
    kv_bits = given.pop("kv_bits", "0")
    dtype, adapter = given.pop("dtype", ""), given.pop("adapter", "")
    if given or not kv_bits.isdecimal():
        raise UnsupportedModel(
            f"{wanted!r}: behind the question mark stand dtype=…, kv_bits=… and adapter=…, joined by &"
        )
    return model, Variant(dtype, int(kv_bits), adapter)


def read_variant(config: dict[str, Any]) -> Variant:
    """What a config.json says of its variant.

    Raises:
        BrokenModel: it is not what `make_variant` writes.
    """
    match config.get(SETTING, {}):
        case {"dtype": str(dtype), "kv_bits": int(kv_bits), "adapter": str(adapter)}:
            return Variant(dtype, kv_bits, adapter)
        case {**nothing} if not nothing:
            return Variant()
        case other:
            raise BrokenModel(f"config.json says {SETTING} = {str(other)[:200]}: fetch the model again")
