"""What peers say to each other about a model's files. Frozen values, as in `messages`.

A model is known by its content fingerprint, and a tensor by its name in the weight files. Who receives
decides what comes, and how much at once: every piece is asked for.
"""

from dataclasses import dataclass

from .messages import Tensor

MAX_NAMES = 1024
"""Tensors that one question names."""

MAX_NAME = 512
"""Characters of a tensor's name."""

MAX_PIECE_BYTES = 16 << 20
"""The longest piece that is asked for at once."""


def _check(fingerprint: str, names: tuple[str, ...], begin: int = 0, size_bytes: int = 0) -> None:
    if len(names) > MAX_NAMES or any(len(name) > MAX_NAME for name in (fingerprint, *names)):
        raise ValueError(f"a question names at most {MAX_NAMES} tensors, each by {MAX_NAME} characters")
    if begin < 0 or not 0 <= size_bytes <= MAX_PIECE_BYTES:
        raise ValueError(f"a piece of {size_bytes} bytes from byte {begin} on; limit {MAX_PIECE_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class AskBlueprint:
    """Give me the model's blueprint, from byte `begin` on."""

    fingerprint: str
    begin: int = 0

    def __post_init__(self) -> None:
        _check(self.fingerprint, (), self.begin)


@dataclass(frozen=True, slots=True)
class BlueprintPart:
    """Bytes of an encoded blueprint from `begin` on; total_bytes: 0 where it is not here."""

    fingerprint: str
    begin: int
    total_bytes: int
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class AskHeld:
    """Which of these tensors do you have?"""

    fingerprint: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        _check(self.fingerprint, self.names)


@dataclass(frozen=True, slots=True)
class Held:
    """Those that are here. sha256s: of each tensor's bytes, in hex, in the order of `names`."""

    fingerprint: str
    names: tuple[str, ...]
    sha256s: tuple[str, ...]

    def __post_init__(self) -> None:
        _check(self.fingerprint, self.names)
        if len(self.sha256s) != len(self.names) or any(len(sha256) != 64 for sha256 in self.sha256s):
            raise ValueError("each tensor that is held has a SHA-256, 64 hex digits")


@dataclass(frozen=True, slots=True)
class AskPiece:
    """Give me bytes begin, …, begin + size_bytes - 1 of a tensor."""

    fingerprint: str
    name: str
    begin: int
    size_bytes: int

    def __post_init__(self) -> None:
        _check(self.fingerprint, (self.name,), self.begin, self.size_bytes)


@dataclass(frozen=True, slots=True)
class PieceOf:
    """Those bytes, as one tensor of uint8; none where they cannot be had here any more."""

    fingerprint: str
    name: str
    begin: int
    tensors: tuple[Tensor, ...] = ()
