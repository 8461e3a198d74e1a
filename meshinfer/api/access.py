"""Who may ask this API: under which names, with which keys, and how many at once."""

import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from meshinfer.config import ApiConfig

from .error_shapes import shaped_error
from .errors import ApiError

IS_ADMIN = "meshinfer.is_admin"
"""In a request's scope: whether it came with the admin key."""

_OPEN_PATHS = frozenset({"/", "/health", "/docs", "/openapi.json"})
_OPEN_PREFIXES = ("/web/", "/docs/")
"""Pages hold nothing of the mesh; the first says itself that it needs a key. Health is for load balancers."""

_ASKING_ONLY = frozenset({"/mesh/plan"})
"""What is posted there changes nothing."""

_BEARER = re.compile(r"bearer +", re.IGNORECASE)

_BUSY_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Names:
    """What this API may be called in a request's Host header.

    Numbers always: a web page that had its own name point here (DNS rebinding) sends that name. Names are
    lower case, without port.
    """

    known: frozenset[str]

    @classmethod
    def of_this_machine(cls, more: tuple[str, ...] = ()) -> "Names":
        """The machine's own names, and those that its owner adds."""
        host = socket.gethostname().lower().rstrip(".")
        short = host.partition(".")[0]
        return cls(frozenset({"localhost", host, short, f"{short}.local", *map(str.lower, more)}))

    def has(self, host: str) -> bool:
        """Whether a Host header names this API; one without any is from no browser."""
        name = _without_port(host).lower().rstrip(".")
        if not name or name in self.known or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


class Keys:
    """The keys that are demanded. Only their hashes are kept, so that comparing takes one time for all."""

    def __init__(self, api_key: str | None, admin_key: str | None) -> None:
        self._api = _hashed(api_key) if api_key else None
        self._admin = _hashed(admin_key) if admin_key else None

    def check(self, path: str, method: str, shown: str | None) -> bool:
        """Let a request through; return whether it may do what an admin may.

        shown: the key that it carries, if any.

        Raises:
            ApiError: it needs another key; 401 without one or with a wrong one, 403 with a lesser one.
        """
        hashed = _hashed(shown) if shown else b""
        is_admin = self._admin is not None and hmac.compare_digest(hashed, self._admin)
        is_user = self._api is None or hmac.compare_digest(hashed, self._api)
        if is_admin:
            return True
        if not is_user and not _is_open(path, method):
            why = "this key is not the one of this API" if shown else "this API needs a key"
            raise ApiError(
                401, f"{why}: send it as Authorization: Bearer …, or as x-api-key", code="invalid_api_key"
            )
        is_change = method == "POST" and path.startswith("/mesh/") and path not in _ASKING_ONLY
        if self._admin is not None and is_change:
            raise ApiError(403, f"{method} {path} needs the admin key of this API", code="admin_key_needed")
        return False


def _is_open(path: str, method: str) -> bool:
    return method in ("GET", "HEAD") and (path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES))


def _hashed(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


class AccessGuard:
    """ASGI middleware in front of everything: nothing of a request's body is read before it may ask."""

    def __init__(self, app: ASGIApp, config: ApiConfig) -> None:
        self._app = app
        self._keys = Keys(config.api_key, config.admin_key)
        self._names = Names.of_this_machine(config.names)
        self._most = config.max_requests
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope = {**scope, IS_ADMIN: self._check(scope)}
        except ApiError as error:
            headers = {**error.headers, **({"WWW-Authenticate": "Bearer"} if error.status == 401 else {})}
            body = shaped_error(Request(scope), error)
            # The body may still be on its way, and nobody reads it.
            refused = JSONResponse(body, error.status, {**headers, "Connection": "close"})
            await refused(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1

    def _check(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._names.has(host):
            raise ApiError(
                421,
                f"this API is not called {host[:100]!r}: ask it by its number, or allow the name with "
                "--api-name",
                code="unknown_host",
            )
        is_admin = self._keys.check(scope["path"], scope["method"], _key_shown(headers))
        if self._running >= self._most:
            raise ApiError(
                503,
                f"this API serves {self._most} requests at once, and all are taken",
                code="overloaded",
                retry_after_s=_BUSY_RETRY_S,
            )
        return is_admin


def _key_shown(headers: Headers) -> str | None:
    bearer = headers.get("authorization", "")
    found = _BEARER.match(bearer)
    return bearer[found.end() :].strip() if found else headers.get("x-api-key")
