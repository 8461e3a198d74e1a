"""A Hugging Face hub on the loopback interface: real requests, files from a directory."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# status and X-Error-Code of what the hub answers instead of files
REFUSALS = {
    "gated": (403, "GatedRepo"),
    "missing": (404, "RepoNotFound"),
    "no revision": (404, "RevisionNotFound"),
    "no entry": (404, "EntryNotFound"),
    "unauthorized": (401, ""),
    "out of range": (416, ""),
    # Of all failures one that huggingface_hub does not try again, which would take 20 s.
    "failing": (501, ""),
}


@dataclass(slots=True)
class Habits:
    """How a hub serves its weight files.

    knows_ranges: False sends whole files, as some proxies do. is_redirecting: sends clients elsewhere first,
    as the hub does. failing: how many of the next requests are answered by 503. torn: how many of the next
    bodies end halfway. shifted: how many of the next ranges begin a byte too late. refusal: of REFUSALS, for
    weights alone. is_lfs: False keeps them in git, without a SHA-256.
    ranges, sent_bytes: what was asked for (file, Range), and how much of weights went out.
    """

    knows_ranges: bool = True
    is_redirecting: bool = False
    failing: int = 0
    torn: int = 0
    shifted: int = 0
    refusal: str | None = None
    is_lfs: bool = True
    ranges: list[tuple[str, str]] = field(default_factory=list, repr=False)
    sent_bytes: int = 0
    lock: Lock = field(default_factory=Lock, repr=False)

    def takes(self, fault: str) -> bool:
        """Whether the next request meets a fault; counts it."""
        with self.lock:
            left: int = getattr(self, fault)
            setattr(self, fault, max(0, left - 1))
            return left > 0


@contextmanager
def fake_hub(directory: Path, refusal: str | None = None, habits: Habits | None = None) -> Iterator[str]:
    """Serve `directory` as every repository's only commit, or refuse; yields the endpoint's URL."""
    ways = habits or Habits()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            name = path.rpartition("/")[2]
            if refusal is not None:
                self.refuse(refusal, with_body)
            elif path.startswith("/api/models/"):
                listing = _tree(directory, ways) if "/tree/" in path else _info(directory, ways)
                body = json.dumps(listing).encode()
                self.reply(200, body, {"Content-Type": "application/json"}, with_body)
            elif not (directory / name).is_file():
                self.refuse("no entry", with_body)
            elif _is_weight(name) and with_body:
                self.serve_weights(path, name)
            else:
                content = (directory / name).read_bytes()
                headers = {"ETag": f'"{_etag(directory / name)}"', "X-Repo-Commit": COMMIT}
                self.reply(200, content, headers, with_body)

        def serve_weights(self, path: str, name: str) -> None:
            if ways.is_redirecting and not path.startswith("/elsewhere/"):
                self.reply(302, b"", {"Location": f"/elsewhere/{name}"}, True)
                return
            asked = self.headers.get("Range", "")
            with ways.lock:
                ways.ranges.append((name, asked))
            if ways.takes("failing"):
                self.reply(503, b"", {}, True)
            elif ways.refusal is not None:
                self.refuse(ways.refusal, True)
            else:
                self.send_weights(name, asked)

        def send_weights(self, name: str, asked: str) -> None:
            size_bytes = (directory / name).stat().st_size
            headers = {"ETag": f'"{_etag(directory / name)}"', "X-Repo-Commit": COMMIT}
            matched = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
            status, begin, end = 200, 0, size_bytes
            if matched and ways.knows_ranges:
                status, begin = 206, int(matched[1]) + ways.takes("shifted")
                end = min(int(matched[2] or size_bytes) + 1, size_bytes)
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size_bytes}"
            with (directory / name).open("rb") as stream:
                stream.seek(begin)
                content = stream.read(end - begin)
            kept = content[: len(content) // 2] if ways.takes("torn") else content
            self.reply(status, kept, headers, True, len(content))

        def refuse(self, kind: str, with_body: bool) -> None:
            status, code = REFUSALS[kind]
            self.reply(status, b"", {"X-Error-Code": code}, with_body)

        def reply(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str],
            with_body: bool,
            length: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if with_body:
                self.send_body(body)

        def send_body(self, body: bytes) -> None:
            # Before it goes out: who has it all may look at once.
            if _is_weight(urlsplit(self.path).path):
                with ways.lock:
                    ways.sent_bytes += len(body)
            # A client may have what it wants of a file that comes whole.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def cache_tree(hub_cache: Path, name: str, source: Path, *, left_out: tuple[str, ...] = ()) -> Path:
    """What huggingface_hub leaves in its cache after a download; returns the snapshot's directory."""
    storage = hub_cache / f"models--{name.replace('/', '--')}"
    snapshot = storage / "snapshots" / COMMIT
    for directory in (snapshot, storage / "blobs", storage / "refs"):
        directory.mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    for file in source.iterdir():
        if file.name not in left_out:
            blob = storage / "blobs" / _etag(file)
            blob.write_bytes(file.read_bytes())
            (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def _info(directory: Path, habits: Habits) -> dict[str, object]:
    siblings = []
    for file in sorted(file for file in directory.iterdir() if file.is_file()):
        sibling: dict[str, object] = {"rfilename": file.name, "size": file.stat().st_size}
        if _is_weight(file.name) and habits.is_lfs:
            sibling["lfs"] = {"size": sibling["size"], "sha256": _etag(file), "pointerSize": 134}
        siblings.append(sibling)
    return {"id": "org/name", "sha": COMMIT, "siblings": siblings}


def _tree(directory: Path, habits: Habits) -> list[dict[str, object]]:
    listing = []
    for file in sorted(file for file in directory.iterdir() if file.is_file()):
        entry: dict[str, object] = {"type": "file", "path": file.name, "size": file.stat().st_size}
        entry["oid"] = "0" * 40 if _is_weight(file.name) else _etag(file)
        if _is_weight(file.name) and habits.is_lfs:
            entry["lfs"] = {"size": entry["size"], "oid": _etag(file), "pointerSize": 134}
        listing.append(entry)
    return listing


def _is_weight(name: str) -> bool:
    return name.endswith(".safetensors")


def _etag(file: Path) -> str:
    """Files in LFS go by their SHA-256, others by their SHA-1."""
    return _hash_of(file, file.stat().st_mtime_ns)


@cache
def _hash_of(file: Path, changed_ns: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256" if _is_weight(file.name) else "sha1").hexdigest()
