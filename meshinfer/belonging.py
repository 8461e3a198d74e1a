"""To which mesh a peer belongs, and by which key: as its settings, this user's keys and invitations say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshinfer.transports.base import Address
from meshinfer.transports.sighting import OPEN

from .config import USUAL_MESH, PeerConfig
from .errors import ConfigError
from .keys.invitation import Invitation
from .keys.keyring import Keyring, KeyStore


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a peer that has just started found out.

    config: its settings, with what the invitation says. keyring: None where the mesh is open. is_new: whether
    the key was made just now. former: the label of another key that the invitation's took the place of.
    """

    config: PeerConfig
    keyring: Keyring | None
    is_new: bool = False
    former: str = ""

    @property
    def label(self) -> str:
        """What others of the mesh show as well: the key's label, or `open`."""
        return self.keyring.newest.label if self.keyring is not None else OPEN

    def invitation(self, addresses: Sequence[Address]) -> str:
        """What to paste on the next machine; empty where the mesh is open, and everybody is invited."""
        if self.keyring is None:
            return ""
        hosts = tuple(address.partition("://")[2] for address in addresses)
        return Invitation(self.config.mesh, self.keyring.newest, hosts).to_text()


def belong(config: PeerConfig) -> Belonging:
    """Read the mesh's key, or take it from an invitation, or make it. Blocking.

    Raises:
        ConfigError: the invitation is torn or of another mesh, the key cannot be read or kept.
    """
    if config.is_open:
        return Belonging(config, None)
    store = KeyStore(config.config_dir)
    if config.invite is None:
        keyring, is_new = store.read_or_make(config.mesh)
        return Belonging(config, keyring, is_new)
    invitation = Invitation.from_text(config.invite)
    if config.mesh not in (USUAL_MESH, invitation.mesh):
        raise ConfigError(
            f"the invitation is one to the mesh {invitation.mesh!r}: leave out --mesh {config.mesh}, "
            f"or ask for an invitation to it"
        )
    peers = tuple(dict.fromkeys((*config.peers, *invitation.addresses)))
    config = replace(config, mesh=invitation.mesh, peers=peers)
    known = store.read(invitation.mesh)
    if known is not None and invitation.key in known.accepted:
        return Belonging(config, known)
    # A peer that runs may be changing this mesh's key at this moment.
    with store.locked(invitation.mesh):
        known = store.read(invitation.mesh)
        if known is not None and invitation.key in known.accepted:
            return Belonging(config, known)
        keyring = Keyring(invitation.key)
        store.write(invitation.mesh, keyring)
    return Belonging(config, keyring, former=known.newest.label if known else "")
