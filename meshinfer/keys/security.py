"""Who may be at the other end of a link, as transports ask it."""

import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock, Thread

from meshinfer.transports.errors import ProtocolError

from .certificates import NotAMember, PeerSecret
from .contexts import MeshTls
from .keyring import Keyring

logger = logging.getLogger(__name__)

_MOST_PROVED = 4096
"""Peers whose proof is remembered; a member could make up any number."""


def _now() -> datetime:
    return datetime.now(UTC)


class MeshSecurity:
    """A `LinkSecurity` by a mesh's key. Its certificate is renewed, in a thread, long before it ends.

    clock: the time, with its zone. Made in a thread: deriving and minting takes milliseconds.
    """

    def __init__(self, secret: PeerSecret, keyring: Keyring, clock: Callable[[], datetime] = _now) -> None:
        self._secret = secret
        self._keyring = keyring
        self._clock = clock
        self._tls = MeshTls(secret, keyring, clock())
        self._is_renewing = False
        self._making = Lock()
        self._proved: dict[str, str] = {}

    def change_to(self, keyring: Keyring) -> None:
        """Show, and accept, what `keyring` says, on links to come. Blocking, for some milliseconds."""
        with self._making:
            self._keyring = keyring
            self._make()

    def proved(self, peer: str) -> str:
        """The label of the key by which a peer proved itself last; empty where it did not."""
        return self._proved.get(peer, "")

    @property
    def label(self) -> str:
        """Of the key that this side shows."""
        return self._keyring.newest.label

    @property
    def client(self) -> ssl.SSLContext:
        """For links that this side dials."""
        return self._current.client

    @property
    def server(self) -> ssl.SSLContext:
        """For links that this side accepts."""
        return self._current.server

    def peer_of(self, connection: ssl.SSLObject) -> str:
        """Who is at the other end of a connection whose handshake is done.

        Raises:
            ProtocolError: it has proved nothing.
        """
        try:
            peer, label = self._tls.peer_of(connection)
        except NotAMember as error:
            raise ProtocolError(f"the other side is refused: {error}") from error
        if len(self._proved) >= _MOST_PROVED:
            del self._proved[next(iter(self._proved))]
        self._proved[peer] = label
        return peer

    @property
    def _current(self) -> MeshTls:
        if self._tls.is_due(self._clock()) and not self._is_renewing:
            self._is_renewing = True
            # Nobody waits for it: the present certificate is good for weeks.
            Thread(target=self._renew, name="meshinfer-certificate", daemon=True).start()
        return self._tls

    def _renew(self) -> None:
        try:
            with self._making:
                self._make()
        except OSError as error:  # such as a full disk; the next link tries it again
            logger.warning("this peer's certificate is not renewed: %s", error)
        finally:
            self._is_renewing = False

    def _make(self) -> None:
        self._tls = MeshTls(self._secret, self._keyring, self._clock())
