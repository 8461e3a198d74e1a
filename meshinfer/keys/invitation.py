"""An invitation: one line to paste on the next machine, with the mesh's key, its name, and where peers are.

`meshinfer1_` and base64 (RFC 4648 §5, no padding) of msgpack, in front of which stand four bytes that tell a
line that was torn or mistyped from one that was not.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

import msgspec

from meshinfer.errors import ConfigError

from .mesh_key import KEY_BYTES, MeshKey

_PREFIX = "meshinfer1_"
_ANY_PREFIX = re.compile(r"meshinfer(\d+)_")
_CHECK_BYTES = 4
_MOST_CHARACTERS = 4096
_MOST_ADDRESSES = 16
_MOST_ADDRESS = 280


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a machine must know to join. addresses: `HOST:PORT` of peers, as `--peer` takes them."""

    mesh: str
    key: MeshKey = field(repr=False)
    addresses: tuple[str, ...] = ()

    def to_text(self) -> str:
        """One line without spaces, to be pasted."""
        addresses = self.addresses[:_MOST_ADDRESSES]
        body = msgspec.msgpack.encode((self.mesh, self.key.secret, addresses))
        return _PREFIX + base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> "Invitation":
        """Read what was pasted; line breaks and spaces that a terminal put into it are skipped.

        Raises:
            ConfigError: it is no invitation, torn, or of another release; the text repeats nothing of it.
        """
        line = "".join(text.split())
        prefix = _ANY_PREFIX.match(line)
        if prefix is None or len(line) > _MOST_CHARACTERS:
            raise ConfigError(
                f"--invite takes the line that `meshinfer key show` prints, which begins with {_PREFIX}"
            )
        if not line.startswith(_PREFIX):
            raise ConfigError(
                f"this invitation is of form {prefix[1][:8]}, this release reads form 1: "
                "run one release everywhere"
            )
        try:
            coded = line.removeprefix(_PREFIX)
            content = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _torn() from error
        if content[:_CHECK_BYTES] != _check(content[_CHECK_BYTES:]):
            raise _torn()
        return _read(content[_CHECK_BYTES:])


def _read(body: bytes) -> Invitation:
    try:
        mesh, secret, addresses = msgspec.msgpack.decode(body, type=tuple[str, bytes, tuple[str, ...]])
        if len(secret) != KEY_BYTES or len(addresses) > _MOST_ADDRESSES:
            raise ValueError("no key, or too many addresses")
        if any(len(address) > _MOST_ADDRESS for address in addresses):
            raise ValueError("an address is too long")
        return Invitation(mesh, MeshKey(secret), addresses)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _torn() from error


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, person=b"meshinfer-invite").digest()


def _torn() -> ConfigError:
    return ConfigError(
        "this invitation is torn or mistyped: copy the whole line that `meshinfer key show` prints"
    )
