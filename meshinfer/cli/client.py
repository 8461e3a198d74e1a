"""Talks to a running peer over its HTTP API, and turns what comes back into values."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

_CONNECT_TIMEOUT_S = 5.0
# A peer gives up an answer without progress after 120 s and says so: it must be heard.
_READ_TIMEOUT_S = 180.0
# All else a peer answers at once, if it lives.
_LOOK_TIMEOUT_S = 10.0


class ClientError(Exception):
    """A peer could not be asked, or refused; the text is for a person and says what to do."""


class Unreachable(ClientError):
    """Nobody answers at that address."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an answer. finish: why it ended, on the last part; answer_tokens: where they are told."""

    text: str = ""
    finish: str | None = None
    answer_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a peer can answer, and why not. model: what its mesh runs, empty if nothing yet."""

    is_ok: bool
    reason: str
    peer_name: str
    model: str
    is_leaving: bool = False


class PeerClient:
    """One peer's HTTP API. Use it as a context manager.

    Raises (from every method):
        Unreachable: nobody answers there. ClientError: what answers refused, or is no peer.
    """

    def __init__(self, url: str, transport: httpx2.BaseTransport | None = None) -> None:
        """transport: how requests travel; None for the network."""
        self.url = url
        timeout = httpx2.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        # Peers are near: a proxy that leads to the world would not find them.
        self._http = httpx2.Client(base_url=url, timeout=timeout, trust_env=False, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def mesh(self) -> dict[str, Any]:
        """The mesh as this peer sees it."""
        return self._ask("GET", "/mesh", ok=(200,))

    def health(self) -> Health:
        """Whether this peer can answer now."""
        body = self._ask("GET", "/health", ok=(200, 503))
        return Health(
            body.get("status") == "ok",
            str(body.get("reason") or ""),
            str(body.get("name") or ""),
            str(body.get("model") or ""),
            body.get("status") == "leaving",
        )

    def leave(self) -> str:
        """Ask this peer to leave its mesh; return its name. It is gone once nobody answers any more."""
        body = self._ask("POST", "/mesh/leave", ok=(202,))
        return str(body.get("name") or self.url)

    def chat(
        self, messages: Sequence[Mapping[str, str]], settings: Mapping[str, object]
    ) -> Generator[Chunk, None, None]:
        """Stream the answer to a chat; closing the generator cancels the answer on all peers."""
        body = {"messages": list(messages), "stream": True, "stream_options": {"include_usage": True}}
        with (
            self._named_errors(_READ_TIMEOUT_S),
            self._http.stream("POST", "/v1/chat/completions", json=body | dict(settings)) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise ClientError(_error_text(response))
            for event in httpx2.EventSource(response):
                if event.data == "[DONE]":
                    return
                yield read_chunk(json.loads(event.data))
        raise ClientError("the answer broke off: the peer was stopped, or lost its ring")

    def _ask(self, method: str, path: str, ok: tuple[int, ...]) -> dict[str, Any]:
        timeout = httpx2.Timeout(_LOOK_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        with self._named_errors(_LOOK_TIMEOUT_S):
            response = self._http.request(method, path, timeout=timeout)
            if response.status_code not in ok:
                raise ClientError(_error_text(response))
            body = response.json()
        if not isinstance(body, dict):
            raise ClientError(f"what answers at {self.url} is no meshinfer peer")
        return body

    @contextmanager
    def _named_errors(self, timeout_s: float) -> Iterator[None]:
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Unreachable(
                f"no peer answers at {self.url}: start one with `meshinfer join --model smollm2`, "
                "or name another with --url"
            ) from error
        except httpx2.TimeoutException as error:
            raise ClientError(f"{self.url} has not answered for {timeout_s:.0f} s") from error
        except httpx2.HTTPError as error:
            raise ClientError(f"the connection to {self.url} broke: {error}") from error
        except ValueError as error:
            raise ClientError(f"what answers at {self.url} is no meshinfer peer: {error}") from error


def read_chunk(body: Any) -> Chunk:
    """Read one event of a streamed chat.

    Raises:
        ClientError: it carries an error. ValueError: it is none.
    """
    match body:
        case {"error": {"message": str() as message}}:
            raise ClientError(message)
        case {"usage": {"completion_tokens": int() as tokens}}:
            return Chunk(answer_tokens=tokens)
        case {"choices": [{"delta": dict() as delta, "finish_reason": str() | None as finish}, *_]}:
            return Chunk(str(delta.get("content") or ""), finish)
        case _:
            raise ValueError(f"an event that is no part of a chat: {str(body)[:80]}")


def _error_text(response: httpx2.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        body = None
    match body:
        case {"error": {"message": str() as message}}:
            return message
        case _:
            return f"{response.url} answered {response.status_code}: is it a meshinfer peer?"
