"""What a peer tells of its machine for people to look at: no plan depends on it."""

from dataclasses import dataclass

from .ring import PeerId

MAX_CARRIERS = 8
MAX_CARRIED = 32
MAX_CABLES = 16
MAX_WORDS = 64
"""Characters of a text: it stands in a table."""

_DOMAIN_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Carrier:
    """By what the traffic to some peers goes at present.

    interface: of the owner's machine; kind: what that is, such as `Thunderbolt 5`; both empty where it is not
    known. fabric: the backend of `mx.distributed` that carries it, or that payloads go in clear; empty for
    what is usual.
    """

    peers: tuple[PeerId, ...]
    interface: str = ""
    kind: str = ""
    fabric: str = ""

    @property
    def text(self) -> str:
        """`Thunderbolt 5 en7, jaccl`; empty where nothing is known."""
        port = f"{self.kind} {self.interface}".strip()
        return ", ".join(filter(None, (port, self.fabric)))


@dataclass(frozen=True, slots=True)
class Cable:
    """A Thunderbolt cable that leads from the owner's machine to another computer.

    domain, far_domain: ids of the buses at its ends, 32 hex digits; the other computer's own one is
    far_domain. is_used: whether a link of any peer goes by it, or may have done a moment ago.
    """

    domain: str
    far_domain: str
    is_used: bool


@dataclass(frozen=True, slots=True)
class Equipment:
    """A machine as its peer tells of it; what is not known is empty or 0.

    rdma: in a few words, how it is with RDMA over Thunderbolt. milliwatts: what the machine takes, coarsely.
    """

    rdma: str = ""
    milliwatts: int = 0
    carriers: tuple[Carrier, ...] = ()
    cables: tuple[Cable, ...] = ()

    def __post_init__(self) -> None:
        texts = [self.rdma, *(text for each in self.carriers for text in _texts(each))]
        if any(len(text) > MAX_WORDS for text in texts):
            raise ValueError(f"a text about a machine has at most {MAX_WORDS} characters")
        carried = sum(len(each.peers) for each in self.carriers)
        if len(self.carriers) > MAX_CARRIERS or carried > MAX_CARRIED or len(self.cables) > MAX_CABLES:
            raise ValueError(
                f"a machine tells of at most {MAX_CARRIERS} carriers of links to {MAX_CARRIED} peers, and of "
                f"{MAX_CABLES} cables"
            )
        domains = [domain for each in self.cables for domain in (each.domain, each.far_domain)]
        if self.milliwatts < 0 or any(len(domain) != _DOMAIN_DIGITS for domain in domains):
            raise ValueError("a machine takes no power below 0, and its buses have ids of 32 hex digits")

    def carrier_to(self, peer: PeerId) -> Carrier | None:
        """By what the traffic to `peer` goes; None where that is not known."""
        return next((each for each in self.carriers if peer in each.peers), None)


def _texts(carrier: Carrier) -> tuple[str, ...]:
    return carrier.interface, carrier.kind, carrier.fabric
