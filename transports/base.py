"""What every transport offers: whole frames, in order, over links; and datagrams, which may be lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    import ssl

Address = NewType("Address", str)
"""`scheme://host:port`, such as `tcp://192.168.1.4:52414` or `memory://a:1`; IPv6 hosts in brackets."""


class Buffer(Protocol):
    """Memory that a payload was received into. Whoever holds it gives it back once."""

    @property
    def view(self) -> memoryview:
        """The payload's bytes: flat, writable, exactly as long as the payload."""
        ...

    def release(self) -> None:
        """Give the memory back to where it came from; `view` must not be used afterwards."""
        ...


class Buffers(Protocol):
    """Where payloads land. The stage lends memory of mlx arrays here; the default lends bytearrays."""

    def take(self, size_bytes: int) -> Buffer:
        """Lend memory for a payload of `size_bytes` (already checked against the limit). Never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes on the wire: a head that says what this is, and a payload of raw tensor bytes.

    head: opaque to transports (msgpack, made and read by `meshinfer.wire`).
    payload: flat byte views, sent one after the other; lent until `Link.send` returns. A received
        frame has at most one, which is `buffer.view`.
    buffer: the memory a received payload lies in; None when sent or without a payload.
    """

    head: bytes
    payload: Sequence[memoryview] = ()
    buffer: Buffer | None = field(default=None, compare=False)

    @property
    def payload_bytes(self) -> int:
        """The payload's length in bytes."""
        return sum(view.nbytes for view in self.payload)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What a link allows, and how long it waits.

    max_head_bytes, max_payload_bytes: a frame that announces more ends the link with FrameTooLarge.
    max_unsent_bytes: `send` waits while more than this is buffered towards the peer.
    max_unread_bytes: nothing more is read from the peer while frames of more than this await `receive`.
    dial_timeout_s: a dial that takes longer fails with DialFailed.
    send_timeout_s: a peer that takes no byte for this long breaks the link.
    close_timeout_s: a close that the peer does not follow is cut off after this.
    keepalive_idle_s: silence on TCP after which the kernel probes the peer.
    """

    max_head_bytes: int = 8 << 20
    max_payload_bytes: int = 1 << 30
    max_unsent_bytes: int = 1 << 20
    max_unread_bytes: int = 1 << 20
    dial_timeout_s: float = 5.0
    send_timeout_s: float = 30.0
    close_timeout_s: float = 1.0
    keepalive_idle_s: float = 10.0


class LinkSecurity(Protocol):
    """Has both ends of a link prove who they are, by TLS."""

    @property
    def client(self) -> "ssl.SSLContext":
        """For links that this side dials; asked anew for each, since certificates are renewed."""
        ...

    @property
    def server(self) -> "ssl.SSLContext":
        """For links that this side accepts."""
        ...

    def peer_of(self, connection: "ssl.SSLObject") -> str:
        """Who is at the other end of a connection whose handshake is done.

        Raises:
            ProtocolError: it has proved nothing.
        """
        ...


class Link(Protocol):
    """A connection to one peer: whole frames, in order. One sender, one receiver."""

    @property
    def local(self) -> Address:
        """This end's address."""
        ...

    @property
    def remote(self) -> Address:
        """The other end's address."""
        ...

    @property
    def peer(self) -> str:
        """Who has proved to be at the other end: known once a frame came; empty where nobody has to."""
        ...

    @property
    def received_bytes(self) -> int:
        """How much came so far, parts of frames included: while it grows, the peer is there."""
        ...

    async def send(self, frame: Frame) -> None:
        """Send one frame; return once the link can take another.

        Buffers are lent: leave them unchanged until this returns.
        Cancelled halfway, the link closes, since part of the frame may be out.

        Raises:
            LinkClosed: this side closed the link.
            LinkBroken: the peer or the network did; see __cause__.
            FrameTooLarge: the frame exceeds this link's own limits; the link stays usable.
        """
        ...

    def send_now(self, frame: Frame) -> bool:
        """Send a small frame at once, without a task's turn; its buffers are free when this returns.

        False: nothing was sent, as the frame is large, earlier bytes wait still or the link ends. `send` it.
        Not while a `send` goes on.
        """
        ...

    async def receive(self) -> Frame:
        """Wait for the next frame; its payload lies in memory from the link's `Buffers`.

        Raises:
            LinkClosed: this side closed the link.
            LinkBroken: the peer or the network did; a frame that had not arrived whole is lost.
            ProtocolError: the peer sent what no frame begins with; the link is closed.
        """
        ...

    def cut(self, reason: str) -> None:
        """End the link at once, for `reason`; `send` and `receive` then raise LinkBroken."""
        ...

    async def close(self) -> None:
        """Close the link after what was sent; calling it again does nothing. Never raises."""
        ...


