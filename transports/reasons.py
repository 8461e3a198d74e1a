"""What the operating system's error numbers mean to somebody who wants two machines to talk."""

import errno
import socket
import sys

_LOCAL_NETWORK = (
    ". On macOS this is also what a program sees that may not use the local network: allow it (or the "
    "terminal it runs in) under System Settings > Privacy & Security > Local Network"
)

_NO_ANSWER = {
    errno.ECONNREFUSED: "the machine is there, but nothing listens on that port: is meshinfer running there?",
    errno.EHOSTUNREACH: "no route to that machine: is it on, and on the same network?",
    errno.ENETUNREACH: "this machine has no network that leads there",
    errno.EHOSTDOWN: "that machine is down or not on this network",
    errno.ECONNRESET: "the other side ended the connection at once",
    errno.EADDRNOTAVAIL: "that address cannot be dialled from here (a link-local one needs its interface: "
    "[fe80::1%en5])",
    errno.EINVAL: "that address cannot be dialled from here (a link-local one needs its interface: "
    "[fe80::1%en5])",
    errno.EMFILE: "this process has too many files open (see ulimit -n)",
}

_NOT_LISTENING = {
    errno.EADDRINUSE: "the port is already in use: stop the program that holds it, or choose another port "
    "(0 takes any free one)",
    errno.EADDRNOTAVAIL: "that address is not one of this machine's: use one of its own, or 0.0.0.0 for all",
    errno.EACCES: "this user may not use that port: choose one from 1024 on",
    errno.EPERM: "this user may not use that port: choose one from 1024 on",
}


def why_no_answer(error: OSError, platform: str = sys.platform) -> str:
    """Say in plain words why a dial failed."""
    if isinstance(error, socket.gaierror):
        return f"its name is unknown here ({error.strerror})"
    reason = _NO_ANSWER.get(error.errno or 0, str(error))
    if error.errno == errno.EHOSTUNREACH and platform == "darwin":
        return reason + _LOCAL_NETWORK
    return reason


def why_not_listening(error: OSError) -> str:
    """Say in plain words why a port could not be listened on, and what to do."""
    if isinstance(error, socket.gaierror):
        return f"its name is unknown here ({error.strerror})"
    return _NOT_LISTENING.get(error.errno or 0, str(error))
