"""Flood a ring of two peers as a stranger on the same network might, and see whether it notices.

    python -m tests.mesh.flood [--seconds 60] [--connections 100] [--datagrams 50000]

The stranger has no key. It holds that many connections to one peer, each of which tries something and comes
back when it was cut off, and sends it that many datagrams a second: noise, and such as look sealed with the
mesh's key. Half of the time nobody asks anything, to see what it costs; then readers do. Ends with status 1
where an answer was wrong or failed, somebody was suspected to be dead, or a peer spent more than a quarter of
a core on it.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import psutil

from meshinfer.keys.certificates import PeerSecret
from tests.mesh.processes import PeerProcess, ProcessMesh, wait_for_ring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

MOST_SHARE = 0.25
PROMPT, MAX_TOKENS = "Hello world, this", 24
_TICK_S = 0.005
_KINDS = 4
_UDP_SEGMENT = 103
_MOST_AT_ONCE, _MOST_BYTES = 32, 64_000


@dataclass(frozen=True, slots=True)
class _Hose:
    """A socket that sends many datagrams of one length at once, where the kernel cuts them (Linux)."""

    sock: socket.socket
    data: bytes
    count: int

    @classmethod
    def to(cls, port: int, head: bytes, length: int) -> "_Hose":
        """Make one for datagrams that begin with `head`, and are noise behind it."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", port))
        one = head + os.urandom(length - len(head))
        try:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, length)
        except OSError:
            return cls(sock, one, 1)
        count = min(_MOST_AT_ONCE, _MOST_BYTES // length)
        return cls(sock, one * count, count)

    def send(self) -> int:
        """Send; return how many datagrams those were."""
        try:
            self.sock.send(self.data)
        except OSError:
            return 0
        return self.count


def send_datagrams(port: int, label: bytes, a_second: int, sent: "Synchronized[int]") -> None:
    """Send for ever, as many a second as asked for or as this machine can."""
    noise = [_Hose.to(port, b"", length) for length in (8, 60, 400, 1400)]
    alike = [_Hose.to(port, label, length) for length in (40, 100, 700, 1430)]
    began_s = time.monotonic()
    count = tried = 0
    while True:
        while tried < (time.monotonic() - began_s) * a_second:
            for hose in (*noise, *alike):
                count += hose.send()
                tried += hose.count
        sent.value = count
        time.sleep(_TICK_S)


def hold_connections(port: int, count: int, made: "Synchronized[int]") -> None:
    """Keep that many connections, for ever."""
    asyncio.run(_hold(port, count, made))


async def _hold(port: int, count: int, made: "Synchronized[int]") -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(_pester(port, number % _KINDS, made))


async def _pester(port: int, kind: int, made: "Synchronized[int]") -> None:
    """One connection after the other: silent, noisy, in clear, or one that begins a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        with suppress(OSError, TimeoutError, ssl.SSLError):
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context if kind == 0 else None
                )
                made.value += 1
                try:
                    if kind != 1:
                        writer.write(os.urandom(4096) if kind == 2 else b"GET / HTTP/1.1\r\n\r\n")
                    await reader.read()
                finally:
                    writer.close()
        await asyncio.sleep(0)


@contextmanager
def stranger(
    port: int, label: bytes, connections: int, datagrams: int
) -> "Iterator[tuple[Synchronized[int], Synchronized[int]]]":
    """A stranger at work; how many connections it has made, and datagrams sent."""
    context = multiprocessing.get_context("spawn")
    made, sent = context.Value("q", 0), context.Value("q", 0)
    works = [
        context.Process(target=hold_connections, args=(port, connections, made), daemon=True),
        context.Process(target=send_datagrams, args=(port, label, datagrams, sent), daemon=True),
    ]
    for work in works:
        work.start()
    try:
        yield made, sent
    finally:
        for work in works:
            work.kill()
            work.join()


@dataclass
class Watcher:
    """What the peers show and take while time goes by."""

    peers: list[PeerProcess]
    troubles: list[str] = field(default_factory=list)

    def shares(self, seconds: float) -> list[float]:
        """The part of one core that each peer takes, over some seconds of nobody asking."""
        before = [_cpu_s(peer) for peer in self.peers]
        began_s = time.monotonic()
        while time.monotonic() < began_s + seconds:
            self.look()
            time.sleep(1.0)
        took_s = time.monotonic() - began_s
        return [(_cpu_s(peer) - was) / took_s for peer, was in zip(self.peers, before, strict=True)]

    def look(self) -> None:
        """Note whoever is not alive."""
        for peer in self.peers:
            for name, status in peer.members().items():
                if status != "alive":
                    self.troubles.append(f"{peer.name} shows {name} as {status}")


def _cpu_s(peer: PeerProcess) -> float:
    times = psutil.Process(peer.process.pid).cpu_times()
    return times.user + times.system


def ask(watcher: Watcher, expected: str, seconds: float) -> int:
    """Ask both peers in turn; return how many right answers came."""
    right, until_s = 0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        for peer in watcher.peers:
            text = peer.answer(PROMPT, MAX_TOKENS).text
            if text == expected:
                right += 1
            else:
                watcher.troubles.append(f"{peer.name} answered {text!r}")
        watcher.look()
    return right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--datagrams", type=int, default=50_000, help="a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = make_tiny_model(scratch / "tiny", layers=4)
        with ProcessMesh(scratch, is_quiet=True) as mesh:
            first = mesh.start("p0", model, min_peers=2)
            mesh.start("p1", model, seeds=[first], min_peers=2)
            epoch = wait_for_ring(mesh.peers)["plan"]["epoch"]
            expected = greedy_text(model, PROMPT, MAX_TOKENS)
            watcher = Watcher(mesh.peers)
            before = ask(watcher, expected, options.seconds / 4)
            quiet = watcher.shares(options.seconds / 4)
            label = bytes.fromhex(mesh.member(PeerSecret(b"s" * 32)).label)
            port = int(first.address.rpartition(":")[2])
            with stranger(port, label, options.connections, options.datagrams) as (made, sent):
                began_s = time.monotonic()
                flooded = watcher.shares(options.seconds / 2)
                during = ask(watcher, expected, options.seconds / 2)
                took_s = time.monotonic() - began_s
                rates = made.value / took_s, sent.value / took_s
            if first.mesh()["plan"]["epoch"] != epoch:
                watcher.troubles.append("the ring formed anew")
            refused = [line for line in first.get("/metrics").text.splitlines() if '"not_sealed"' in line]
    print(f"the stranger made {rates[0]:.0f} connections and sent {rates[1]:,.0f} datagrams a second to p0")
    print(f"p0 counted {refused[0].rpartition(' ')[2] if refused else 0} datagrams of strangers")
    for place, (calm, busy) in enumerate(zip(quiet, flooded, strict=True)):
        print(f"p{place}: {calm:.3f} of a core at rest, {busy:.3f} in the flood: {busy - calm:.3f} for it")
        if busy - calm > MOST_SHARE:
            watcher.troubles.append(f"p{place} spent more than {MOST_SHARE} of a core on it")
    print(f"{before} right answers before, {during} meanwhile, in twice the time")
    for trouble in dict.fromkeys(watcher.troubles):
        print(trouble)
    sys.exit(1 if watcher.troubles else 0)


if __name__ == "__main__":
    main()
