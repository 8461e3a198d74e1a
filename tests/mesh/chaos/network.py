"""A network of its own for each peer, on one Linux machine, whose cables can be cut without a sound.

Every peer has a network namespace with one cable (a veth pair) into a switch (a bridge) in one more
namespace, the hub. The machine's own interfaces are never touched, and nothing gets out. A cut makes both
ends send to an address that nobody has: packets vanish, and TCP hears of nothing, as with a pulled cable.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PREFIX = "meshinfer-chaos"
_NAMES = Path("/run/netns")
_OWN = Path("/proc/thread-self/ns/net")
_SUBNET = "10.213.7"
NOBODY = "02:00:00:00:de:ad"
_CLONE_NEWNET = 0x40000000
_COMMAND_S = 120.0
"""Namespaces that others give up hold up those who make some."""


def why_no_network() -> str:
    """Why links cannot be cut on this machine; empty where they can."""
    if not sys.platform.startswith("linux"):
        return "links are cut with Linux network namespaces, and this is no Linux"
    if os.geteuid() != 0:
        return "network namespaces take root"
    if missing := [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]:
        return f"{' and '.join(missing)} not installed (Debian: iproute2, util-linux)"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "try", "type", "bridge"],
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    return f"no network namespace can be made here: {tried.stderr.strip()}" if tried.returncode else ""


class Network:
    """Namespaces for peers, by their names. Within its context the calling thread stands in the hub.

    Threads and processes that it starts there stand in the hub as well, and reach every peer.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._prefix = f"{_PREFIX}-{os.getpid()}"
        self._hub = f"{self._prefix}-hub"
        self._addresses = {name: f"{_SUBNET}.{number}" for number, name in enumerate(names, start=11)}
        self._home: int | None = None

    def __enter__(self) -> Self:
        _remove_leftovers()
        try:
            self._lay_cables()
            self._home = os.open(_OWN, os.O_RDONLY)
            _enter(_NAMES / self._hub)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def address(self, name: str) -> str:
        """The IP address of a peer."""
        return self._addresses[name]

    def entering(self, name: str) -> list[str]:
        """The command that runs the rest of its line where a peer stands."""
        return ["nsenter", f"--net={_NAMES / self._namespace(name)}"]

    def cut(self, one: str, other: str) -> None:
        """Pull the cable between two peers: what they send each other vanishes."""
        for here, there in ((one, other), (other, one)):
            entry = f"neigh replace {self.address(there)} lladdr {NOBODY} nud permanent dev cable"
            run_ip("-n", self._namespace(here), *entry.split())

    def heal(self, one: str, other: str) -> None:
        """Put the cable back."""
        for here, there in ((one, other), (other, one)):
            with suppress(subprocess.CalledProcessError):
                run_ip("-n", self._namespace(here), *f"neigh del {self.address(there)} dev cable".split())

    def _namespace(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _lay_cables(self) -> None:
        run_ip("netns", "add", self._hub)
        self._in_hub("link set lo up")
        self._in_hub("link add switch type bridge")
        self._in_hub(f"addr add {_SUBNET}.1/24 dev switch")
        self._in_hub("link set switch up")
        for number, (name, address) in enumerate(self._addresses.items()):
            namespace, port = self._namespace(name), f"port{number}"
            run_ip("netns", "add", namespace)
            self._in_hub(f"link add {port} type veth peer name cable netns {namespace}")
            self._in_hub(f"link set {port} master switch up")
            for command in ("link set lo up", f"addr add {address}/24 dev cable", "link set cable up"):
                run_ip("-n", namespace, *command.split())

    def _in_hub(self, command: str) -> None:
        run_ip("-n", self._hub, *command.split())

    def _remove(self) -> None:
        if self._home is not None:
            _set_namespace(self._home)
            os.close(self._home)
            self._home = None
        _remove_all(self._prefix)


def _remove_leftovers() -> None:
    """Remove what runs that were killed have left behind."""
    found = (re.match(rf"{_PREFIX}-(\d+)-", name) for name in _namespaces(_PREFIX))
    for pid in {int(match[1]) for match in found if match is not None}:
        # Whoever begins at the same time removes them as well.
        if not Path(f"/proc/{pid}").exists():
            with suppress(subprocess.CalledProcessError):
                _end_peers(f"{_PREFIX}-{pid}")
                _remove_all(f"{_PREFIX}-{pid}")


def _end_peers(prefix: str) -> None:
    """End peers that were stopped when their run was killed: those don't notice that it is gone."""
    for name in _namespaces(f"{prefix}-"):
        for pid in run_ip("netns", "pids", name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _remove_all(prefix: str) -> None:
    for name in _namespaces(f"{prefix}-"):
        run_ip("netns", "del", name)


def _namespaces(prefix: str) -> list[str]:
    return sorted(path.name for path in _NAMES.glob(f"{prefix}*"))


def _enter(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        _set_namespace(number)
    finally:
        os.close(number)


def _set_namespace(number: int) -> None:
    """Have this thread stand in the network namespace of an open file. (Python 3.12 has `os.setns`.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(number, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def run_ip(*words: str) -> str:
    """Run `ip`, and return what it prints.

    Raises:
        CalledProcessError: it failed.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done.stdout
