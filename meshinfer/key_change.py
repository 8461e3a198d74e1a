"""How a peer has the mesh's key changed, and tells how far that is."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .actors.actor import Mailbox, Reply
from .actors.rotation import FinishKey, RotateKey, RotationMessage
from .errors import ConfigError
from .key_state import KeyState

if TYPE_CHECKING:
    from .keys.keeper import KeyKeeper


class KeyChange:
    """Asks the actor that changes keys. keeper: has them, None where the mesh is open."""

    def __init__(self, keeper: "KeyKeeper | None", rotation: Mailbox[RotationMessage]) -> None:
        self._keeper = keeper
        self._rotation = rotation

    @property
    def state(self) -> KeyState | None:
        """How the key, and a change of it, is now; None where the mesh is open."""
        return self._keeper.state(time.time_ns() // 1_000_000) if self._keeper is not None else None

    async def begin(self, without: Sequence[str]) -> KeyState:
        """Begin a change. without: names or ids of members that are not to have the new key.

        Raises:
            ConfigError: the mesh is open; one of `without` is not known; the key cannot be kept.
        """
        self._check_has_key()
        done: Reply[KeyState] = Reply()
        await self._rotation.tell(RotateKey(tuple(without), done))
        return await done.answered()

    async def finish(self) -> KeyState:
        """Accept the new key alone from now on.

        Raises:
            ConfigError: the mesh is open; no change goes on; somebody who is there has not got the new key.
        """
        self._check_has_key()
        done: Reply[KeyState] = Reply()
        await self._rotation.tell(FinishKey(done))
        return await done.answered()

    def _check_has_key(self) -> None:
        if self._keeper is None:
            raise ConfigError(
                "this mesh runs open, and has no key to change: restart its peers without --open, with an "
                "invitation from the first one (`meshinfer key show`)"
            )
