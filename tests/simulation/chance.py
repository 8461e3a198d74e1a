"""All chance of a simulation, from one seed."""

from dataclasses import dataclass
from hashlib import blake2b
from random import Random


@dataclass(frozen=True, slots=True)
class Chance:
    """One master seed. Whoever draws has a stream of its own: one more of them shifts no other's draws."""

    seed: int

    def stream(self, name: str) -> Random:
        """Begin the stream called `name`; asked again, it begins again."""
        return Random(int.from_bytes(blake2b(f"{self.seed}:{name}".encode(), digest_size=16).digest()))

    def below(self, name: str) -> "Chance":
        """Make the seed of a part of the simulation, which names its streams as it likes."""
        return Chance(self.stream(name).getrandbits(64))
