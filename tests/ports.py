"""A port for tests that need its number before anybody listens there, or because nobody does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deaf_port() -> Iterator[int]:
    """A TCP port of 127.0.0.1 that refuses connections, and that the system gives to nobody else meanwhile.

    A port that was free a moment ago may be another process's by now. Whoever names this one may listen there
    all the same, as servers bind.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def absent_server() -> Iterator[str]:
    """The URL of a server that is not there."""
    with deaf_port() as port:
        yield f"http://127.0.0.1:{port}"
