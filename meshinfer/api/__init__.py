"""The HTTP API of a peer: bytes of HTTP in, calls of the peer out."""
