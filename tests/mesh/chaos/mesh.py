"""A mesh whose peers can be killed, stopped, cut off, sent away and brought back."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.mesh.chaos.logs import complaints_of
from tests.mesh.chaos.network import Network
from tests.mesh.processes import API_KEY, PeerProcess, ProcessMesh, until, wait_for_exit, wait_for_ring

WHOLE_S = 150.0
"""How long a mesh may take at most to be one ring again; it takes seconds."""

_USUAL_S = 25.0
_LINK_PORT = 52414
_KEPT = 20


@dataclass(frozen=True, slots=True)
class Settled:
    """How a mesh came to rest. left_out: peers that are there and hold no layers: they were lost too often
    lately, so plans do without them for some minutes. wrong: why it did not come to rest; empty if it did.
    """

    after_s: float
    left_out: tuple[str, ...] = ()
    wrong: str = ""


@dataclass(slots=True)
class ChaosMesh:
    """Peers by name, and what ails them. network: None if they all live on loopback, where no link is cut.

    names: all peers that a cable may join. present: those that were started and neither killed nor sent
    away, stopped ones included. leaving: those that were sent away and still run. killed: ids of processes.
    complaints: what was wrong with how peers ended, or in what they wrote. ended: the last processes that
    are gone, for their logs.
    """

    processes: ProcessMesh
    model: Path | str
    names: Sequence[str]
    network: Network | None = None
    memory_gb: float = 1.0
    present: dict[str, PeerProcess] = field(default_factory=dict)
    leaving: dict[str, PeerProcess] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    cuts: set[tuple[str, str]] = field(default_factory=set)
    killed: set[int] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    ended: deque[PeerProcess] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def start(self, name: str) -> None:
        """Start a peer, or start it again."""
        options, within, listen = ["-v"], list[str](), "127.0.0.1:0"
        if self.network is None:
            seeds = [peer.address for other, peer in self.present.items() if other not in self.stopped]
        else:
            address = self.network.address(name)
            options += ["--api-host", address, "--api-key", API_KEY]
            within, listen = self.network.entering(name), f"{address}:{_LINK_PORT}"
            seeds = [f"{self.network.address(other)}:{_LINK_PORT}" for other in self.names if other != name]
        self.present[name] = self.processes.start(
            name,
            self.model,
            *options,
            seeds=seeds,
            listen=listen,
            memory_gb=self.memory_gb,
            within=within,
        )

    def kill(self, name: str) -> None:
        """End a peer as a power cut would."""
        self.stopped.discard(name)
        peer = self.present.pop(name)
        self.killed.add(peer.process.pid)
        self._drop(peer)

    def ask_to_leave(self, name: str) -> None:
        """Send a peer SIGTERM."""
        self.thaw(name)
        peer = self.leaving[name] = self.present.pop(name)
        peer.process.send_signal(signal.SIGTERM)

    def wait_until_up(self, name: str) -> None:
        """Wait until a peer that was started takes links."""
        _ = self.present[name].address

    def wait_until_left(self, name: str) -> None:
        """Wait until a peer that was asked to leave has ended."""
        peer = self.leaving.pop(name)
        try:
            status = wait_for_exit(peer)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"{name} was asked to leave and still runs:\n{peer.report()}")
        else:
            if status != 0:
                self.complaints.append(f"{name} was asked to leave and ended with status {status}")
        self._drop(peer)

    def all_complaints(self) -> list[str]:
        """What was wrong so far with how peers ended, and what is wrong in what those here wrote."""
        found = [*self.complaints, *(text for peer in self.present.values() for text in complaints_of(peer))]
        self.complaints.clear()
        return found

    def _drop(self, peer: PeerProcess) -> None:
        self.processes.drop(peer)
        self.complaints += complaints_of(peer)
        self.ended.append(peer)

    def stop(self, name: str) -> None:
        """Have a peer stand still, its sockets open."""
        self.stopped.add(name)
        self.present[name].process.send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        if name in self.stopped:
            self.stopped.discard(name)
            self.present[name].process.send_signal(signal.SIGCONT)

    def cut(self, one: str, other: str) -> None:
        """Pull the cable between two peers."""
        assert self.network is not None, "no link is cut on loopback"
        self.cuts.add((one, other))
        self.network.cut(one, other)

    def heal(self, one: str, other: str) -> None:
        """Put a cable back."""
        self.cuts.discard((one, other))
        if self.network is not None:
            self.network.heal(one, other)

    def wait_until_whole(self, timeout_s: float = WHOLE_S) -> dict[str, Any]:
        """Wait until all that are present form one ring and show the same mesh; return it."""
        return wait_for_ring(list(self.present.values()), timeout_s)

    def settle(self) -> "Settled":
        """Wait until all that are present form one ring; where that takes too long, any that all show."""
        begun_s = time.monotonic()
        try:
            self.wait_until_whole(_USUAL_S)
            return Settled(time.monotonic() - begun_s)
        except (AssertionError, httpx2.HTTPError):
            pass
        try:
            ring = until(self._agreed_ring, "one live ring that all show", WHOLE_S)
        except (AssertionError, httpx2.HTTPError) as error:
            shown = "; ".join(f"{name} {_glance(peer)}" for name, peer in self.present.items())
            return Settled(time.monotonic() - begun_s, wrong=f"the peers do not agree: {error}; {shown}")
        left_out = tuple(name for name in self.present if name not in ring)
        members = next(iter(self.present.values())).mesh()["members"]
        silent = [m["name"] for m in members if m["name"] in left_out and not m["fault"]]
        why = f"{', '.join(silent)} left out of {'→'.join(ring)}, and nothing tells why" if silent else ""
        return Settled(time.monotonic() - begun_s, left_out, why)

    def _agreed_ring(self) -> list[str]:
        """The ring that all show alike, if it is live and serves everywhere; else nothing."""
        peers = list(self.present.values())
        shown = [peer.mesh() for peer in peers]
        is_one = shown[0]["state"] == "live" and all(other == shown[0] for other in shown)
        is_served = is_one and all(peer.get("/health").status_code == 200 for peer in peers)
        return ring_names(shown[0]) if is_served else []


@contextmanager
def chaos_mesh(
    names: Sequence[str],
    size: int,
    model: Path | str,
    scratch: Path,
    network: Network | None,
    memory_gb: float = 1.0,
) -> Iterator[ChaosMesh]:
    """A live ring of the first `size` peers; at the end all are gone, and all cables are back."""
    with ProcessMesh(scratch, is_quiet=True) as processes:
        mesh = ChaosMesh(processes, model, names, network, memory_gb)
        try:
            for name in names[:size]:
                mesh.start(name)
            mesh.wait_until_whole()
            yield mesh
        finally:
            for one, other in list(mesh.cuts):
                mesh.heal(one, other)


def _glance(peer: PeerProcess) -> str:
    """What a peer shows, in a few words."""
    if (status := peer.process.poll()) is not None:
        return f"ended with status {status}"
    try:
        shown = peer.mesh()
    except (AssertionError, httpx2.HTTPError) as error:
        return f"shows nothing ({type(error).__name__})"
    plan = shown["plan"]
    ring = "→".join(ring_names(shown))
    return f"{shown['state']} {plan['epoch'] if plan else '-'} {ring} {shown['reason'] or ''}".rstrip()


def ring_names(shown: dict[str, Any]) -> list[str]:
    """The peers of a ring in its order, from what one of them shows."""
    return [stage["name"] for stage in shown["ring"]]
