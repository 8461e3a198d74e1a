"""Find peers on each cable by calling out: multicast on IPv6 link-local addresses, which every cable has.

Nobody needs an address for it, a router or mDNS. Where an answer comes from is the very address, with the
interface it is good on, at which that peer can be dialled from here.
"""

import asyncio
import errno
import logging
import socket
import struct
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from types import TracebackType

from .address import format_address
from .errors import DiscoveryFailed
from .hail import MAX_HAIL_BYTES, Call, Hail, decode_hail, encode_hail
from .interfaces import Interface, leads_to_peers
from .queue import EndingQueue
from .sighting import Announcement, Sighting

logger = logging.getLogger(__name__)

GROUP = "ff12::6d65:7368"
"""Link-local, of no registry."""

PORT = 52413
_FIRST_S = 1.0
_MOST_S = 16.0
_ANSWERS_A_SECOND = 32
_MAX_WAITING = 256  # sightings that nobody looked at yet: a stranger may send any number
_READS = 64


class Beacon:
    """Calls out on the interfaces that it is told of, answers others, and tells who is there.

    who: what this peer says about itself; port: where it takes links. nonce: 8 bytes that nobody foresees,
    so that answers are answers. An async context manager.
    """

    def __init__(self, who: Announcement, port: int, nonce: bytes) -> None:
        self._who = who
        self._port = port
        self._nonce = nonce
        self._joined: dict[str, int] = {}
        self._listening: socket.socket | None = None
        self._calling: socket.socket | None = None
        self._seen: EndingQueue[Sighting] = EndingQueue()
        self._is_changed = asyncio.Event()
        self._answered = 0
        self._second = 0

    async def __aenter__(self) -> "Beacon":
        """Open the sockets.

        Raises:
            DiscoveryFailed: there is no IPv6 here, or the port is another program's.
        """
        try:
            self._listening = _socket(PORT)
            self._calling = _socket(0)
        except OSError as error:
            self._close()
            raise DiscoveryFailed(
                f"peers cannot be called on their cables: {error.strerror or error}"
            ) from error
        loop = asyncio.get_running_loop()
        for sock in (self._listening, self._calling):
            loop.add_reader(sock, self._read, sock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def follow(self, interfaces: Iterable[Interface]) -> None:
        """Call out on these interfaces from now on, as far as others may be behind them."""
        wanted = {
            each.name: each.index
            for each in interfaces
            if leads_to_peers(each) and any(address.startswith("fe80:") for address in each.addresses)
        }
        for name in [name for name, index in self._joined.items() if wanted.get(name) != index]:
            # The system has left the group with an interface that is gone.
            self._change_group(name, socket.IPV6_LEAVE_GROUP, self._joined.pop(name))
        for name, index in wanted.items():
            if name not in self._joined and self._change_group(name, socket.IPV6_JOIN_GROUP, index):
                self._joined[name] = index
        self._is_changed.set()

    async def call(self) -> None:
        """Call out for ever: at once after a change, and less and less often while nothing changes."""
        pause_s = _FIRST_S
        hail = encode_hail(Hail(Call.HAIL, self._who, self._nonce, self._port))
        while True:
            for index in self._joined.values():
                self._send(hail, (GROUP, PORT, 0, index))
            try:
                async with asyncio.timeout(pause_s):
                    await self._is_changed.wait()
                self._is_changed.clear()
                pause_s = _FIRST_S
            except TimeoutError:
                pause_s = min(2 * pause_s, _MOST_S)

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Who is there, each time that somebody says so, those of other meshes and versions included."""
        while True:
            yield await self._seen.get()

    def _change_group(self, name: str, option: int, index: int) -> bool:
        assert self._listening is not None
        membership = socket.inet_pton(socket.AF_INET6, GROUP) + struct.pack("@I", index)
        try:
            self._listening.setsockopt(socket.IPPROTO_IPV6, option, membership)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:  # joined already
                return True
            logger.debug("no beacon on %s: %s", name, error)
            return False
        return True

    def _read(self, sock: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            for _ in range(_READS):
                data, source = sock.recvfrom(MAX_HAIL_BYTES + 1)
                self._take(data, source)

    def _take(self, data: bytes, source: tuple[str, int, int, int]) -> None:
        hail = decode_hail(data)
        if hail is None or hail.who.peer_id == self._who.peer_id or not source[3]:
            return
        is_ours = (hail.who.mesh, hail.who.wire_version) == (self._who.mesh, self._who.wire_version)
        match hail.call:
            case Call.ANSWER if hail.nonce != self._nonce:
                return
            case Call.HAIL if is_ours and self._may_answer():
                self._send(encode_hail(Hail(Call.ANSWER, self._who, hail.nonce, self._port)), source)
        if len(self._seen) < _MAX_WAITING:
            host = source[0].partition("%")[0]
            with suppress(OSError):  # unplugged a moment ago
                scope = socket.if_indextoname(source[3])
                self._seen.put(Sighting(hail.who, (format_address("tcp", f"{host}%{scope}", hail.port),)))

    def _may_answer(self) -> bool:
        """Whether this is not one of too many that want an answer within a second."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._answered = second, 0
        self._answered += 1
        return self._answered <= _ANSWERS_A_SECOND

    def _send(self, data: bytes, target: tuple[str, int, int, int]) -> None:
        assert self._calling is not None
        try:
            self._calling.sendto(data, target)
        except OSError as error:  # unplugged, or its address is not ready yet
            logger.debug("no call to %s%%%d: %s", target[0], target[3], error)

    def _close(self) -> None:
        for sock in (self._listening, self._calling):
            if sock is not None:
                asyncio.get_running_loop().remove_reader(sock)
                sock.close()
        self._listening = self._calling = None


def _socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port:
            # Every peer of this machine listens there, and each gets what is sent to the group.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sys.platform == "darwin":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("::", port))
    except BaseException:
        sock.close()
        raise
    return sock
