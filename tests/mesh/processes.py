"""Real peers, each a process of its own, as somebody at a terminal starts them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import httpx2

from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import KeyStore
from meshinfer.keys.security import MeshSecurity

ROOT = Path(__file__).parents[2]
PATIENCE_S = 150.0
"""How long a test waits for what takes seconds, a minute on a busy machine; it says so when that is over."""

API_KEY = "peers-of-a-test-share-this"
KEY_HEADERS = {"Authorization": f"Bearer {API_KEY}"}
"""For peers that other hosts may ask; the others ask for no key, and don't mind one."""

_PAUSE_S = 0.05
_LEAVE_S = 10.0
_TAIL_LINES = 25

T = TypeVar("T")


class Output:
    """What a process writes to one of its streams, line by line, read by a thread as it comes.

    heard_s: when each of the lines came, by this process's monotonic clock.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self.heard_s: list[float] = []
        self._stream = stream
        self._changed = threading.Condition()
        self._has_ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, pattern: str, timeout_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait for a line in which `pattern` is found; those that came before count too."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                left_s = deadline_s - time.monotonic()
                if self._has_ended or left_s <= 0:
                    why = "the output ended" if self._has_ended else f"{timeout_s:.0f} s went by"
                    raise AssertionError(f"{why} without a line like {pattern!r}:\n" + self.tail())
                self._changed.wait(left_s)

    def wait_for_end(self) -> str:
        """All that was written, once nothing more can come."""
        self._thread.join(PATIENCE_S)
        return "\n".join(self.lines)

    def since(self, begin_s: float) -> list[tuple[float, str]]:
        """The lines that came from then on, each with its time."""
        with self._changed:
            heard = zip(self.heard_s, self.lines, strict=True)
            return [(at_s, line) for at_s, line in heard if at_s >= begin_s]

    def tail(self) -> str:
        """The last lines."""
        return "\n".join(self.lines[-_TAIL_LINES:])

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                with self._changed:
                    self.heard_s.append(time.monotonic())
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer answered. tokens: how many it counted, a stop token included."""

    text: str
    finish: str
    tokens: int


class PeerProcess:
    """`meshinfer join`, running. Where it listens is known once it has said so."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            # As on a user's machine: what was compiled once is not compiled by each process again.
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            # With --exit-with-parent: it leaves when the tests are gone, however they ended.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout, self.stderr = Output(self.process.stdout), Output(self.process.stderr)
        # What runs on this machine needs no proxy.
        self.http = httpx2.Client(headers=KEY_HEADERS, timeout=PATIENCE_S, trust_env=False)

    @property
    def address(self) -> str:
        """`HOST:PORT` for other peers."""
        return self.stdout.wait_for(r"^peer \S+ listens on (\S+)")[1]

    @property
    def url(self) -> str:
        """Base URL of its HTTP API."""
        return self.stdout.wait_for(r"^API on (\S+)/v1 ")[1]

    def get(self, path: str) -> httpx2.Response:
        """Ask its HTTP API."""
        return self.http.get(self.url + path)

    def mesh(self) -> dict[str, Any]:
        """The mesh as it shows it."""
        return json_of(self.get("/mesh"))

    def health_reason(self) -> str:
        """Why it cannot answer; empty when it can."""
        return str(json_of(self.get("/health")).get("reason", ""))

    def members(self) -> dict[str, str]:
        """The members that it shows: name to status."""
        return {member["name"]: member["status"] for member in self.mesh()["members"]}

    def answer(self, prompt: str, max_tokens: int, *, is_chat: bool = False, **fields: object) -> Answer:
        """Ask, and wait for the whole answer; greedy unless `fields` say otherwise."""
        path, body = _question(prompt, max_tokens, is_chat=is_chat, **fields)
        response = self.http.post(self.url + path, json=body)
        assert response.status_code == 200, response.text
        shown = json_of(response)
        choice = shown["choices"][0]
        text = choice["message"]["content"] if is_chat else choice["text"]
        return Answer(text, choice["finish_reason"], shown["usage"]["completion_tokens"])

    @contextmanager
    def stream(
        self, prompt: str | Sequence[int], max_tokens: int, **fields: object
    ) -> Iterator[Iterator[str]]:
        """Ask, by text or token ids, and get the pieces as they come; leaving the context hangs up."""
        path, body = _question(prompt, max_tokens, is_chat=False, stream=True, **fields)
        with self.http.stream("POST", self.url + path, json=body) as response:
            if response.status_code != 200:
                raise AssertionError(response.read().decode())
            yield _pieces(response)

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End it now, if it still runs, and give back what it took here."""
        self.kill()
        self.http.close()
        self.stdout.wait_for_end()
        self.stderr.wait_for_end()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def report(self) -> str:
        """Its last words, for whoever has to find out why a test failed."""
        state = self.process.poll()
        return (
            f"--- {self.name} ({'runs' if state is None else f'ended with status {state}'}), output:\n"
            f"{self.stdout.tail()}\n--- {self.name}, errors:\n{self.stderr.tail()}"
        )


