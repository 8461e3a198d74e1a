"""Follows a packet to a port through a packet filter's chains, as far as its rules are understood."""

from collections.abc import Mapping
from dataclasses import dataclass

from .firewall_state import Verdict

_DEEPEST = 16
_MOST_RULES = 20_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a chain. protocol, ports: whom it is for, empty and None for all.

    is_never: it is not for new connections from other machines. is_conditional: whether it applies depends on
    what is not known here, such as the sender's address. target: ACCEPT, DROP, RETURN or a chain's name;
    empty for one that only counts or writes a log.
    """

    target: str = ""
    protocol: str = ""
    ports: tuple[tuple[int, int], ...] | None = None
    is_never: bool = False
    is_conditional: bool = False

    def may_apply(self, protocol: str, port: int) -> bool:
        """Whether a packet may be one of those that it is for."""
        if self.is_never or self.protocol not in ("", protocol):
            return False
        return self.ports is None or any(low <= port <= high for low, high in self.ports)


@dataclass(frozen=True, slots=True)
class Chain:
    """policy: what happens at its end; None for one that others jump to."""

    rules: tuple[Rule, ...]
    policy: Verdict | None = None


class _Walk:
    """One packet on its way. is_unsure: a condition on the way might have decided otherwise."""

    def __init__(self, chains: Mapping[str, Chain], protocol: str, port: int) -> None:
        self._chains = chains
        self._protocol = protocol
        self._port = port
        self._rules_left = _MOST_RULES
        self.may_accept = False
        self.may_drop = False

    def through(self, name: str, depth: int = 0, is_conditional: bool = False) -> Verdict | None:
        """What a chain decides; None where the packet comes back from it."""
        chain = self._chains.get(name)
        if chain is None or depth > _DEEPEST:
            return None
        for rule in chain.rules:
            self._rules_left -= 1
            if self._rules_left < 0:
                self.may_accept = self.may_drop = True
                return None
            if not rule.may_apply(self._protocol, self._port):
                continue
            depends = is_conditional or rule.is_conditional
            if rule.target == "RETURN" and not depends:
                return None
            decided = self._target(rule.target, depth, depends)
            if decided is not None and not depends:
                return decided
        return chain.policy if depth == 0 else None

    def _target(self, target: str, depth: int, depends: bool) -> Verdict | None:
        match target:
            case "ACCEPT":
                self.may_accept |= depends
                return Verdict.ACCEPT
            case "DROP":
                self.may_drop |= depends
                return Verdict.DROP
            case _:
                return self.through(target, depth + 1, depends)


def verdict(chains: Mapping[str, Chain], first: str, protocol: str, port: int) -> Verdict:
    """What becomes of a new connection from another machine. first: the chain where it enters."""
    walk = _Walk(chains, protocol, port)
    decided = walk.through(first) or Verdict.ACCEPT
    may_be_otherwise = walk.may_accept if decided is Verdict.DROP else walk.may_drop
    return Verdict.UNSURE if may_be_otherwise else decided


def strictest(verdicts: list[Verdict]) -> Verdict:
    """What becomes of a packet that must come through several filters."""
    for each in (Verdict.DROP, Verdict.UNSURE):
        if each in verdicts:
            return each
    return Verdict.ACCEPT
