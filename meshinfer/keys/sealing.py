"""Gossip datagrams, sealed: AES-256-GCM (NIST SP 800-38D), each life of a sender under a key of its own.

A sealed datagram is the label of the mesh's key (4 bytes), the sender's life (12 random bytes), a counter
(6 bytes), and what was sealed with its tag (16 bytes). The key follows from the mesh's key and the life, the
nonce is the counter: so no nonce is ever used twice under one key, however many peers seal for how long.
Of each life a counter is taken once, so that what comes again is dropped.
"""

import hashlib
import os
from collections import OrderedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meshinfer.topology.replay import ReplayWindow

from .keyring import Keyring
from .mesh_key import MeshKey

_LABEL_BYTES = 4
_LIFE_BYTES = 12
_COUNTER_BYTES = 6
_TAG_BYTES = 16
_HEAD_BYTES = _LABEL_BYTES + _LIFE_BYTES + _COUNTER_BYTES

OVERHEAD_BYTES = _HEAD_BYTES + _TAG_BYTES
"""By so much a sealed datagram is longer than what it carries."""

_MOST_LIVES = 1024
"""Senders whose keys are remembered; those of others are derived again."""


class Refused(ValueError):
    """A datagram that is not believed. reason: the name of a counter."""

    reason = "refused"


class NotSealed(Refused):
    """No member of the mesh has made it, or it was changed on its way."""

    reason = "not_sealed"


class Replayed(Refused):
    """A member has made it, and it came before."""

    reason = "replayed"


class DatagramSeal:
    """Seals what this peer sends and opens what members send; one for each life of a peer."""

    def __init__(self, keyring: Keyring) -> None:
        self._life = os.urandom(_LIFE_BYTES)
        self._count = 0
        self._roots: dict[bytes, bytes] = {}
        self._lives: OrderedDict[bytes, tuple[AESGCM, ReplayWindow]] = OrderedDict()
        self.change_to(keyring)

    def change_to(self, keyring: Keyring) -> None:
        """Seal with the keyring's current key from now on, and open what any of its keys has sealed."""
        self._roots = {_label(key): key.derive("datagrams") for key in keyring.accepted}
        self._front = _label(keyring.current) + self._life
        self._cipher = self._cipher_of(self._front)
        for front in [front for front in self._lives if front[:_LABEL_BYTES] not in self._roots]:
            del self._lives[front]

    def seal(self, content: bytes) -> bytes:
        """Encrypt and sign `content`."""
        self._count += 1
        head = self._front + self._count.to_bytes(_COUNTER_BYTES, "big")
        return head + self._cipher.encrypt(_nonce(head), content, head)

    def open(self, data: bytes | memoryview) -> bytes:
        """What a member has sealed. Nothing of `data` but its key's label is looked at before it is proved.

        Raises:
            NotSealed: nobody who has one of the keys did. Replayed: it came before.
        """
        head = bytes(data[:_HEAD_BYTES])
        front = head[: _LABEL_BYTES + _LIFE_BYTES]
        if len(data) < OVERHEAD_BYTES or front[:_LABEL_BYTES] not in self._roots:
            raise NotSealed("sealed with no key of this mesh")
        known = self._lives.get(front)
        cipher, window = known or (self._cipher_of(front), ReplayWindow())
        try:
            content = cipher.decrypt(_nonce(head), bytes(data[_HEAD_BYTES:]), head)
        except InvalidTag as error:
            raise NotSealed("changed on its way, or not made by a member of this mesh") from error
        # Only now: strangers must not push members out, or use up their counters.
        if not window.take(int.from_bytes(head[-_COUNTER_BYTES:], "big")):
            raise Replayed("it came before")
        if known is None:
            self._remember(front, cipher, window)
        return content

    def _cipher_of(self, front: bytes) -> AESGCM:
        root = self._roots[front[:_LABEL_BYTES]]
        key = hashlib.blake2b(front[_LABEL_BYTES:], digest_size=32, key=root, person=b"meshinfer-gram")
        return AESGCM(key.digest())

    def _remember(self, front: bytes, cipher: AESGCM, window: ReplayWindow) -> None:
        self._lives[front] = cipher, window
        if len(self._lives) > _MOST_LIVES:
            self._lives.popitem(last=False)


def _label(key: MeshKey) -> bytes:
    return key.derive("label", _LABEL_BYTES)


def _nonce(head: bytes) -> bytes:
    return head[-_COUNTER_BYTES:].rjust(12, b"\0")
