"""One path of a trunk: a link, what is measured on it, and labels that go beside the trunk's own frames."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .address import parse_address
from .base import Frame, Link
from .errors import BadAddress
from .gauge import Gauge
from .label import LABEL_BYTES, Kind, Label, bare, labelled, unlabelled
from .stream import StreamLink

_MAX_PENDING = 32
_CHUNK_BYTES = 1 << 20
_LEAST_CHUNKS = 8


@dataclass(frozen=True, slots=True)
class Ends:
    """The two hosts that a path joins, as numbers and in any order, and by which scheme: by this it is told
    from others."""

    hosts: frozenset[str]
    scheme: str = ""


def ends_of(link: Link) -> Ends:
    """Tell which hosts a link joins."""
    hosts: list[str] = []
    scheme = ""
    for address in (link.local, link.remote):
        try:
            endpoint = parse_address(address)
        except BadAddress:  # reset before anybody looked
            hosts.append(address)
        else:
            hosts.append(endpoint.host)
            scheme = endpoint.scheme
    return Ends(frozenset(hosts), scheme)


@dataclass(slots=True)
class _Arriving:
    """A burst that comes in. began_bytes: what had come of it at `began_s`, the first that counts."""

    number: int
    size_bytes: int
    came_bytes: int
    began_bytes: int
    began_s: float


class Path:
    """Sends whole frames one after the other, whoever wants them sent; measures, and answers measuring.

    is_ours: whether this side dialled; attempt: which of that side's dials it was. interface: the local one
    that it goes out by, empty if unknown. is_preferred: traffic takes it before all others, whatever was
    measured. sent_bytes: of the trunk's frames. turns_silent: looks since anything came. is_used: whether a
    frame went by it since the last look. is_retired: it makes way for another path between the same hosts, as
    soon as both sides know that one; turns_retired: looks since then.
    """

    def __str__(self) -> str:
        return f"{self.link.local} to {self.link.remote}"

    def __init__(
        self,
        link: Link,
        gauge: Gauge,
        now_s: Callable[[], float],
        *,
        is_ours: bool,
        attempt: int = 0,
        interface: str = "",
        is_preferred: bool = False,
    ) -> None:
        self.link = link
        self.gauge = gauge
        self.ends = ends_of(link)
        self.is_ours = is_ours
        self.attempt = attempt
        self.interface = interface
        self.is_preferred = is_preferred
        self.sent_bytes = 0
        self.turns_silent = 0
        self.is_used = True
        self.is_retired = False
        self.turns_retired = 0
        self._now_s = now_s
        self._heard_bytes = -1
        self._turn = asyncio.Lock()
        self._pending: deque[Label] = deque()
        self._wanted = asyncio.Event()
        self._pings: dict[int, float] = {}
        self._count = 0
        self._arriving: _Arriving | None = None
        self._arrived_s = now_s()
        self._acknowledged: Callable[[], int] = lambda: 0

    # --- sending

    def send_now(self, frame: Frame) -> bool:
        """Send a small frame at once; False where it must wait for its turn."""
        if self._turn.locked() or self._pending or not self.link.send_now(frame):
            return False
        self.is_used = True
        return True

    async def send(self, frame: Frame) -> None:
        """Send a frame behind those that are on their way.

        Raises:
            TransportError: the path is lost.
        """
        async with self._turn:
            self.is_used = True
            await self.link.send(frame)

    def tell(self, label: Label) -> None:
        """Send a label soon; where too many wait it is dropped, since all of them repeat themselves."""
        if not self._pending and not self._turn.locked() and self.link.send_now(bare(label)):
            return
        if len(self._pending) < _MAX_PENDING:
            self._pending.append(label)
            self._wanted.set()

    async def write_labels(self) -> None:
        """Send the labels that could not go at once, for ever; one of the path's tasks.

        Raises:
            TransportError: the path is lost.
        """
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._pending:
                async with self._turn:
                    await self.link.send(bare(self._pending.popleft()))

    # --- whether it works, and how long it takes there and back

    def listen(self) -> bool:
        """Look whether anything came since the last look."""
        is_heard = self.link.received_bytes != self._heard_bytes
        self._heard_bytes = self.link.received_bytes
        return is_heard

    def answer_early(self, acknowledged: Callable[[], int]) -> None:
        """Answer pings, and time answers, the moment they come: a task's turn would count as distance."""
        self._acknowledged = acknowledged
        if isinstance(self.link, StreamLink):
            self.link.let_look(self)

    def arrived(self) -> None:
        """Note when bytes came."""
        self._arrived_s = self._now_s()

    def take(self, frame: Frame) -> bool:
        """Deal with a ping or its answer."""
        if len(frame.head) != LABEL_BYTES or frame.head[0] not in (Kind.PING, Kind.PONG):
            return False
        label, _ = unlabelled(frame)
        if label.kind is Kind.PING:
            self.pong(label.number, self._acknowledged())
            return True
        self.ponged(label, self._arrived_s)
        # The reader learns what is acknowledged.
        return False

    def pong(self, number: int, acknowledged: int) -> None:
        """Answer a ping."""
        self.tell(Label(Kind.PONG, number, acknowledged))

    def ping(self, acknowledged: int) -> None:
        """Ask whether it works."""
        self._count += 1
        if len(self._pings) >= _MAX_PENDING:
            self._pings.clear()
        label = Label(Kind.PING, self._count, acknowledged)
        self._pings[self._count] = self._now_s()
        self.tell(label)

    def ponged(self, label: Label, now_s: float | None = None) -> None:
        """A ping was answered; once is enough. now_s: when its answer came, if not now."""
        asked_s = self._pings.pop(label.number, None)
        if asked_s is not None:
            took_s = (self._now_s() if now_s is None else now_s) - asked_s
            self.gauge.answered(max(0.0, took_s))
            if self.gauge.needs_ping:
                self.ping(self._acknowledged())

    # --- how wide it is

    async def burst(self, size_bytes: int, acknowledged: int) -> int:
        """Send bytes that mean nothing, to have them timed at the other end; return the burst's number.

        Raises:
            TransportError: the path is lost.
        """
        self._count += 1
        number = self._count
        count = max(_LEAST_CHUNKS, -(-size_bytes // _CHUNK_BYTES))
        chunk_bytes = -(-size_bytes // count)
        chunk = memoryview(bytes(chunk_bytes))
        left_bytes = count * chunk_bytes
        while left_bytes > 0:
            left_bytes -= chunk_bytes
            label = Label(Kind.BURST, number, acknowledged, left_bytes)
            async with self._turn:
                await self.link.send(labelled(label, Frame(b"", (chunk,))))
        return number

    def take_burst(self, label: Label, size_bytes: int) -> int | None:
        """Take in a part of a burst; return how many bytes came a second, at its end.

        Its first quarter does not count: queues on the way take it in at once, and TCP only warms up.
        """
        now_s, burst = self._now_s(), self._arriving
        if burst is None or burst.number != label.number:
            whole_bytes = size_bytes + label.detail
            self._arriving = _Arriving(label.number, whole_bytes, size_bytes, size_bytes, now_s)
            return None
        burst.came_bytes += size_bytes
        if label.detail:
            if 4 * burst.came_bytes <= burst.size_bytes:
                burst.began_bytes, burst.began_s = burst.came_bytes, now_s
            return None
        self._arriving = None
        took_s = max(1e-6, now_s - burst.began_s)
        return round((burst.came_bytes - burst.began_bytes) / took_s)
