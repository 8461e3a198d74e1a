"""TLS between a wire and its connection: nothing is decoded before the other end has proved who it is.

Both event loops bring TLS of their own. Neither lets a listener choose when a stranger's handshake begins,
half closes, or says how much is really unsent; and each has its own ways with lent memory.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import Protocol, cast

from .base import Buffers, LinkLimits, LinkSecurity
from .errors import LinkBroken, ProtocolError, Tampered, TransportError
from .shield import Shield
from .wire import Wire

_RECEIVED_AT_ONCE_BYTES = 256 << 10
_SENT_AT_ONCE_BYTES = 128 << 10
"""What is encrypted before it goes to the socket: more would leave the processor's cache on its way."""


class Successor(Protocol):
    """Who takes over a connection that leaves TLS."""

    def begin(self, raw: asyncio.Transport, came: bytes) -> None:
        """Take it over. came: what was received behind the other side's goodbye."""
        ...


class _State(Enum):
    WAITING = "not accepted yet: nothing is read"
    SHAKING = "the handshake goes on"
    OPEN = "both ends are proved"
    LEAVING = "this side has said goodbye, the other one has not yet"
    OVER = "nothing is read or written any more"


class TlsWire(Wire):
    """A wire whose other end proves who it is before anything of it is decoded.

    What is written meanwhile waits: it goes to nobody who has proved nothing. The event loop speaks with
    `protocol`.
    """

    def __init__(
        self,
        limits: LinkLimits,
        buffers: Buffers,
        version: int,
        security: LinkSecurity,
        *,
        is_server: bool,
        on_made: "Callable[[Wire, asyncio.Transport], None] | None" = None,
    ) -> None:
        super().__init__(limits, buffers, version, on_made)
        self.protocol = TlsShield(self, security, limits.dial_timeout_s, is_server=is_server)

    def start(self) -> None:
        """Begin the handshake, and to decode what comes after it."""
        super().start()
        self.protocol.begin()


