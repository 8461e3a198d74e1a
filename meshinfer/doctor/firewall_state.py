"""What a firewall does with packets to a port, as far as can be told from outside."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What happens to a packet from a peer. UNSURE: that depends on what is not known here."""

    ACCEPT = "accept"
    DROP = "drop"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class FirewallState:
    """name: which firewall, for people; empty where there is none. tcp, udp: what a peer's packets meet.

    opening: what to type so that they come through. unread: why its rules could not be read, empty if they
    were.
    """

    name: str = ""
    tcp: Verdict = Verdict.ACCEPT
    udp: Verdict = Verdict.ACCEPT
    opening: tuple[str, ...] = ()
    unread: str = ""
