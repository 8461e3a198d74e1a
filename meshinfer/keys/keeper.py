"""A running peer's keys: on its disk, in its links and in its datagrams, and how they change together."""

import logging
from collections.abc import Collection, Sequence

from meshinfer.errors import ConfigError
from meshinfer.handover import AskKey, GiveKey
from meshinfer.key_state import KeyState
from meshinfer.topology.member import Member
from meshinfer.topology.record import KeyWord, PeerRecord
from meshinfer.topology.ring import PeerId

from .handing import Asking, NotHandedOver, give
from .keyring import Keyring, KeyStore
from .mesh_key import MeshKey
from .sealing import DatagramSeal
from .security import MeshSecurity
from .succession import begun, finished, is_better, is_later, lacking, moved_on

logger = logging.getLogger(__name__)

_SETTLED_MS = 10_000
"""Who was begun anew in the middle of a change waits for so long: others may be there that it has not met."""

_HEARD_S = 1.5
"""After a change is over: who got the key from somebody else has told so by then."""

_ASK_AGAIN_S = 5.0
"""Who was asked may have lost the question with its link; an answer to a question before is none."""


class KeyKeeper:
    """Outlives the actor that works with it: what it knows is as true after a restart.

    What decides returns the keyring that is to be; `keep` writes it, then `use` has links and datagrams
    follow it. So a peer never uses what it would not know after a power cut, unless its owner has put
    another key on the disk: that one stays there, for the peer's next start.

    keyring: as the store has it now.
    """

    def __init__(
        self,
        own: PeerId,
        mesh: str,
        store: KeyStore,
        keyring: Keyring,
        security: MeshSecurity,
        seal: DatagramSeal,
        grace_s: float,
    ) -> None:
        self.keyring = keyring
        self.members: tuple[Member, ...] = ()
        self._own = own
        self._mesh = mesh
        self._store = store
        self._written = keyring
        self._security = security
        self._seal = seal
        self._grace_ms = round(1000 * grace_s)
        self._is_resumed = keyring.change is not None and not keyring.change.turned_ms
        self._resumed_ms: int | None = None
        self._asked: dict[PeerId, tuple[Asking, float]] = {}
        self._entitled: tuple[PeerId, ...] = ()
        self._over_s: float | None = None

    @property
    def word(self) -> KeyWord:
        """What this peer tells others of its keys."""
        return self.keyring.word

    @property
    def own_record(self) -> PeerRecord | None:
        """What this peer is known to tell of itself; None until membership has shown it."""
        return next((m.record for m in self.members if m.record.peer == self._own), None)

    # --- what it decides

    def begun(self, without: Sequence[str]) -> Keyring:
        """Begin a change. without: names or ids of those that are not to have the new key. Takes a moment.

        Raises:
            ConfigError: one of them is not known, is this peer, or is a name that several have.
        """
        out = {self._find(text) for text in without}
        staying = (m.record.peer for m in self.members if m.is_present and m.record.peer not in out)
        entitled = tuple(sorted({self._own, *staying})) if without else ()
        return begun(self.keyring, MeshKey.draw, entitled)

    def finished(self) -> Keyring:
        """Accept the newest key alone from now on.

        Raises:
            ConfigError: no change goes on, or somebody who is there has not got the new key.
        """
        if self.keyring.change is None:
            raise ConfigError("no change of keys goes on: `meshinfer key rotate` begins one")
        missing = self.state(0).lacking
        if missing:
            raise ConfigError(
                f"{', '.join(missing)} has not got the new key: wait a moment, stop it, or put it out with "
                f"`meshinfer key rotate --without {missing[0]}`"
            )
        return finished(self.keyring)

    def moved_on(self, now_ms: int) -> Keyring:
        """How far a change is by now."""
        if self.own_record is None:
            return self.keyring
        if self._is_resumed:
            self._resumed_ms = self._resumed_ms or now_ms
            if abs(now_ms - self._resumed_ms) < _SETTLED_MS:
                return self.keyring
        return moved_on(self.keyring, self.members, now_ms, self._grace_ms)

    def state(self, now_ms: int) -> KeyState:
        """What is shown of it."""
        change, label = self.keyring.change, self.keyring.newest.label
        if change is None:
            return KeyState(label)
        out = [
            m.record.name
            for m in self.members
            if m.is_present and change.entitled and m.record.peer not in change.entitled
            if m.record.keys.newest != label
        ]
        left_ms = max(0, self._grace_ms - abs(now_ms - change.turned_ms)) if change.turned_ms else 0
        return KeyState(
            label,
            change.former.label,
            tuple(sorted(m.record.name for m in lacking(self.keyring, self._others))),
            tuple(sorted(out)),
            bool(change.turned_ms),
            left_ms // 1000,
        )

    # --- from one to another

    def questions(self, now_s: float) -> list[tuple[PeerId, AskKey]]:
        """Whom to ask for a better key now."""
        asked = []
        for member in self._others:
            peer, told = member.record.peer, member.record.keys
            if not member.is_present or not is_better(self.keyring, told):
                continue
            before = self._asked.get(peer)
            if before is None or before[1] + _ASK_AGAIN_S <= now_s:
                asking = Asking(told.newest, self._own, peer)
                self._asked[peer] = asking, now_s
                asked.append((peer, asking.message))
        return asked

    def answer(self, asked: AskKey, asker: PeerId) -> GiveKey | None:
        """Give the newest key to a member that asks for it; None if it may not have it."""
        try:
            return give(self.keyring, asked, asker, self._own)
        except NotHandedOver as error:
            logger.warning("%s asks for a key in a way that cannot be answered: %s", asker[:8], error)
            return None

    def given(self, key: GiveKey, giver: PeerId) -> Keyring:
        """What becomes of the keyring with what a member gave; the same one if that is of no use."""
        asking, _ = self._asked.pop(giver, (None, 0.0))
        if asking is None:
            return self.keyring
        try:
            return asking.taken(self.keyring, key)
        except NotHandedOver as error:
            logger.warning("%s gave a key that cannot be used: %s", giver[:8], error)
            return self.keyring

    # --- what follows from it

    def keep(self, keyring: Keyring) -> None:
        """Write a keyring to the disk, and make what links need of it. Blocking, and from any thread.

        Raises:
            ConfigError: it cannot be written; nothing has changed then.
        """
        self._write(keyring)
        try:
            self._security.change_to(keyring)
        except OSError as error:
            raise ConfigError(f"no certificate can be made for the new key: {error}") from error

    def use(self, keyring: Keyring) -> None:
        """Follow a keyring that was kept, on links that are up too."""
        before, self.keyring, self._is_resumed = self.keyring, keyring, False
        self._seal.change_to(keyring)
        if before.change is not None and keyring.change is None:
            self._entitled, self._over_s = before.change.entitled, None

    def out(self, linked: Collection[PeerId], now_s: float) -> list[PeerId]:
        """Who of the linked peers is so by a key that is not accepted any more, and has no other."""
        label = self.keyring.newest.label
        if self.keyring.change is not None or not self.keyring.retired:
            return []
        self._over_s = now_s if self._over_s is None else self._over_s
        having = {m.record.peer for m in self._others if m.record.keys.newest == label}
        if now_s < self._over_s + _HEARD_S:
            having.update(self._entitled or linked)
        if self._entitled:
            having.intersection_update(self._entitled)
        return [peer for peer in linked if peer not in having and self._security.proved(peer) != label]

    def _write(self, keyring: Keyring) -> None:
        """Write a keyring, unless that would undo what others have written: its user, or a peer beside it."""
        with self._store.locked(self._mesh):
            found = self._store.found(self._mesh)
            if found is None or found == self._written or is_later(keyring, found):
                self._store.write(self._mesh, keyring)
                self._written = keyring
                return
        # Another peer of this machine may be further in the same change.
        if not is_later(found, keyring):
            logger.warning(
                "the key of the mesh %s on this disk was replaced (label %s) while this peer runs with "
                "another (label %s): it is left as it is; restart this peer to use it, or stop this peer",
                self._mesh,
                found.newest.label,
                keyring.newest.label,
            )

    @property
    def _others(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.record.peer != self._own)

    def _find(self, text: str) -> PeerId:
        found = {m.record.peer for m in self.members if text in (m.record.name, m.record.peer)}
        if found == {self._own}:
            raise ConfigError(f"{text} is the peer that you ask: ask one that is to stay, with --url")
        if len(found) == 1:
            return found.pop()
        names = ", ".join(sorted(m.record.name for m in self._others if m.is_present)) or "nobody"
        if found:
            raise ConfigError(f"{len(found)} peers are called {text}: give the id of one, from `GET /mesh`")
        raise ConfigError(
            f"no member is called {text}; {names} is there. To put out who is away run "
            "`meshinfer key rotate`, and then `meshinfer key rotate --finish`"
        )
