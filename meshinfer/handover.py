"""What peers say to each other when a mesh changes its key. Frozen values; `wire.py` turns them into frames.

The key itself is in none of them in clear, and none of them goes over a third peer.
"""

from dataclasses import dataclass, field

PUBLIC_BYTES = 32
MAX_SEALED_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class AskKey:
    """Give me the key with this label, which you tell that you have. public: X25519, made for this alone."""

    label: str
    public: bytes

    def __post_init__(self) -> None:
        _check(self.label, self.public)


@dataclass(frozen=True, slots=True)
class GiveKey:
    """Answer to an AskKey. public: of who gives, X25519, made for this alone. sealed: for who asked alone."""

    label: str
    public: bytes
    sealed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.label, self.public)
        if len(self.sealed) > MAX_SEALED_BYTES:
            raise ValueError(f"a sealed key of {len(self.sealed):,} bytes, limit {MAX_SEALED_BYTES:,}")


def _check(label: str, public: bytes) -> None:
    if len(label) != 8 or len(public) != PUBLIC_BYTES:
        raise ValueError(f"a key has a label of 8 characters, and is handed over by {PUBLIC_BYTES} bytes")
