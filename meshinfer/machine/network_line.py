"""Says in a line which interfaces a peer uses, and what they are."""

from collections.abc import Iterable, Sequence

from meshinfer.transports.interfaces import Interface

from .netkinds import InterfaceFacts, Kind, NetworkFacts, kind_of

_MOST = 8


def network_line(used: Iterable[Interface], up: Iterable[Interface], facts: NetworkFacts) -> str:
    """`en7 Thunderbolt 5 80 Gb/s, en0 Ethernet 10 Gb/s; not used: utun3 utun4 VPN, awdl0 AirDrop`.

    used: the interfaces on which peers are looked for; up: all that are up. Loopback is not worth a word.
    """
    names = list(dict.fromkeys(each.name for each in used))
    text = _listed([interface_text(name, facts) for name in names]) or "no network"
    passed_over: dict[Kind, list[str]] = {}
    for each in up:
        kind = kind_of(each.name, facts)
        if each.addresses and each.name not in names and kind is not Kind.LOOPBACK:
            passed_over.setdefault(kind, []).append(each.name)
    told = [f"{' '.join(each[:_MOST])} {kind.value}" for kind, each in passed_over.items()]
    return f"{text}; not used: {_listed(told)}" if told else text


def interface_text(name: str, facts: NetworkFacts) -> str:
    """`en7 Thunderbolt 5 80 Gb/s`; of a bridge, what is plugged into it."""
    return " ".join(filter(None, (name, kind_text(name, facts), speed_text(_fastest(_plugged(name, facts))))))


def kind_text(name: str, facts: NetworkFacts) -> str:
    """`Thunderbolt 5`, `Ethernet`; of a bridge, what is plugged into it."""
    kind, plugged = kind_of(name, facts), _plugged(name, facts)
    generations = {each.port.generation for each in plugged if each.port is not None and each.port.receptacle}
    return f"{kind.value} {max(generations)}" if kind is Kind.THUNDERBOLT and generations else kind.value


def _plugged(name: str, facts: NetworkFacts) -> Sequence[InterfaceFacts]:
    """What is behind an interface and has something at its other end; all of it where nothing has."""
    behind = facts.behind(name)
    return [each for each in behind if each.has_carrier is not False] or behind


def speed_text(bit_s: int | None) -> str:
    """`80 Gb/s`, `2.5 Gb/s`, `100 Mb/s`; empty where none is told."""
    if not bit_s:
        return ""
    if bit_s >= 1_000_000_000:
        return f"{bit_s / 1e9:g} Gb/s"
    return f"{bit_s / 1e6:g} Mb/s"


def _fastest(plugged: Sequence[InterfaceFacts]) -> int | None:
    return max((each.speed_bit_s or 0 for each in plugged), default=None)


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST
    return ", ".join(texts[:_MOST]) + (f" and {more} more" if more > 0 else "")