class Listener(Protocol):
    """An address at which peers are awaited."""

    @property
    def address(self) -> Address:
        """The address that others dial, with the port that was really bound."""
        ...

    async def accept(self) -> Link:
        """Wait for the next link.

        Raises:
            LinkClosed: the listener was closed.
        """
        ...

    async def close(self) -> None:
        """Stop listening; accepted links stay. Calling it again does nothing. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Packet:
    """What came as one datagram. source: where it came from, and where an answer goes."""

    source: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class DatagramLimits:
    """What is taken in as datagrams.

    max_bytes: longer ones are neither sent nor received. Beyond some 1,400 bytes the network may cut them
        in pieces, and one lost piece loses all.
    max_waiting: how many may await `receive`; what comes then is dropped.
    share: of one core's time, for what comes in floods. What it is not enough for the system drops.
    """

    max_bytes: int = 1400
    max_waiting: int = 4096
    share: float = 0.1


class Datagrams(Protocol):
    """A port for datagrams: each arrives whole, or not at all; perhaps twice, in any order. One receiver."""

    @property
    def address(self) -> Address:
        """Where others send to, with the port that was really bound: `udp://…`, or `memory://…`."""
        ...

    @property
    def dropped(self) -> int:
        """How many were received and thrown away, because too many waited for `receive`."""
        ...

    @property
    def oversized(self) -> int:
        """How many were received and thrown away, because they were longer than allowed."""
        ...

    def send(self, address: Address, data: bytes) -> bool:
        """Hand one datagram to the network; return whether it took it. Never blocks or raises.

        address: the other port's; `datagram_address` makes it of the address that a peer is dialled at.
            Its host must be a number: names would have to be looked up.

        False when this port can't send there (another scheme or IP version, a name, no route, no such
        interface), `data` is too long, the system's buffer is full or this side is closed. True promises
        nothing: it may be lost all the same.
        """
        ...

    async def receive(self) -> list[Packet]:
        """Wait for datagrams; return all that came, in the order they did. Cancelled, none is lost.

        Raises:
            LinkClosed: this side was closed.
            LinkBroken: the system took the port away; see __cause__.
        """
        ...

    async def close(self) -> None:
        """Free the port; what was not received is lost. Calling it again does nothing. Never raises."""
        ...


class Transport(Protocol):
    """A way to reach peers, by addresses of one scheme, and by datagrams beside it."""

    async def listen(self, address: Address) -> Listener:
        """Await peers at `address`; port 0 means any free one.

        Raises:
            ListenFailed: the address is taken or not ours; the text says which and what to do.
        """
        ...

    async def dial(self, address: Address, source: str = "", interface: str = "") -> Link:
        """Make one attempt to reach `address`, within `LinkLimits.dial_timeout_s`.

        source: the own address, as a number, and interface: the one by which it is to go, where the way is
        not left to the system. A transport that knows neither passes over them.

        Raises:
            DialFailed: nobody answered; the text says why.
        """
        ...

    async def datagrams(self, address: Address, limits: DatagramLimits | None = None) -> Datagrams:
        """Open a port for datagrams at `address` (as `datagram_address` makes it); port 0: any free one.

        `listen_both` opens it beside a listener, under the same number.

        Raises:
            ListenFailed: the address is taken or not ours; the text says which and what to do.
        """
        ...
