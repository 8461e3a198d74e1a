import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meshinfer.cli.credentials import ADMIN_KEY, API_KEY
from tests.mesh.chaos.network import why_no_network
from tests.mesh.processes import until

from .conftest import Start

PATIENCE_S = 120.0
HERE, THERE = f"mi-doc-{os.getpid()}-a", f"mi-doc-{os.getpid()}-b"


def test_it_teaches_in_80_columns(start: Start) -> None:
    helping = start("doctor", "--help")
    assert helping.ended() == 0
    helping.until_end()
    assert max(map(len, helping.lines)) <= 80
    assert any("--json" in line for line in helping.lines)


def test_without_a_peer_it_looks_at_this_machine(start: Start, tmp_path: Path, nobody: str) -> None:
    doctor = start("doctor", "--url", nobody, "--listen-for", "0", "--cache-dir", str(tmp_path))
    doctor.until(f"^· mesh +no peer answers at {re.escape(nobody)}$")
    doctor.until("GB for weights and KV cache")
    doctor.until(f"GB free in {re.escape(str(tmp_path))}")
    assert doctor.ended() in (0, 1)


def is_late(report: dict[str, Any]) -> bool:
    """Whether the peer, or this machine, took too long to tell something."""
    late = ("does not answer in", "no answer in")
    return any(text in each["text"] for each in report["findings"] for text in late)


def test_a_running_peer_is_asked_and_has_its_ports(join: Start, start: Start) -> None:
    peer = join("--name", "mac-1", "--mesh", "lab")
    url = peer.until(r"^API on (\S+)/v1")[1]

    def told() -> dict[str, str] | None:
        """What was found; None where the peer took too long to answer."""
        doctor = start("doctor", "--url", url, "--listen-for", "0", "--json")
        assert doctor.ended() in (0, 1)
        doctor.until_end()
        report = json.loads("\n".join(doctor.lines))
        texts: dict[str, str] = {}
        for each in report["findings"]:
            texts.setdefault(each["check"], each["text"])
        return None if is_late(report) else {"name": report["mesh"], **texts}

    texts = until(told, "a doctor who has asked the peer", PATIENCE_S)
    assert texts["name"] == "lab"
    assert texts["mesh"].startswith("mac-1 runs here, mesh lab (1 member) serves nothing: ")
    assert texts["ports"] == "the peer that runs here has its ports"


def test_a_peer_with_a_key_is_asked_with_the_one_of_the_environment(
    join: Start, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ADMIN_KEY, raising=False)
    monkeypatch.delenv(API_KEY, raising=False)
    peer = join("--name", "mac-1", "--mesh", "lab", "--api-key", "a-key-of-the-test-long-enough")
    url = peer.until(r"^API on (\S+)/v1")[1]

    def mesh_text() -> str | None:
        """What is said of the mesh; None where the peer took too long to answer."""
        doctor = start("doctor", "--url", url, "--listen-for", "0", "--json")
        doctor.until_end()
        report = json.loads("\n".join(doctor.lines))
        text = str(next(each["text"] for each in report["findings"] if each["check"] == "mesh"))
        return None if is_late(report) else text

    without = until(mesh_text, "a doctor without a key", PATIENCE_S)
    assert without == f"what answers at {url} asks for a key: its mesh was not looked at"
    monkeypatch.setenv(API_KEY, "a-key-of-the-test-long-enough")
    assert until(mesh_text, "a doctor with the key", PATIENCE_S).startswith("mac-1 runs here, mesh lab ")


