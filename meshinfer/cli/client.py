"""Talks to a running peer over its HTTP API, and turns what comes back into values."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2

from meshinfer.key_state import KeyState

from .credentials import key_advice, key_headers

CONNECT_TIMEOUT_S = 5.0
# A peer gives up an answer without progress after 120 s and says so: it must be heard.
READ_TIMEOUT_S = 180.0
# All else a peer answers at once, if it lives.
_LOOK_TIMEOUT_S = 10.0
# Many rings are planned to explain one.
_THINK_TIMEOUT_S = 60.0


class ClientError(Exception):
    """A peer could not be asked, or refused; the text is for a person and says what to do."""


class Unreachable(ClientError):
    """Nobody answers at that address."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an answer. finish: why it ended, on the last part; answer_tokens: where they are told.

    reasoning: what the model thinks before it answers. waiting: why nothing comes at the moment, in a part
    that holds nothing else. cached_tokens: of prompt_tokens, those that were not computed anew.
    """

    text: str = ""
    finish: str | None = None
    answer_tokens: int | None = None
    reasoning: str = ""
    waiting: str = ""
    prompt_tokens: int | None = None
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a peer can answer, and why not. model: what its mesh runs first, empty if nothing yet.

    models: all that it runs.
    resident_bytes: memory that the peer's process takes, where it tells.
    """

    is_ok: bool
    reason: str
    peer_name: str
    model: str
    is_leaving: bool = False
    resident_bytes: int | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a mesh runs. context_tokens: the most that prompt and answer have together."""

    name: str
    vocab_size: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that can be asked. is_loaded: whether it answers at once, or is loaded from a disk first."""

    name: str
    is_loaded: bool


@dataclass(frozen=True, slots=True)
class LoadStep:
    """How far a model is that is loaded. doing: what is awaited, empty once it is live."""

    model: str
    is_live: bool
    doing: str


