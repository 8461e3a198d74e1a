"""TLS 1.3 in both directions: each end shows a certificate of the mesh, and asks for one."""

import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meshinfer.topology.ring import PeerId

from .certificates import Authority, Credentials, NotAMember, PeerSecret, key_shown, peer_shown
from .keyring import Keyring

_LIFETIME = timedelta(days=30)
_RENEWED_AFTER = timedelta(days=7)
"""A peer that runs for long mints another certificate long before the present one ends."""

PROTOCOL = "meshinfer/1"
"""What both ends negotiate (ALPN, RFC 7301): a web server behind the port is told from a peer."""


class MeshTls:
    """Makes the contexts of one peer; they follow its keyring, and certificates are renewed in time.

    Made in a thread: deriving and minting takes some milliseconds.
    """

    def __init__(self, secret: PeerSecret, keyring: Keyring, now: datetime | None = None) -> None:
        self._secret = secret
        self._made = now or datetime.now(UTC)
        self._authorities = tuple(Authority(key) for key in keyring.accepted)
        former = self._authorities[1] if keyring.change is not None else None
        shown = self._authorities[0].mint(secret, self._made, _LIFETIME, former)
        self.client = self._context(ssl.PROTOCOL_TLS_CLIENT, shown)
        self.server = self._context(ssl.PROTOCOL_TLS_SERVER, shown)

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to make another of these; links that are up need none."""
        return now - self._made >= _RENEWED_AFTER

    def peer_of(self, connection: ssl.SSLObject) -> tuple[PeerId, str]:
        """Who is at the other end of a connection whose handshake is done, and the label of its key.

        The label is empty where that key is not known here, but one that is vouches for it.

        Raises:
            NotAMember: it proved nobody.
        """
        der = connection.getpeercert(binary_form=True)
        if der is None:
            raise NotAMember("it shows no certificate")
        peer = peer_shown(der, self._authorities, datetime.now(UTC))
        return peer, key_shown(der, self._authorities)

    def _context(self, protocol: "ssl._SSLMethod", shown: Credentials) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Certificates name peers, not hosts: `peer_of` says which.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols([PROTOCOL])
        context.load_verify_locations(cadata="".join(each.pem.decode() for each in self._authorities))
        _load(context, shown)
        if protocol is ssl.PROTOCOL_TLS_SERVER:
            # A resumed session would be an older handshake's, perhaps with a key that is retired.
            context.num_tickets = 0
        return context


def _load(context: ssl.SSLContext, shown: Credentials) -> None:
    """Python loads certificates from files only: this one nobody else may read, and it goes at once."""
    descriptor, name = tempfile.mkstemp(prefix="meshinfer-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(shown.certificate + shown.private_key)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