def test_a_port_that_another_program_has_is_told(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        doctor = start(
            "doctor", "--listen", f"{host}:{port}", "--url", f"http://{host}:1", "--listen-for", "0"
        )
        doctor.until(rf"^! ports +port {port} \(links\) is taken by ")
        doctor.until("→ stop it, or take another port: meshinfer join --listen")


def test_a_peer_that_cannot_be_reached_is_broken_and_the_status_says_so(start: Start, nobody: str) -> None:
    address = nobody.removeprefix("http://")
    host = address.partition(":")[0]
    doctor = start("doctor", "--peer", address, "--url", f"http://{host}:1", "--listen-for", "0")
    doctor.until(rf"^✗ reach +{host} cannot be reached: {address}: .*nothing listens on that port")
    doctor.until(r"^1 thing is broken")
    assert doctor.ended() == 1


def test_an_address_that_is_none_is_wrong_use(start: Start) -> None:
    doctor = start("doctor", "--peer", "mac-2")
    doctor.until("give HOST:PORT")
    assert doctor.ended() == 2


# --- for real, between two hosts of one machine


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=PATIENCE_S)


@pytest.fixture
def cable() -> Iterator[None]:
    """Two namespaces, and a cable between them whose other end takes smaller packets."""
    if reason := why_no_network():
        pytest.skip(reason)
    try:
        for namespace in (HERE, THERE):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("link", "add", "lan0", "netns", HERE, "type", "veth", "peer", "name", "lan0", "netns", THERE)
        for namespace, address, mtu in ((HERE, "10.77.0.1/24", "1500"), (THERE, "10.77.0.2/24", "1300")):
            ip("-n", namespace, "address", "add", address, "dev", "lan0")
            ip("-n", namespace, "link", "set", "lan0", "up", "mtu", mtu)
        yield
    finally:
        for namespace in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, timeout=PATIENCE_S)


@contextmanager
def started(namespace: str, code: str) -> Iterator[str]:
    """A program in a namespace, which has told one line; it ends with the block."""
    python = [sys.executable, "-c", f"import signal, socket; {code}; signal.pause()"]
    with subprocess.Popen(
        ["ip", "netns", "exec", namespace, *python], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


Found = dict[str, list[tuple[str, str, list[str]]]]


def examined(*options: str) -> Found:
    """What a doctor in the first namespace finds, by check: marks, texts and remedies."""
    return until(partial(found_in_time, *options), "what a doctor finds", PATIENCE_S)


def found_in_time(*options: str) -> Found | None:
    """The same; None where it had to leave something out, as this machine took too long to tell."""
    command = [sys.executable, "-m", "meshinfer", "doctor", "--json", "--listen-for", "0", *options]
    done = subprocess.run(
        ["ip", "netns", "exec", HERE, *command], capture_output=True, text=True, timeout=PATIENCE_S
    )
    found: Found = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["check"], []).append((each["mark"], each["text"], each["remedies"]))
    is_whole = not any("no answer in" in text for _, text, _ in found.get("not asked", ()))
    return found if is_whole else None


def test_an_end_with_smaller_packets_is_found_by_connecting(cable: None) -> None:
    with started(THERE, "s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True)") as port:
        found = examined("--peer", f"10.77.0.2:{port}")
    assert found["reach"][0][:2] == ("good", f"10.77.0.2 answers at 10.77.0.2:{port}")
    mark, text, remedies = found["MTU"][0]
    assert mark == "warning"
    assert text.startswith("lan0 takes packets of 1500 bytes, 10.77.0.2 at the other end of 1300 at most")
    assert remedies == ["set both ends to the same size, here: sudo ip link set lan0 mtu 1300"]
    assert found["network"][0][0] == "good"
    assert found["mDNS"][0][:2] == ("good", "multicast works on lan0")


def test_without_a_network_that_leads_out_it_is_told(cable: None) -> None:
    ip("-n", HERE, "link", "set", "lan0", "down")
    found = examined()
    assert found["network"][0][:2] == ("bad", "no network")
    assert found["neighbours"][0][0] == "note"


def test_a_program_that_keeps_mdns_to_itself_is_found(cable: None) -> None:
    with started(HERE, "s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 5353)); print(1, flush=True)"):
        mark, text, remedies = examined()["mDNS"][0]
    assert mark == "bad"
    assert "lan0: another program of another user holds UDP port 5353 for itself" in text
    assert remedies[-1] == "or name one other peer: meshinfer join --peer HOST:PORT"
