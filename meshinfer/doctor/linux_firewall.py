"""What becomes of a peer's packets on Linux, from what the packet filter's tools and their masters tell."""

from dataclasses import dataclass

from . import iptables
from .firewall_state import FirewallState, Verdict
from .nftables import Table, read_nftables
from .packet_filter import strictest, verdict


@dataclass(frozen=True, slots=True)
class LinuxFirewall:
    """nft, rules: what `nft -j list ruleset` and `iptables -S` told; None where a tool is missing or refused.

    is_ufw_on, is_firewalld_on: whether one of these writes the rules. refusal: why a tool told nothing.
    """

    nft: str | None = None
    rules: str | None = None
    is_ufw_on: bool = False
    is_firewalld_on: bool = False
    refusal: str = ""


def judge_linux(seen: LinuxFirewall, port: int) -> FirewallState:
    """Judge packets to `port`, by TCP and by UDP."""
    tables = read_nftables(seen.nft) if seen.nft is not None else []
    chains = iptables.read_iptables(seen.rules) if seen.rules is not None else {}
    name = _name(seen, tables, bool(chains))
    if not name:
        return FirewallState()
    if seen.nft is None and seen.rules is None:
        return FirewallState(name, unread=seen.refusal or "its rules cannot be read")
    verdicts = {}
    for protocol in ("tcp", "udp"):
        told = [verdict(t.chains, entry, protocol, port) for t in tables for entry in t.entries]
        told += [verdict(chains, iptables.FIRST, protocol, port)] if iptables.FIRST in chains else []
        verdicts[protocol] = strictest(told)
    return FirewallState(name, verdicts["tcp"], verdicts["udp"], _opening(seen, tables, port, verdicts))


def _name(seen: LinuxFirewall, tables: list[Table], has_chains: bool) -> str:
    if seen.is_ufw_on:
        return "ufw"
    if seen.is_firewalld_on:
        return "firewalld"
    if any(table.entries for table in tables):
        return "nftables"
    if has_chains:
        return "iptables"
    return "the packet filter" if seen.refusal else ""


def _opening(
    seen: LinuxFirewall, tables: list[Table], port: int, verdicts: dict[str, Verdict]
) -> tuple[str, ...]:
    """What to type, to whoever writes the rules: rules put in beside it would not last."""
    if seen.is_ufw_on:
        return (f"sudo ufw allow {port}",)
    if seen.is_firewalld_on:
        ports = f"--add-port={port}/tcp --add-port={port}/udp"
        return (f"sudo firewall-cmd --permanent {ports}", "sudo firewall-cmd --reload")
    closed = [protocol for protocol, each in verdicts.items() if each is not Verdict.ACCEPT]
    places = [(table, entry) for table in tables for entry in table.entries]
    if places:
        table, entry = places[0]
        where = f"{table.family} {table.name} {entry}"
        return tuple(f"sudo nft insert rule {where} {each} dport {port} accept" for each in closed)
    return tuple(f"sudo iptables -I INPUT -p {each} --dport {port} -j ACCEPT" for each in closed)
