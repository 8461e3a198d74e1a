"""Cables between namespaces, cut and put back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mesh.chaos.network import Network, why_no_network

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.skipif(bool(why_no_network()), reason=f"no links are cut here: {why_no_network()}"),
]

PORT = 7000
LISTEN = f"""
import socket
with socket.create_server(("", {PORT})) as listener:
    print("up", flush=True)
    while True:
        listener.accept()[0].close()
"""
REACH = f"import socket, sys; socket.create_connection((sys.argv[1], {PORT}), float(sys.argv[2]))"
LONG_S, SHORT_S = 60.0, 0.5
"""For who should get there: the system may begin with a packet or two that are lost. For who should not."""


def reaches(network: Network, name: str | None, other: str, within_s: float = LONG_S) -> bool:
    """Whether a peer, or who stands in the hub, reaches another peer."""
    within = network.entering(name) if name else []
    command = [*within, sys.executable, "-c", REACH, network.address(other), str(within_s)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=120, check=False).returncode == 0


def test_a_cut_parts_two_peers_and_nobody_else_and_heals() -> None:
    home = os.readlink("/proc/thread-self/ns/net")
    with Network(["a", "b", "c"]) as network:
        listening = subprocess.Popen(
            [*network.entering("b"), sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True
        )
        with listening:
            assert listening.stdout is not None
            assert listening.stdout.readline() == "up\n"
            assert reaches(network, "a", "b")
            network.cut("a", "b")
            assert not reaches(network, "a", "b", SHORT_S)
            assert reaches(network, "c", "b")
            assert reaches(network, None, "b")
            network.heal("a", "b")
            assert reaches(network, "a", "b")
            listening.kill()
    assert os.readlink("/proc/thread-self/ns/net") == home
    assert not list(Path("/run/netns").glob(f"meshinfer-chaos-{os.getpid()}-*"))
