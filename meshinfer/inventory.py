"""Puts together what a peer tells others of its machine: cables, RDMA and power, as far as they are known."""

import re
from collections.abc import Iterable, Sequence

from meshinfer.topology.equipment import (
    MAX_CABLES,
    MAX_CARRIED,
    MAX_CARRIERS,
    MAX_WORDS,
    Cable,
    Carrier,
    Equipment,
)
from meshinfer.topology.quantise import Steady
from meshinfer.topology.ring import PeerId
from meshinfer.transports.address import CLEAR

from .actors.cables import CableView
from .fabric import JACCL, RING
from .machine.facts import MachineFacts
from .machine.netkinds import Kind, NetworkFacts, cables_of, kind_of
from .machine.network_line import kind_text
from .machine.watts import Watts

_WATTS_SETTLE_S = 10.0
_UNUSED_AFTER_S = 15.0
"""A cable that was just plugged in, or whose link is being made anew, is not called unused."""

_BESIDE_TLS = {RING: RING, JACCL: JACCL, CLEAR: "in clear, proved"}
_DOMAIN = re.compile(r"[0-9a-f]{32}")


class Inventory:
    """What is told moves seldom, since each change goes to everybody."""

    def __init__(self) -> None:
        # Who computes takes more at once, and less for a moment between two answers.
        self._milliwatts = Steady(_WATTS_SETTLE_S, better=1)
        self._used_s: dict[tuple[str, str], float] = {}

    def taken(
        self, facts: MachineFacts | None, watts: Watts | None, links: Iterable[CableView], now_s: float
    ) -> Equipment:
        """What to tell now. facts, watts: None while nothing is known. links: all of this peer's."""
        known, network = list(links), facts.network if facts is not None else NetworkFacts()
        return Equipment(
            facts.rdma.brief[:MAX_WORDS] if facts is not None else "",
            self._power(watts, now_s),
            _carriers(known, network),
            self._cables(known, network, now_s),
        )

    def _power(self, watts: Watts | None, now_s: float) -> int:
        if watts is None:
            self._milliwatts = Steady(_WATTS_SETTLE_S, better=1)
        elif (milliwatts := round(1000 * watts.watts)) > 0:
            self._milliwatts.measured(milliwatts, now_s)
        return self._milliwatts.value

    def _cables(self, links: Sequence[CableView], network: NetworkFacts, now_s: float) -> tuple[Cable, ...]:
        carrying = {name for link in links for name in cables_of(link.path.interface, network)}
        plugged = {
            ends: cable
            for each in network.interfaces
            if each.port is not None
            for far, cable in zip(each.port.far_ends, each.port.cables, strict=False)
            if (ends := _ends(each.port.domain, far.domain)) is not None
        }
        self._used_s = {
            ends: now_s if cable in carrying else self._used_s.get(ends, now_s)
            for ends, cable in sorted(plugged.items())[:MAX_CABLES]
        }
        return tuple(
            Cable(*ends, is_used=now_s - used_s < _UNUSED_AFTER_S) for ends, used_s in self._used_s.items()
        )


def _ends(domain: str, far_domain: str) -> tuple[str, str] | None:
    """The ids of two buses as they are told; None where one is none."""
    one, other = (each.replace("-", "").lower() for each in (domain, far_domain))
    return (one, other) if _DOMAIN.fullmatch(one) and _DOMAIN.fullmatch(other) else None


def _carriers(links: Iterable[CableView], network: NetworkFacts) -> tuple[Carrier, ...]:
    """By what the traffic goes: peers whose links go by the same are told of together."""
    peers: dict[tuple[str, str, str], list[PeerId]] = {}
    primary = sorted((each for each in links if each.path.is_primary), key=lambda each: each.peer)
    for link in primary[:MAX_CARRIED]:
        peers.setdefault(_carrying(link, network), []).append(link.peer)
    told = [(by, each) for by, each in sorted(peers.items()) if any(by)][:MAX_CARRIERS]
    return tuple(Carrier(tuple(each), *map(_words, by)) for by, each in told)


def _words(text: str) -> str:
    """As it may be told: an interface's name can be any bytes."""
    return "".join(filter(str.isprintable, text))[:MAX_WORDS]


def _carrying(link: CableView, network: NetworkFacts) -> tuple[str, str, str]:
    """The interface, what it is, and what carries it in place of TLS; each empty where unknown, or none."""
    scheme = link.path.local.partition("://")[0]
    fabric = _BESIDE_TLS.get(scheme, "")
    name = link.path.interface
    kind = kind_of(name, network) if name else Kind.OTHER
    if kind is Kind.LOOPBACK:
        # Whatever its name, both ends are on one machine.
        return "", kind.value, fabric
    return name, kind_text(name, network) if kind is not Kind.OTHER else "", fabric