class PeerClient:
    """One peer's HTTP API. Use it as a context manager.

    Raises (from every method):
        Unreachable: nobody answers there. ClientError: what answers refused, or is no peer.
    """

    def __init__(self, url: str, transport: httpx2.BaseTransport | None = None) -> None:
        """transport: how requests travel; None for the network."""
        self.url = url
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        # Peers are near: a proxy that leads to the world would not find them.
        self._http = httpx2.Client(
            base_url=url, headers=key_headers(), timeout=timeout, trust_env=False, transport=transport
        )

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

    def why(self, model: str | None = None) -> dict[str, Any]:
        """Why the ring of a model is as it is, None for the first one: the body of `GET /mesh/why`."""
        query = f"?model={quote(model, safe='')}" if model is not None else ""
        return self._ask("GET", f"/mesh/why{query}", ok=(200,), timeout_s=_THINK_TIMEOUT_S)

    def health(self) -> Health:
        """Whether this peer can answer now."""
        body = self._ask("GET", "/health", ok=(200, 503))
        return Health(
            body.get("status") == "ok",
            str(body.get("reason") or ""),
            str(body.get("name") or ""),
            str(body.get("model") or ""),
            body.get("status") == "leaving",
            body.get("resident_bytes"),
            tuple(map(str, body.get("models", ()))),
        )

    def model(self) -> ServedModel:
        """The model that this peer's mesh runs."""
        match self._ask("GET", "/v1/models", ok=(200,)):
            case {
                "data": [
                    {"id": str(name), "vocab_size": int(vocab_size), "context_tokens": int(context_tokens)},
                    *_,
                ]
            }:
                return ServedModel(name, vocab_size, context_tokens)
            case {"data": []} | {"data": [{"is_loaded": False}, *_]}:
                raise ClientError(
                    f"the mesh at {self.url} runs no model: give one to `meshinfer join --model`"
                )
            case _:
                raise ClientError(
                    f"the peer at {self.url} does not tell its model's vocabulary: it has no files of the "
                    "model yet, or is of another release"
                )

    def models(self) -> list[ListedModel]:
        """All models that this peer's mesh runs, and those on its disks."""
        body = self._ask("GET", "/v1/models", ok=(200,))
        listed = [each for each in body.get("data", ()) if isinstance(each, dict) and "id" in each]
        return [ListedModel(str(each["id"]), each.get("is_loaded") is not False) for each in listed]

    def leave(self) -> str:
        """Ask this peer to leave its mesh; return its name. It is gone once nobody answers any more."""
        body = self._ask("POST", "/mesh/leave", ok=(202,))
        return str(body.get("name") or self.url)

    def trace(self, request: str) -> dict[str, Any]:
        """Where the time of a request of this peer went."""
        return self._ask("GET", f"/mesh/trace/{quote(request)}", ok=(200,))

    def drain(self, *, is_drained: bool) -> str:
        """Have this peer hold no layers, or let it hold some again; return its name."""
        body = self._ask("POST", "/mesh/drain", ok=(200, 202), body={"drain": is_drained})
        return str(body.get("name") or self.url)

    def drain_state(self, name: str) -> str:
        """How far this peer is with that: `drained`, `draining: …`, or empty where nobody asked for it."""
        members = self.mesh().get("members", [])
        return next((str(each.get("drain") or "") for each in members if each.get("name") == name), "")

    def key(self) -> KeyState:
        """How the mesh's key, and a change of it, is: by labels."""
        return _key_state(self._ask("GET", "/mesh/key", ok=(200,)))

    def change_key(self, action: str, without: Sequence[str] = ()) -> KeyState:
        """Have the mesh change its key, or `finish` that; return how it is then. No key comes along."""
        body = {"action": action, "without": list(without)}
        return _key_state(self._ask("POST", "/mesh/key", ok=(202,), body=body))

    def load(self, model: str, stages: str | None = None) -> Generator[LoadStep, None, None]:
        """Have the mesh run a model; tell how far it is, until it answers. A download takes its time."""
        body = {"model": model, "stream": True} | ({"stages": stages} if stages is not None else {})
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        with (
            named_errors(self.url, READ_TIMEOUT_S),
            self._http.stream("POST", "/mesh/models/load", json=body, timeout=timeout) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise ClientError(error_text(response))
            for line in response.iter_lines():
                step = read_step(json.loads(line))
                yield step
                if step.is_live:
                    return
        raise ClientError(f"the peer at {self.url} stopped before {model} was live")

    def unload(self, model: str) -> None:
        """Have the mesh run a model no longer; return once it is gone."""
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        with named_errors(self.url, READ_TIMEOUT_S):
            response = self._http.post("/mesh/models/unload", json={"model": model}, timeout=timeout)
            if response.status_code != 200:
                raise ClientError(error_text(response))

    def chat(
        self, messages: Sequence[Mapping[str, str]], settings: Mapping[str, object]
    ) -> Generator[Chunk, None, None]:
        """Stream the answer to a chat; closing the generator cancels the answer on all peers."""
        body = {"messages": list(messages), "stream": True, "stream_options": {"include_usage": True}}
        with (
            named_errors(self.url, READ_TIMEOUT_S),
            self._http.stream("POST", "/v1/chat/completions", json=body | dict(settings)) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise ClientError(error_text(response))
            check_is_stream(response)
            for line in response.iter_lines():
                # A comment says why it waits; the API writes every event on one line of its own.
                kind, _, data = line.partition(":")
                if line.startswith(":"):
                    yield Chunk(waiting=data.strip())
                elif kind == "data":
                    if data.strip() == "[DONE]":
                        return
                    yield read_chunk(json.loads(data))
        raise ClientError("the answer broke off: the peer was stopped, or lost its ring")

    def _ask(
        self,
        method: str,
        path: str,
        ok: tuple[int, ...],
        body: Mapping[str, object] | None = None,
        timeout_s: float = _LOOK_TIMEOUT_S,
    ) -> dict[str, Any]:
        timeout = httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        with named_errors(self.url, timeout_s):
            response = self._http.request(method, path, timeout=timeout, json=body)
            if response.status_code not in ok:
                raise ClientError(error_text(response))
            told = response.json()
        if not isinstance(told, dict):
            raise ClientError(f"what answers at {self.url} is no meshinfer peer")
        return told


def _key_state(body: dict[str, Any]) -> KeyState:
    match body:
        case {
            "label": str(label),
            "former": str(former),
            "lacking": list(lacking),
            "put_out": list(put_out),
            "is_used": bool(is_used),
            "left_s": int(left_s),
        }:
            missing, out = tuple(map(str, lacking)), tuple(map(str, put_out))
            return KeyState(label, former, missing, out, is_used, left_s)
        case {"label": None}:
            return KeyState("")
        case _:
            raise ClientError("the peer does not tell of its key: use its release of meshinfer")


@contextmanager
def named_errors(url: str, timeout_s: float) -> Iterator[None]:
    """Say for a person what goes wrong while the peer at `url` is asked.

    Raises:
        Unreachable: nobody answers there. ClientError: all else.
    """
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Unreachable(
            f"no peer answers at {url}: start one with `meshinfer join --model smollm2`, "
            "or name another with --url"
        ) from error
    except httpx2.TimeoutException as error:
        raise ClientError(f"{url} has not answered for {timeout_s:.0f} s") from error
    except httpx2.HTTPError as error:
        raise ClientError(f"the connection to {url} broke: {error}") from error
    except ValueError as error:
        raise ClientError(f"what answers at {url} is no meshinfer peer: {error}") from error


def check_is_stream(response: httpx2.Response) -> None:
    """See that server-sent events come.

    Raises:
        ValueError: something else does.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "text/event-stream":
        raise ValueError(f"events were expected, not {kind or 'nothing in particular'}")


def read_step(body: Any) -> LoadStep:
    """Read one line of a load.

    Raises:
        ClientError: it carries an error. ValueError: it is none.
    """
    match body:
        case {"error": {"message": str() as message}}:
            raise ClientError(message)
        case {"status": str() as status, "model": str() as model, "doing": str() | None as doing}:
            return LoadStep(model, status == "live", doing or "")
        case _:
            raise ValueError(f"a line that tells of no load: {str(body)[:80]}")


def read_chunk(body: Any) -> Chunk:
    """Read one event of a streamed chat.

    Raises:
        ClientError: it carries an error. ValueError: it is none.
    """
    match body:
        case {"error": {"message": str() as message}}:
            raise ClientError(message)
        case {"usage": {"completion_tokens": int() as tokens} as usage}:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            return Chunk(answer_tokens=tokens, prompt_tokens=usage.get("prompt_tokens"), cached_tokens=cached)
        case {"choices": [{"delta": dict() as delta, "finish_reason": str() | None as finish}, *_]}:
            thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
            return Chunk(str(delta.get("content") or ""), finish, reasoning=str(thought))
        case _:
            raise ValueError(f"an event that is no part of a chat: {str(body)[:80]}")


def error_text(response: httpx2.Response) -> str:
    """What a refusal says, for a person."""
    try:
        body = response.json()
    except ValueError:
        body = None
    match body:
        case {"error": {"message": str() as message, **more}}:
            advice = key_advice(more.get("code"))
            return f"{message}; {advice}" if advice else message
        case _:
            return f"{response.url} answered {response.status_code}: is it a meshinfer peer?"
