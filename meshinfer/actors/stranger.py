"""Who is on this network and has nothing to do with this peer."""

from dataclasses import dataclass

from meshinfer.transports.base import Address


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody on this network with whom this peer has nothing to do: of another mesh, key or version.

    key: the label of its key, or `open`.
    """

    name: str
    mesh: str
    key: str
    release: str
    wire_version: int
    address: Address
