"""A Hugging Face hub on the loopback interface: real requests, files from a directory."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# status and X-Error-Code of what the hub answers instead of files
REFUSALS = {
    "gated": (403, "GatedRepo"),
    "missing": (404, "RepoNotFound"),
    "no revision": (404, "RevisionNotFound"),
    "failing": (500, ""),
}


@contextmanager
def fake_hub(directory: Path, refusal: str | None = None) -> Iterator[str]:
    """Serve `directory` as every repository's only commit, or refuse; yields the endpoint's URL."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if refusal is not None:
                status, code = REFUSALS[refusal]
                self.reply(status, b"", {"X-Error-Code": code}, with_body)
            elif path.startswith("/api/models/"):
                listing = _tree(directory) if "/tree/" in path else {"id": "org/name", "sha": COMMIT}
                body = json.dumps(listing).encode()
                self.reply(200, body, {"Content-Type": "application/json"}, with_body)
            else:
                content = (directory / path.rpartition("/")[2]).read_bytes()
                headers = {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": COMMIT}
                self.reply(200, content, headers, with_body)

        def reply(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
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
            blob = storage / "blobs" / _etag(file.read_bytes())
            blob.write_bytes(file.read_bytes())
            (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def _tree(directory: Path) -> list[dict[str, object]]:
    files = sorted(file for file in directory.iterdir() if file.is_file())
    return [
        {
            "type": "file",
            "path": file.name,
            "size": file.stat().st_size,
            "oid": _etag(file.read_bytes()),
        }
        for file in files
    ]


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
