"""Tries whether multicast works: a question as mDNS asks it, which must come back to its sender.

It is a question for meshinfer's own service, from and to mDNS's own port: what firewalls let through or not
is just that.
"""

import errno
import os
import select
import socket
import struct
import time
from contextlib import closing

from meshinfer.transports.interfaces import Interface
from meshinfer.transports.sighting import SERVICE

from .observed import Heard

PORT = 5353
GROUP_4 = "224.0.0.251"
GROUP_6 = "ff02::fb"

_TRIES = 3
_PTR, _IN = 12, 1


def try_multicast(interface: Interface, timeout_s: float, port: int = PORT) -> Heard:
    """Send to all on `interface` and wait for the echo. Blocks for `timeout_s` at most."""
    v4 = next((address for address in interface.addresses if ":" not in address), None)
    try:
        opened = _open_4(v4, port) if v4 is not None else _open_6(interface.index, port)
    except OSError as error:
        return Heard(interface.name, False, error.errno or 0, _why(error))
    group: tuple[str, int] | tuple[str, int, int, int]
    group = (GROUP_4, port) if v4 is not None else (GROUP_6, port, 0, interface.index)
    packet = question(os.urandom(2))
    with closing(opened):
        try:
            for _ in range(_TRIES):
                opened.sendto(packet, group)
                if _comes_back(opened, packet, timeout_s / _TRIES):
                    return Heard(interface.name, True)
        except OSError as error:
            return Heard(interface.name, False, error.errno or 0, _why(error))
    return Heard(interface.name, False)


def question(identity: bytes) -> bytes:
    """Ask who offers meshinfer (RFC 6762, 5.1). identity: two bytes, to know it again."""
    labels = SERVICE.rstrip(".").split(".")
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    return identity + struct.pack("!HHHHH", 0, 1, 0, 0, 0) + name + struct.pack("!HH", _PTR, _IN)


def _open_4(address: str, port: int) -> socket.socket:
    opened = _open(socket.AF_INET)
    try:
        opened.bind(("", port))
        own = socket.inet_aton(address)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP_4) + own)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    except OSError:
        opened.close()
        raise
    return opened


def _open_6(index: int, port: int) -> socket.socket:
    opened = _open(socket.AF_INET6)
    try:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(("", port))
        member = socket.inet_pton(socket.AF_INET6, GROUP_6) + struct.pack("@I", index)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
    except OSError:
        opened.close()
        raise
    return opened


def _open(family: socket.AddressFamily) -> socket.socket:
    """A socket beside others on the same port: every responder of mDNS shares it."""
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return opened


def _comes_back(opened: socket.socket, packet: bytes, within_s: float) -> bool:
    ends_s = time.monotonic() + within_s
    while (left_s := ends_s - time.monotonic()) > 0:
        ready, _, _ = select.select([opened], [], [], left_s)
        if ready and opened.recv(9000) == packet:
            return True
    return False


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"another program of another user holds UDP port {PORT} for itself"
    return error.strerror or str(error)
