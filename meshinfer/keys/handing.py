"""Hands a mesh's next key from one member to another, such that nobody between them can read it.

Both draw an X25519 key for this alone (RFC 7748); what follows from these two, and from the former key of the
mesh, seals the next one (HKDF, RFC 5869; AES-256-GCM). So it is safe on links that encrypt nothing, from all
who have not got the former key, and from those who have it and only listen. That the other one is who it says
the link proves.
"""

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from meshinfer.handover import AskKey, GiveKey
from meshinfer.topology.ring import PeerId

from .keyring import MAX_ENTITLED, Change, Keyring
from .mesh_key import KEY_BYTES, MeshKey
from .succession import PROOF_BYTES, taken

_NONCE = bytes(12)
"""Each sealing has a key of its own."""


class NotHandedOver(ValueError):
    """What came is no key that this peer asked for; the text says why."""


def give(keyring: Keyring, asked: AskKey, asker: PeerId, giver: PeerId) -> GiveKey | None:
    """Answer who asks for the newest key; None if it is another one, or if the asker may not have it.

    Raises:
        NotHandedOver: its public key is none.
    """
    change = keyring.change
    if change is None or asked.label != keyring.newest.label:
        return None
    if change.entitled and asker not in change.entitled:
        return None
    own = X25519PrivateKey.generate()
    cipher = _cipher(own, asked.public, change.former, asked.label, asker, giver)
    content = msgspec.msgpack.encode((keyring.newest.secret, change.proof, change.entitled))
    return GiveKey(asked.label, own.public_key().public_bytes_raw(), cipher.encrypt(_NONCE, content, None))


class Asking:
    """One question for a key, and what its answer is opened with."""

    def __init__(self, label: str, asker: PeerId, giver: PeerId) -> None:
        self._own = X25519PrivateKey.generate()
        self._asker = asker
        self._giver = giver
        self.message = AskKey(label, self._own.public_key().public_bytes_raw())

    def taken(self, keyring: Keyring, given: GiveKey) -> Keyring:
        """What becomes of the keyring; the same one where the key is of no use (any more).

        Raises:
            NotHandedOver: it was not sealed for this question.
        """
        if given.label != self.message.label:
            raise NotHandedOver(f"key {self.message.label} was asked for, {given.label} came")
        for former in keyring.accepted:
            cipher = _cipher(self._own, given.public, former, given.label, self._asker, self._giver)
            try:
                content = cipher.decrypt(_NONCE, given.sealed, None)
            except InvalidTag:
                continue
            key, change = _read(content, former)
            if key.label != given.label:
                raise NotHandedOver(f"key {given.label} was announced, {key.label} came")
            return taken(keyring, key, change)
        raise NotHandedOver("it is sealed with a key that is not known here")


def _read(content: bytes, former: MeshKey) -> tuple[MeshKey, Change]:
    try:
        secret, proof, entitled = msgspec.msgpack.decode(content, type=tuple[bytes, bytes, tuple[str, ...]])
    except msgspec.MsgspecError as error:
        raise NotHandedOver("what was sealed is no key") from error
    if len(secret) != KEY_BYTES or len(proof) != PROOF_BYTES or len(entitled) > MAX_ENTITLED:
        raise NotHandedOver("what was sealed is no key")
    return MeshKey(secret), Change(former, proof, tuple(map(PeerId, entitled)))


def _cipher(
    own: X25519PrivateKey, public: bytes, former: MeshKey, label: str, asker: PeerId, giver: PeerId
) -> AESGCM:
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise NotHandedOver("its X25519 key is none") from error
    about = f"key {label} from {giver} to {asker}".encode()
    return AESGCM(HKDF(SHA256(), 32, salt=former.derive("handing over"), info=about).derive(shared))