class TlsShield(Shield):
    """Encrypts what goes out and decrypts what comes in, once both ends have proved who they are."""

    def __init__(self, wire: TlsWire, security: LinkSecurity, timeout_s: float, *, is_server: bool) -> None:
        super().__init__(wire)
        self._security = security
        self._timeout_s = timeout_s
        self._is_server = is_server
        self._state = _State.WAITING
        self._received = memoryview(b"")
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._is_paused = False
        self._is_ending = False
        self._successor: Successor | None = None
        self._left: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Shake hands."""
        if self._state is not _State.WAITING or self._wire.lost.done():
            return
        context = self._security.server if self._is_server else self._security.client
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=self._is_server)
        self._received = memoryview(bytearray(_RECEIVED_AT_ONCE_BYTES))
        self._state = _State.SHAKING
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._timeout_s, self._took_too_long)
        self._stream.resume_reading()
        self._shake_hands()

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection, and read nothing of it yet."""
        self._raw = cast(asyncio.Transport, transport)
        self._raw.pause_reading()
        self._wire.connection_made(cast(asyncio.BaseTransport, self))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where encrypted bytes go."""
        if not self._received:  # uvloop may read once before it hears that it is not to
            self._received = memoryview(bytearray(_RECEIVED_AT_ONCE_BYTES))
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt what came."""
        if self._state is _State.OVER:
            return
        self._incoming.write(self._received[:nbytes])
        if self._state is _State.SHAKING:
            self._shake_hands()
        elif self._state is _State.OPEN:
            self._decrypt()
        elif self._state is _State.LEAVING:
            self._state = _State.OPEN
            self.say_goodbye()

    def eof_received(self) -> bool:
        """End the link: the other side sends no more."""
        if self._state in (_State.WAITING, _State.SHAKING):
            self._end(LinkBroken(_LEFT_EARLY))
        return self._wire.eof_received()

    def resume_writing(self) -> None:
        """Tell the wire, unless something waits for the handshake still."""
        if not self._waiting:
            self._wire.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the link, whoever ended it."""
        self._be_over()
        self._wire.connection_lost(exc)

    # What the wire asks its transport for

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Encrypt and send some pieces, whose memory is free when this returns."""
        match self._state:
            case _State.OPEN:
                for piece in pieces:
                    self._encrypt(memoryview(piece))
                self._flush()
            case _State.WAITING | _State.SHAKING:
                self._waiting += [bytes(piece) for piece in pieces]
                self._waiting_bytes = sum(map(len, self._waiting))
            case _State.LEAVING | _State.OVER:
                pass

    def get_write_buffer_size(self) -> int:
        """How many bytes the system has not taken yet."""
        return self._waiting_bytes + self._stream.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say `pause_writing` while more than this is unsent; here that is 0."""
        if self._waiting:
            self._wire.pause_writing()
        self._stream.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Decrypt nothing more for the moment."""
        self._is_paused = True
        self._stream.pause_reading()

    def resume_reading(self) -> None:
        """Go on, with what has come already first."""
        if self._state is _State.WAITING:
            return
        was_paused, self._is_paused = self._is_paused, False
        self._stream.resume_reading()
        if was_paused and self._state is _State.OPEN:
            # Not from within: whoever resumes is in the middle of something.
            asyncio.get_running_loop().call_soon(self._decrypt)

    def write_eof(self) -> None:
        """Say that nothing more comes, behind all that was written; what still comes is thrown away."""
        self._is_ending = True
        match self._state:
            case _State.OPEN:
                assert self._tls is not None
                with suppress(ssl.SSLError):  # it waits for the other side's goodbye, which nobody needs
                    self._tls.unwrap()
                self._flush()
            case _State.SHAKING if self._waiting:
                return
        self._be_over()
        self._stream.write_eof()

    def abort(self) -> None:
        """Close at once."""
        self._be_over()
        super().abort()

    # Out of TLS, with the connection kept

    def make_way(self, successor: Successor) -> "asyncio.Future[None]":
        """Let `successor` have the connection behind both sides' goodbyes; done when it has.

        Nothing may be written in between. The other side says goodbye first, unless `say_goodbye` is called.
        """
        self._successor = successor
        self._left = asyncio.get_running_loop().create_future()
        return self._left

    def say_goodbye(self) -> None:
        """Say that nothing more comes by TLS, and leave it once the other side has said so too."""
        assert self._tls is not None
        assert self._successor is not None
        assert self._left is not None
        if self._state is not _State.OPEN:
            return
        self._state = _State.LEAVING
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._refuse(_why(error))
        else:
            self._flush()
            self._be_over()
            self._received = memoryview(b"")
            self._successor.begin(self._stream, self._incoming.read())
            self._left.set_result(None)

    # The handshake

    def _shake_hands(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
            proven = self._security.peer_of(self._tls)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # with an alert, from which the other side knows why
            if error.reason in _NOT_TLS and not self._stream.is_closing():
                self._stream.write(_ALERT)  # which OpenSSL keeps to itself
            self._refuse(_why(error))
        except ProtocolError as error:
            self._refuse(error)
        else:
            self._flush()
            self._open(proven)

    def _open(self, proven: str) -> None:
        self._wire.proven = proven
        self._state = _State.OPEN
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self.writelines(waiting)
        if not self._stream.get_write_buffer_size():
            self._wire.resume_writing()
        if self._is_ending:
            self.write_eof()
        else:
            self._decrypt()

    def _took_too_long(self) -> None:
        self._end(LinkBroken(f"no handshake within {self._timeout_s:g} s: is a peer there, with this key?"))
        self.abort()

    # Bytes

    def _decrypt(self) -> None:
        """Put what came where the wire wants it, until it wants no more."""
        assert self._tls is not None
        try:
            while self._state is _State.OPEN and not self._is_paused:
                wanted, filled, has_ended, is_dry = self._wire.get_buffer(-1), 0, False, False
                while filled < wanted.nbytes:
                    try:
                        count = cast(int, self._tls.read(wanted.nbytes - filled, wanted[filled:]))
                    except ssl.SSLWantReadError:
                        is_dry = True
                        break
                    if not count:
                        has_ended = True
                        break
                    filled += count
                if filled:
                    self._wire.buffer_updated(filled)
                if has_ended and self._successor is not None:
                    self.say_goodbye()
                    return
                if has_ended:
                    self._wire.eof_received()
                    return
                if is_dry:
                    break
            if self._outgoing.pending:  # such as a change of keys
                self._flush()
        except ssl.SSLError as error:
            self._flush()
            why = _why(error)
            if isinstance(why, ProtocolError):
                # Who is at the other end is proved: this came from somebody between.
                why = Tampered(f"what came is not what the other side sent: {error.reason or error}")
                why.__cause__ = error
            self._refuse(why)

    def _encrypt(self, piece: memoryview) -> None:
        assert self._tls is not None
        try:
            while piece.nbytes:
                piece = piece[self._tls.write(piece) :]
                if self._outgoing.pending >= _SENT_AT_ONCE_BYTES:
                    self._flush()
        except ssl.SSLError as error:
            self._refuse(_why(error))

    def _flush(self) -> None:
        if self._outgoing.pending and not self._stream.is_closing():
            self._stream.write(self._outgoing.read())

    # Ends

    def _end(self, reason: TransportError) -> None:
        self._wire.end(reason)

    def _refuse(self, reason: TransportError) -> None:
        """End the link such that the other side hears why."""
        self._be_over()
        self._wire.refuse(reason)

    def _be_over(self) -> None:
        self._state = _State.OVER
        if self._timer is not None:
            self._timer.cancel()
        self._waiting, self._waiting_bytes = [], 0


_LEFT_EARLY = (
    "the other side closed the link instead of proving who it is: is it an open peer (--open), "
    "or no peer at all?"
)

_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"
"""A fatal protocol_version (RFC 8446, 6): a peer that speaks in clear understands that this one does not."""

_NOT_TLS = {
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNEXPECTED_MESSAGE",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}

_VERDICTS = {
    10: "its certificate has expired: is a clock wrong, there or here?",
    9: "its certificate is not valid yet: is a clock wrong, there or here?",
}
"""By what OpenSSL calls X509_V_ERR_…; all others come to the same."""

_INVITED = "to be one mesh, paste the invitation that `meshinfer key show` there prints (join --invite)"

_ALERTS = {
    "CERTIFICATE_EXPIRED": "the other side says that this peer's certificate has expired: is a clock wrong?",
    "UNKNOWN_CA": f"the other side has another mesh's key than this peer: {_INVITED}",
    "DECRYPT_ERROR": f"the other side has another mesh's key than this peer: {_INVITED}",
}


def _why(error: ssl.SSLError) -> TransportError:
    """An error of TLS in this release's words."""
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        verdict = _VERDICTS.get(
            error.verify_code, f"its certificate was made with another mesh's key; {_INVITED}"
        )
        refused: TransportError = ProtocolError(f"the other side is refused: {verdict}")
    elif "ALERT" in reason:
        said = next((text for name, text in _ALERTS.items() if reason.endswith(name)), None)
        refused = LinkBroken(said or f"the other side refused the handshake: {reason}")
    elif reason in _NOT_TLS:
        refused = ProtocolError(
            "the other side does not speak TLS 1.3: is it an open peer (--open), or no peer at all?"
        )
    else:
        refused = ProtocolError(f"what came is not what a peer of this mesh sends: {reason}")
    refused.__cause__ = error
    return refused
