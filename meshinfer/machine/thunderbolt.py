"""Thunderbolt ports of a computer, and who is at the other end of each cable."""

from dataclasses import dataclass

TB5_BIT_S = 80_000_000_000
"""What two Thunderbolt 5 ports negotiate; RDMA is there at this speed only."""


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Another computer behind a port.

    domain: UUID of its bus, upper case; the other computer names the same one as its own. model: such as
    `Mac15,14`, empty where it does not tell. has_rdma: it offers RDMA now. is_via_hub: there is a dock or a
    disk in between, which costs speed.
    """

    domain: str
    model: str = ""
    has_rdma: bool = False
    is_via_hub: bool = False


@dataclass(frozen=True, slots=True)
class ThunderboltPort:
    """A port of this computer.

    domain: UUID of its bus, upper case, empty where the system does not tell. receptacle: its number in
    `Thunderbolt 4`, 0 where none is told. speed_bit_s: as negotiated, 0 while nothing is plugged in.
    most_bit_s: what the port could do, 0 where it is not told, as while something is plugged in.
    """

    domain: str
    receptacle: int
    speed_bit_s: int = 0
    most_bit_s: int = 0
    far_ends: tuple[FarEnd, ...] = ()

    @property
    def generation(self) -> int:
        """5 or 4, by the speeds it tells."""
        return 5 if max(self.speed_bit_s, self.most_bit_s) >= TB5_BIT_S else 4

    @property
    def cables(self) -> tuple[str, ...]:
        """A name for the way to each computer behind this port; both ends come to the same one."""
        return tuple(cable_name(self.domain, end.domain) for end in self.far_ends if self.domain)


def cable_name(one_domain: str, other_domain: str) -> str:
    """A name for the cable between two buses, whichever of them asks. Domains are firmware's, and stay."""
    first, second = sorted((one_domain.upper(), other_domain.upper()))
    return f"{first}/{second}"
