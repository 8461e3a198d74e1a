"""A link through a process that reaches one other machine by means of its own, such as RDMA.

Each side runs such a process, a ferry: it takes bytes from a socket and brings them to the other side's.
What ferries must tell each other to find together goes over an ordinary link, the lead, and so does the bell
that wakes one. When a ferry or the lead ends, the link breaks; when the link ends, so do they. A ferry that
hangs costs its link, and nobody waits for it.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .base import Address, Buffers, Frame, Link, LinkLimits
from .buffers import PooledBuffers
from .errors import LinkBroken, ProtocolError, TransportError
from .stream import StreamLink
from .wire import Wire

logger = logging.getLogger(__name__)

_PASSED_ON = (b"gather ", b"bell ")
_READY = b"ready"
_MAX_LINE_BYTES = 48 << 10
_SOCKET_BYTES = 1 << 20

Use = Callable[[Link], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class FabricEnds:
    """What a fabric is made of. command: starts a ferry; it gets the descriptor of its socket behind it.

    local, remote: how its link calls the two sides.
    """

    command: tuple[str, ...]
    local: Address
    remote: Address


@dataclass(frozen=True, slots=True)
class FabricTiming:
    """How long fabrics are waited for.

    ready_timeout_s: two ferries have so long to find together. stop_timeout_s: one has so long to end by
    itself, and then as long after it was told to, before it is killed.
    """

    ready_timeout_s: float = 20.0
    stop_timeout_s: float = 1.0


class Fabric:
    """One link and all that it needs. `run` is its one task."""

    def __init__(
        self,
        lead: Link,
        ends: FabricEnds,
        limits: LinkLimits | None = None,
        timing: FabricTiming | None = None,
        buffers: Buffers | None = None,
    ) -> None:
        self._lead = lead
        self._ends = ends
        self._limits = limits or LinkLimits()
        self._timing = timing or FabricTiming()
        self._buffers = buffers or PooledBuffers()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._is_ready = asyncio.Event()
        self._ours: socket.socket | None = None
        self._last_words: deque[str] = deque(maxlen=1)

    async def run(self, use: Use) -> str:
        """Hand a link to `use` once it works, and return when it has ended: why, for people.

        use: what it raises as a TransportError ends the link. The lead is closed in any case.
        """
        ferry: asyncio.subprocess.Process | None = None
        ours, theirs = _pair()
        self._ours = ours
        try:
            try:
                with theirs:
                    ferry = await self._start(theirs)
            except OSError as error:
                return f"{self._ends.command[0]} does not start: {error}"
            async with asyncio.TaskGroup() as group:
                name = f"fabric to {self._ends.remote}"
                words = group.create_task(self._keep_last_words(ferry), name=name)
                tasks = [
                    group.create_task(work, name=name)
                    for work in (
                        self._follow_lead(ferry),
                        self._follow_ferry(ferry, words),
                        self._carry(ours, use),
                    )
                ]
                reason = await self._over
                for task in (words, *tasks):
                    task.cancel()
            return reason
        finally:
            if self._ours is not None:
                self._ours.close()
            await asyncio.gather(self._stop(ferry), self._lead.close())

    async def _start(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._ends.command,
            *("--data", str(theirs.fileno())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            # Ctrl-C at a terminal is for this process, which says goodbye before its ferries end.
            start_new_session=True,
        )

    async def _stop(self, ferry: asyncio.subprocess.Process | None) -> None:
        if ferry is None:
            return
        assert ferry.stdin is not None
        ferry.stdin.close()
        for end in (ferry.terminate, ferry.kill):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.stop_timeout_s):
                    await ferry.wait()
                return
            with suppress(ProcessLookupError):
                end()
        await ferry.wait()

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    # --- what ferries say

    async def _follow_lead(self, ferry: asyncio.subprocess.Process) -> None:
        assert ferry.stdin is not None
        try:
            while True:
                line = (await self._lead.receive()).head
                if len(line) > _MAX_LINE_BYTES or b"\n" in line or not line.startswith(_PASSED_ON):
                    raise ProtocolError(f"{self._lead.remote} sent {line[:40]!r} on a fabric's lead")
                ferry.stdin.write(line + b"\n")
                await ferry.stdin.drain()
        except TransportError as error:
            self._end(str(error))
        except ConnectionError:  # it has ended, which the other tasks tell
            return

    async def _follow_ferry(self, ferry: asyncio.subprocess.Process, words: "asyncio.Task[None]") -> None:
        assert ferry.stdout is not None
        try:
            while line := (await ferry.stdout.readline()).rstrip(b"\n"):
                if line == _READY:
                    self._is_ready.set()
                elif line.startswith(_PASSED_ON):
                    await self._lead.send(Frame(line))
        except (TransportError, ValueError) as error:  # ValueError: a line longer than any it should say
            self._end(str(error))
            return
        status = await ferry.wait()
        # One that ended well has given away all it had, and the link says when that is taken.
        if status or not self._is_ready.is_set():
            # What it said last may be read a moment after its end is known.
            await asyncio.wait([words], timeout=self._timing.stop_timeout_s)
            why = self._last_words[-1] if self._last_words else f"status {status}"
            self._end(f"the process that carries it ended: {why}")

    async def _keep_last_words(self, ferry: asyncio.subprocess.Process) -> None:
        assert ferry.stderr is not None
        while line := await ferry.stderr.read(4096):
            words = [word for word in line.decode(errors="replace").splitlines() if word.strip()]
            self._last_words.extend(words)
            logger.debug("%s: %s", self._ends.remote, "; ".join(words))

    # --- the link

    async def _carry(self, ours: socket.socket, use: Use) -> None:
        timeout_s = self._timing.ready_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_ready.wait()
        except TimeoutError:
            self._end(f"the two sides did not find together within {timeout_s:g} s")
            return
        wire = Wire(self._limits, self._buffers)
        self._ours = None  # the loop's, from here on
        await asyncio.get_running_loop().create_unix_connection(lambda: wire, sock=ours)
        link = StreamLink(wire, self._ends.local, self._ends.remote, self._limits)
        wire.start()
        try:
            await use(link)
            # Others wait for it too: whoever is cancelled here must not cancel it for them.
            await asyncio.shield(wire.lost)
            self._end(str(wire.ending))
        except TransportError as error:
            self._end(str(error))
        finally:
            reason = self._over.result() if self._over.done() else "the fabric ended"
            wire.cut(LinkBroken(reason))


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with suppress(OSError):  # a system's own limit
                sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BYTES)
    ours.setblocking(False)
    return ours, theirs


def ferry_command(
    program: Sequence[str], backend: str, rank: int, host: str, devices: Sequence[str]
) -> tuple[str, ...]:
    """How a ferry is started. host: for backends over IP; devices: for others, of rank 0 and of rank 1."""
    reach = [word for device in devices for word in ("--device", device)] or ["--host", host]
    return (*program, "--backend", backend, "--rank", str(rank), *reach)
