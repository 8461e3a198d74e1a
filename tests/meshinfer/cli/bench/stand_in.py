"""A peer's HTTP API that a test can change in the middle: it computes nothing and has no mesh."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class StandIn:
    """A ring of peers, all of them at one URL.

    asked: the prompts so far; before_answer: called with their number before each is answered.
    """

    peers: int = 2
    epoch: int = 1
    resident_bytes: int | None = 500_000_000
    context_tokens: int = 2048
    reason: str = ""
    asked: list[list[int]] = field(default_factory=list)
    before_answer: Callable[[int], None] = lambda count: None

    def __post_init__(self) -> None:
        stand_in, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(503 if stand_in.reason else 200, "application/json", stand_in.look(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    stand_in.asked.append(body["prompt"])
                    stand_in.before_answer(len(stand_in.asked))
                self._send(200, "text/event-stream", stand_in.answer(len(body["prompt"]), body["max_tokens"]))

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _send(self, status: int, kind: str, text: str) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def look(self, path: str) -> str:
        names = [f"mac-{number}" for number in range(1, self.peers + 1)]
        layers = {name: [place, place + 1] for place, name in enumerate(names)}
        shown: dict[str, dict[str, Any]] = {
            "/health": {
                "status": "waiting" if self.reason else "ok",
                "reason": self.reason,
                "name": "mac-1",
                "model": "tiny",
                "resident_bytes": self.resident_bytes,
            },
            "/v1/models": {
                "data": [{"id": "tiny", "vocab_size": 300, "context_tokens": self.context_tokens}]
            },
            "/mesh": {
                "mesh": "meshinfer",
                "is_open": False,
                "model": "tiny",
                "state": "live",
                "reason": None,
                "plan": {"epoch": self.epoch, "digest": "d" * 8, "layer_count": self.peers},
                "ring": [{"peer": name, "name": name, "layers": layers[name]} for name in names],
                "members": [
                    {
                        "peer": name,
                        "name": name,
                        "status": "alive",
                        "phase": "active",
                        "addresses": [],
                        "api": self.url,
                        "memory_bytes": 10**9,
                        "layers": layers[name],
                        "fault": None,
                    }
                    for name in names
                ],
            },
        }
        return json.dumps(shown[path])

    def answer(self, prompt_tokens: int, tokens: int) -> str:
        pieces = [{"choices": [{"text": "a", "finish_reason": None}], "usage": None}] * tokens
        counted = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens}
        events = [json.dumps(event) for event in (*pieces, {"choices": [], "usage": counted})]
        return "".join(f"data: {event}\n\n" for event in (*events, "[DONE]"))
