"""What keeps strangers out of a peer: its links are proved, its datagrams sealed, both by the mesh's key."""

from collections.abc import Mapping
from dataclasses import replace

from meshinfer.transports.base import DatagramLimits, Datagrams

from .belonging import Belonging, belong
from .config import PeerConfig
from .keys.certificates import PeerSecret
from .keys.keeper import KeyKeeper
from .keys.keyring import KeyStore
from .keys.sealed_datagrams import SealedDatagrams
from .keys.sealing import OVERHEAD_BYTES, DatagramSeal
from .keys.security import MeshSecurity


class Guard:
    """Made in a thread: it reads files, derives and mints.

    security: for its links. keeper: changes its keys. Both None where the mesh is open.

    Raises:
        ConfigError: the invitation is torn, or the mesh's key cannot be read or kept.
    """

    def __init__(self, config: PeerConfig, secret: PeerSecret) -> None:
        self._belonging = belong(config)
        self.security: MeshSecurity | None = None
        self.keeper: KeyKeeper | None = None
        self._seal: DatagramSeal | None = None
        self._sealed: SealedDatagrams | None = None
        if (keyring := self._belonging.keyring) is not None:
            self.security = MeshSecurity(secret, keyring)
            self._seal = DatagramSeal(keyring)
            self.keeper = KeyKeeper(
                secret.peer,
                self._belonging.config.mesh,
                KeyStore(config.config_dir),
                keyring,
                self.security,
                self._seal,
                config.key_grace_s,
            )

    @property
    def belonging(self) -> Belonging:
        """To which mesh the peer belongs, and by which keys now."""
        return (
            self._belonging if self.keeper is None else replace(self._belonging, keyring=self.keeper.keyring)
        )

    @property
    def datagram_limits(self) -> DatagramLimits:
        """What the port under `sealed` takes: sealing makes datagrams longer."""
        limits = DatagramLimits()
        if self._seal is None:
            return limits
        return DatagramLimits(limits.max_bytes + OVERHEAD_BYTES, limits.max_waiting)

    def sealed(self, port: Datagrams) -> Datagrams:
        """A port of members alone, over one of anybody; the same one where the mesh is open."""
        if self._seal is None:
            return port
        self._sealed = SealedDatagrams(port, self._seal)
        return self._sealed

    def refused(self) -> Mapping[str, int]:
        """How many datagrams were dropped that no member has made, or that came before, by the reason."""
        return self._sealed.refused if self._sealed is not None else {}

    def labels(self) -> tuple[str, ...]:
        """Of the keys that members show, the own one first; `open` where there is none."""
        keyring = self.belonging.keyring
        return (self.belonging.label,) if keyring is None else tuple(key.label for key in keyring.accepted)