class ProcessMesh:
    """The peers of one mesh. Leave its context and none is left.

    is_quiet: their last words are printed only if an exception comes by. A test's fixture does not see it
    come, so tests have them printed always: pytest keeps them to itself unless the test fails.
    """

    def __init__(self, scratch: Path, *, is_quiet: bool = False, name: str = "") -> None:
        self.peers: list[PeerProcess] = []
        self._is_quiet = is_quiet
        self._cache_dir = scratch / "cache"
        self._config_dir = scratch / "config"
        self._mesh = name or f"test-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reports = [peer.report() for peer in self.peers]
        for peer in self.peers:
            peer.close()
        # Whoever merely stops reading a generator that holds this has seen nothing go wrong.
        has_failed = error is not None and not isinstance(error, GeneratorExit)
        if has_failed or not self._is_quiet:
            print("\n".join(reports))

    def start(
        self,
        name: str,
        model: Path | str | None,
        *options: str,
        seeds: Sequence[PeerProcess | str] = (),
        listen: str = "127.0.0.1:0",
        api_port: int = 0,
        stages: str = "all",
        memory_gb: float = 1.0,
        min_peers: int = 1,
        is_offline: bool = True,
        within: Sequence[str] = (),
        kind: "type[PeerProcess] | None" = None,
        is_discovering: bool = False,
    ) -> PeerProcess:
        """Start a peer; it prints its addresses when it is up, and nothing here waits for that.

        within: a command that runs the rest of its line, such as one that enters a network namespace.
        kind: how its lines are read.
        """
        wanted = ["--model", str(model)] if model is not None else []
        known = [["--peer", seed if isinstance(seed, str) else seed.address] for seed in seeds]
        command = [
            *(*within, sys.executable, "-m", "meshinfer", "join", *wanted),
            *("--name", name, "--listen", listen),
            *(word for seed in known for word in seed),
            *([] if is_discovering else ["--no-mdns"]),
            *("--api-port", str(api_port), "--stages", stages, "--memory", str(memory_gb)),
            *("--min-peers", str(min_peers), "--mesh", self._mesh),
            *("--cache-dir", str(self._cache_dir), "--config-dir", str(self._config_dir)),
            *(["--offline"] if is_offline else []),
            *("--exit-with-parent", *options),
        ]
        peer = (kind or PeerProcess)(name, command)
        self.peers.append(peer)
        return peer

    def member(self, secret: PeerSecret) -> MeshSecurity:
        """What proves somebody else to be a member, who speaks to its peers on links of his own."""
        keyring, _ = KeyStore(self._config_dir).read_or_make(self._mesh)
        return MeshSecurity(secret, keyring)

    def drop(self, peer: PeerProcess) -> None:
        """End a peer, if it still runs, and forget it."""
        self.peers.remove(peer)
        peer.close()


@contextmanager
def ring(
    count: int,
    model: Path,
    scratch: Path,
    *,
    min_peers: int | None = None,
    memory_gb: float = 1.0,
    is_quiet: bool = False,
    within: Sequence[str] = (),
) -> Iterator[list[PeerProcess]]:
    """`count` peers, `p0` to the last one in the ring's order, that all show the same live ring.

    min_peers: as many as there are, unless told otherwise: then a smaller ring forms first, and may again.
    within: see `ProcessMesh.start`.
    """
    with ProcessMesh(scratch, is_quiet=is_quiet) as mesh:
        least = count if min_peers is None else min_peers
        first = mesh.start("p0", model, min_peers=least, memory_gb=memory_gb, within=within)
        for number in range(1, count):
            mesh.start(
                f"p{number}", model, seeds=[first], min_peers=least, memory_gb=memory_gb, within=within
            )
        wait_for_ring(mesh.peers)
        yield mesh.peers


def wait_for_ring(peers: Sequence[PeerProcess], timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    """Wait until exactly these peers form a ring, each shows the same mesh and serves; return that mesh."""

    def agreed() -> dict[str, Any] | None:
        # One after the other: all these processes share this machine.
        mesh = peers[-1].mesh()
        names = sorted(stage["name"] for stage in mesh["ring"])
        is_whole = names == sorted(peer.name for peer in peers) and mesh["state"] == "live"
        if not is_whole:
            return None
        shown = [peer.mesh() for peer in peers]
        is_same = all(other == shown[0] for other in shown)
        is_served = is_whole and is_same and all(peer.get("/health").status_code == 200 for peer in peers)
        return shown[0] if is_served else None

    return until(agreed, f"a ring of {', '.join(peer.name for peer in peers)}", timeout_s)


def until(look: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Look until there is something to see, and return it.

    HTTP has no way to say that something has changed: this asks again, some twenty times a second.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{what}: not there after {timeout_s:.0f} s")
        time.sleep(_PAUSE_S)
    return found


def wait_for_exit(peer: PeerProcess) -> int:
    """Wait until a peer that was asked to leave, or cannot stay, has ended; return its status."""
    return peer.process.wait(PATIENCE_S)


def json_of(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object that was answered."""
    body = response.json()
    assert isinstance(body, dict), body
    return body


def _question(
    prompt: str | Sequence[int], max_tokens: int, *, is_chat: bool, **fields: object
) -> tuple[str, dict[str, object]]:
    content = {"messages": [{"role": "user", "content": prompt}]} if is_chat else {"prompt": prompt}
    path = "/v1/chat/completions" if is_chat else "/v1/completions"
    return path, {"temperature": 0.0, "max_tokens": max_tokens, **content, **fields}


def _pieces(response: httpx2.Response) -> Iterator[str]:
    for event in httpx2.EventSource(response):
        if event.data == "[DONE]":
            return
        shown = json.loads(event.data)
        if "error" in shown:
            raise AssertionError(f"the stream ended with {shown['error']['message']}")
        yield from (choice["text"] for choice in shown["choices"])
    raise AssertionError("the stream ended without [DONE]")
