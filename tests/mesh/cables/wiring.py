"""Hosts with several cables between them, on one Linux machine: namespaces, veth pairs, and their widths.

Every host has a cable to the hub as well, where the tests stand: each of its own network, and nobody
forwards, so peers don't reach each other by it. It is called veth…, which peers pass over.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from tests.mesh.chaos.network import NOBODY, Network, run_ip, why_no_network

FAST_MBIT = 10_000
SLOW_MBIT = 100
_BURST_BYTES = {FAST_MBIT: 256 << 10, SLOW_MBIT: 32 << 10}


def why_no_wiring() -> str:
    """Why hosts cannot be joined by cables here; empty where they can."""
    if why := why_no_network():
        return why
    return "" if shutil.which("tc") else "tc not installed (Debian: iproute2)"


@dataclass(frozen=True, slots=True)
class Cable:
    """Joins two hosts, or more over a switch. name: of its interfaces.

    network: `10.1.2` of 10.1.2.0/24; empty leaves hosts with the IPv6 addresses that they take anyway.
    """

    name: str
    hosts: tuple[str, ...]
    mbit: int
    network: str = ""


def pairs(hosts: Sequence[str]) -> list[Cable]:
    """A fast and a slow cable between any two."""
    return [
        Cable(f"{kind}-{one}{other}", (one, other), mbit, f"10.{number}.{subnet}")
        for number, (one, other) in enumerate(combinations(hosts, 2), start=1)
        for kind, mbit, subnet in (("fast", FAST_MBIT, 1), ("slow", SLOW_MBIT, 2))
    ]


def chain(hosts: Sequence[str]) -> list[Cable]:
    """A fast cable from each to the next, and a slow network that they all share."""
    fast = [
        Cable(f"fast-{one}{other}", (one, other), FAST_MBIT, f"10.{number}.1")
        for number, (one, other) in enumerate(pairwise(hosts), start=1)
    ]
    return [*fast, Cable("slow", tuple(hosts), SLOW_MBIT, "10.9.2")]


def local_only(hosts: Sequence[str]) -> list[Cable]:
    """A cable between any two, and no addresses but those that interfaces take by themselves."""
    return [Cable(f"link-{one}{other}", (one, other), FAST_MBIT) for one, other in combinations(hosts, 2)]


class Wiring(Network):
    """Namespaces for hosts by their names, joined by cables."""

    def __init__(self, names: Sequence[str], cables: Sequence[Cable]) -> None:
        super().__init__(names)
        self._cables = {cable.name: cable for cable in cables}
        self._addresses = {name: f"10.213.{number}.2" for number, name in enumerate(names, start=11)}

    def address_on(self, cable: str, host: str) -> str:
        """The address that a host has on a cable."""
        laid = self._cables[cable]
        return f"{laid.network}.{laid.hosts.index(host) + 11}"

    def down(self, cable: str) -> None:
        """Pull a cable at its first end; the other end loses its carrier."""
        run_ip("-n", self._namespace(self._cables[cable].hosts[0]), "link", "set", cable, "down")

    def up(self, cable: str) -> None:
        """Put it back. An interface that was down has lost its IPv6 addresses, and takes them anew."""
        run_ip("-n", self._namespace(self._cables[cable].hosts[0]), "link", "set", cable, "up")

    def mute(self, cable: str) -> None:
        """Let all that is sent over a cable of two hosts vanish, while both ends believe it to be well."""
        for host in self._cables[cable].hosts:
            entry = f"neigh replace {self._other_end(cable, host)} lladdr {NOBODY} nud permanent dev {cable}"
            self._in_host(host, entry)

    def unmute(self, cable: str) -> None:
        """Let things through again."""
        for host in self._cables[cable].hosts:
            self._in_host(host, f"neigh del {self._other_end(cable, host)} dev {cable}")

    def _other_end(self, cable: str, host: str) -> str:
        one, other = self._cables[cable].hosts
        return self.address_on(cable, other if host == one else one)

    def sent_bytes(self) -> dict[str, int]:
        """What went out by the cables so far, at all their ends together."""
        sent = dict.fromkeys(self._cables, 0)
        for host in self._addresses:
            for shown in json.loads(run_ip("-n", self._namespace(host), "-s", "-j", "link", "show")):
                if shown["ifname"] in sent:
                    sent[shown["ifname"]] += shown["stats64"]["tx"]["bytes"]
        return sent

    def _lay_cables(self) -> None:
        run_ip("netns", "add", self._hub)
        self._in_hub("link set lo up")
        for number, host in enumerate(self._addresses):
            namespace = self._namespace(host)
            run_ip("netns", "add", namespace)
            self._in_hub(f"link add port{number} type veth peer name vethhub netns {namespace}")
            self._in_hub(f"addr add 10.213.{number + 11}.1/24 dev port{number}")
            self._in_hub(f"link set port{number} up")
            self._in_host(host, "link set lo up")
            self._in_host(host, f"addr add {self._addresses[host]}/24 dev vethhub")
            self._in_host(host, "link set vethhub up")
        for number, cable in enumerate(self._cables.values()):
            self._lay(number, cable)

    def _lay(self, number: int, cable: Cable) -> None:
        if len(cable.hosts) == 2:
            one, other = (self._namespace(host) for host in cable.hosts)
            run_ip(
                "-n", one, *f"link add {cable.name} type veth peer name {cable.name} netns {other}".split()
            )
        else:
            self._in_hub(f"link add switch{number} type bridge")
            self._in_hub(f"link set switch{number} up")
            for end, host in enumerate(cable.hosts):
                port = f"p{number}-{end}"
                namespace = self._namespace(host)
                self._in_hub(f"link add {port} type veth peer name {cable.name} netns {namespace}")
                self._in_hub(f"link set {port} master switch{number} up")
        for host in cable.hosts:
            if cable.network:
                self._in_host(host, f"addr add {self.address_on(cable.name, host)}/24 dev {cable.name}")
            self._in_host(host, f"link set {cable.name} up")
            self._limit(host, cable)

    def _limit(self, host: str, cable: Cable) -> None:
        burst_bytes = _BURST_BYTES[cable.mbit]
        shape = f"tbf rate {cable.mbit}mbit burst {burst_bytes} latency 200ms"
        command = f"tc qdisc add dev {cable.name} root {shape}"
        run_ip("netns", "exec", self._namespace(host), *command.split())

    def _in_host(self, host: str, command: str) -> None:
        run_ip("-n", self._namespace(host), *command.split())
