"""What can go wrong between two peers.

TransportError
├── LinkError
│   ├── LinkClosed       this side closed the link
│   ├── LinkBroken       the peer or the network did; see __cause__
│   │   └── Tampered     what came is not what the peer sent: somebody on the way changed it
│   └── DialFailed       nobody answered at that address
├── ListenFailed         the address cannot be listened on (port taken, not ours)
├── BadAddress           the text is no address, or of a scheme that nobody here speaks
├── DiscoveryFailed      mDNS cannot be used here; peers can still be named by address
└── ProtocolError        the other side broke the rules of the wire; ends the link, never the peer
    ├── FrameTooLarge    announced more bytes than the limit allows
    ├── VersionMismatch  speaks another version of the wire protocol
    └── Unlabelled       sent a frame without a label, where frames have one
"""


class TransportError(Exception):
    """Root of all that leaves `meshinfer.transports`."""


class LinkError(TransportError):
    """A link cannot be used."""


class LinkClosed(LinkError):
    """This side closed the link."""


class LinkBroken(LinkError):
    """The peer or the network ended the link."""


class Tampered(LinkBroken):
    """What came over a link is not what the other side sent; the text says where it shows."""


class DialFailed(LinkError):
    """No link could be made to an address. `address` says which, the text says why.

    is_refused: the machine answered that nothing listens there, so a process that did is gone.
    """

    def __init__(self, address: str, reason: str, *, is_refused: bool = False) -> None:
        super().__init__(f"cannot reach {address}: {reason}")
        self.address = address
        self.reason = reason
        self.is_refused = is_refused


class ListenFailed(TransportError):
    """An address cannot be listened on."""


class BadAddress(TransportError, ValueError):
    """A text is no address that can be dialled or listened on; says what is wrong with it."""


class DiscoveryFailed(TransportError):
    """Peers cannot be announced or found by mDNS on this machine; the text says why."""


class ProtocolError(TransportError):
    """The other side broke the rules of the wire."""


class FrameTooLarge(ProtocolError):
    """A frame announced more bytes than the limit allows."""


class Unlabelled(ProtocolError):
    """A frame came without a label where frames have one."""


class VersionMismatch(ProtocolError):
    """The other side speaks another version of the wire protocol."""

    def __init__(self, ours: int, theirs: int) -> None:
        super().__init__(
            f"the other peer speaks wire protocol {theirs}, this one speaks {ours}: "
            "run the same release of meshinfer on both machines"
        )
        self.ours = ours
        self.theirs = theirs
