"""Who a peer is, in the life that it leads now: what it tells others, and what its requests are called by."""

import asyncio
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address

from .messages import Hello, SessionId
from .release import RELEASE

if TYPE_CHECKING:
    from .keys.certificates import PeerSecret
    from .machine.identity import Identity


class Lives:
    """A peer's identity, from one life to the next within a process; it is nobody else's until `release`."""

    def __init__(self, identity: "Identity") -> None:
        self._identity = identity
        self._sessions = itertools.count(1)

    @property
    def peer(self) -> PeerId:
        """The same in each of its lives."""
        return self._identity.peer

    @property
    def name(self) -> str:
        """What people call it, the same in each of its lives."""
        return self._identity.name

    @property
    def secret(self) -> "PeerSecret":
        """What proves to others that it is `peer`."""
        return self._identity.secret

    def greeting(self, mesh: str, address: Address) -> Hello:
        """How it greets others in its present life. address: where it takes links."""
        return Hello(self.peer, self._identity.run, self.name, mesh, RELEASE, address)

    async def begin_next(self, than: int) -> None:
        """Begin a life whose run is greater than `than`, once that is on disk.

        Raises:
            OSError: it could not be persisted, and the present life goes on.
        """
        self._identity = await asyncio.to_thread(self._identity.next_run, than)

    def next_session(self) -> SessionId:
        """What a request that begins here is called by, as no other one ever was."""
        return SessionId(f"{self.peer}-{self._identity.run}-{next(self._sessions)}")

    def release(self) -> None:
        """Let another process be this peer."""
        self._identity.release()


def claim_lives(cache_dir: Path, name: str | None) -> Lives:
    """Take the identity of the peer `name`, None being the first free one of this machine. Blocking.

    Raises:
        ConfigError: a peer of this name runs here already, or the directory is not writable.
    """
    # Here, not at the top: what locks files takes long to import.
    from .machine.identity import claim_identity

    return Lives(claim_identity(cache_dir, name))
