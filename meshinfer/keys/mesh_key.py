"""The secret that makes a machine a member of a mesh, and what is derived from it."""

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class MeshKey:
    """A mesh's key. secret: 32 random bytes; it is never shown but in an invitation, and never logged.

    label: eight hex digits by which people tell keys apart; nothing of the key can be got from them.

    Raises:
        ValueError: it has another length.
    """

    secret: bytes = field(repr=False)
    label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"a mesh key has {KEY_BYTES} bytes, not {len(self.secret)}")
        # Derived once: it is compared far more often than keys are made.
        object.__setattr__(self, "label", self.derive("label", 4).hex())

    @classmethod
    def draw(cls) -> "MeshKey":
        """Make a new key."""
        return cls(os.urandom(KEY_BYTES))

    def derive(self, purpose: str, size_bytes: int = KEY_BYTES) -> bytes:
        """A secret for one purpose (HKDF, RFC 5869): none of them tells anything of another."""
        hkdf = HKDF(SHA256(), size_bytes, salt=b"meshinfer", info=purpose.encode())
        return hkdf.derive(self.secret)
