"""Looks whether ports are free, and at who has them."""

import errno
import socket
from contextlib import closing

import psutil

from .observed import PortTried


def try_port(host: str, port: int, purpose: str, *, is_udp_wanted: bool) -> PortTried:
    """Take a port for a moment, as a peer would."""
    kinds = [socket.SOCK_STREAM, *([socket.SOCK_DGRAM] if is_udp_wanted else [])]
    for kind in kinds:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with closing(socket.socket(family, kind)) as probe:
            if kind == socket.SOCK_STREAM:
                # As servers bind: a port that was let go a moment ago is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return PortTried(port, purpose, _holder(port))
    return PortTried(port, purpose)


def _holder(port: int) -> str:
    """Who has a port; other users' programs are told to root only."""
    try:
        for connection in psutil.net_connections("inet"):
            is_bound = connection.laddr and connection.laddr.port == port
            if is_bound and connection.pid and connection.status in ("LISTEN", "NONE"):
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another program"
