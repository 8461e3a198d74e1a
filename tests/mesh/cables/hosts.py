"""Real peers on hosts with several cables between them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mesh.cables.wiring import Cable, Wiring
from tests.mesh.processes import API_KEY, PATIENCE_S, PeerProcess, ProcessMesh, json_of, until, wait_for_ring

PORT = 52414


@dataclass(frozen=True, slots=True)
class Hosts:
    """Peers by the names of their hosts, and the cables between them."""

    wiring: Wiring
    peers: dict[str, PeerProcess]

    @property
    def ring(self) -> list[str]:
        """The live ring in its order."""
        mesh = wait_for_ring(list(self.peers.values()), PATIENCE_S)
        return [stage["name"] for stage in mesh["ring"]]

    def links(self, host: str) -> list[dict[str, Any]]:
        """The links of a peer as it shows them."""
        links = json_of(self.peers[host].get("/health"))["links"]
        assert isinstance(links, list)
        return links

    def ways(self) -> dict[tuple[str, str], str]:
        """By which interface each peer reaches each other one; empty where it does not know it."""
        return {
            (host, link["name"]): link["interface"]
            for host in self.peers
            for link in self.links(host)
            if link["is_primary"]
        }

    def traffic(self) -> Counter[str]:
        """Bytes that peers sent each other so far by each kind of cable, without what measures cables."""
        sent: Counter[str] = Counter()
        for host in self.peers:
            for link in self.links(host):
                sent[link["interface"]] += link["sent_bytes"]
        return sent

    def wait_for_ways(self, kind: str) -> None:
        """Wait until every peer reaches every other one by a cable of a kind."""

        def is_so() -> bool:
            ways = self.ways()
            count = len(self.peers) * (len(self.peers) - 1)
            return len(ways) == count and all(way.startswith(kind) for way in ways.values())

        until(is_so, f"all traffic on {kind} cables", PATIENCE_S)


@contextmanager
def hosts(
    names: Sequence[str],
    cables: Sequence[Cable],
    model: Path,
    scratch: Path,
    *,
    seeds: str = "",
    listen: str = f"0.0.0.0:{PORT}",
) -> Iterator[Hosts]:
    """Peers that share a model, once they form a ring.

    seeds: the kind of cable over which each is told of the others; empty has them find each other.
    """
    with Wiring(names, cables) as wiring, ProcessMesh(scratch, is_quiet=True) as mesh:
        for name in names:
            known = [
                f"{wiring.address_on(cable.name, other)}:{PORT}"
                for cable in cables
                if seeds and cable.name.startswith(seeds) and name in cable.hosts
                for other in cable.hosts
                if other != name
            ]
            mesh.start(
                name,
                model,
                *("-v", "--api-host", wiring.address(name), "--api-key", API_KEY),
                seeds=known,
                listen=listen,
                min_peers=len(names),
                within=wiring.entering(name),
                is_discovering=not seeds,
            )
        wait_for_ring(mesh.peers, PATIENCE_S)
        yield Hosts(wiring, dict(zip(names, mesh.peers, strict=True)))
