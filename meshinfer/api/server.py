"""Serves the application as a part of a peer: uvicorn, without its signals and its logging setup."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import uvicorn

from meshinfer.config import ApiConfig
from meshinfer.errors import ConfigError
from meshinfer.machine.interfaces import reachable_addresses
from meshinfer.transports.address import format_address, parse_address

from .access import AccessGuard
from .app import create_app
from .closing import Closing
from .kept_answers import KeptAnswers
from .protocol import http_protocol

if TYPE_CHECKING:
    from meshinfer.peer import Peer

logger = logging.getLogger(__name__)

_BACKLOG = 256

_KEEP_ALIVE_S = 65
"""Longer than clients keep a connection they do not use, so that it is they who close it."""

_MAX_HEAD_BYTES = 32 << 10
"""A request's line and headers together."""

_GRACE_S = 2
"""For answers that were told to end, to reach clients that are slow to read."""

_STOP_TIMEOUT_S = 5.0


class ApiServer:
    """The HTTP API of one peer. The socket listens from the start; it is served between `start` and exit.

    Raises:
        ConfigError: the address is taken, is not this machine's, or may not be used.
    """

    def __init__(self, peer: "Peer", config: ApiConfig) -> None:
        self._socket = _listening_socket(config.host, config.port)
        self._closing = Closing()
        self._kept = KeptAnswers(config.replay)
        self._server = _Server(
            uvicorn.Config(
                AccessGuard(create_app(peer, config, closing=self._closing, kept=self._kept), config),
                http=http_protocol(config.read_timeout_s, config.write_timeout_s, _most_connections(config)),
                ws="none",
                lifespan="off",
                log_config=None,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )

    @property
    def url(self) -> str:
        """Base URL for clients on this machine, with the port that was really bound."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{_shown_host(host)}:{port}"

    @property
    def url_for_others(self) -> str:
        """Base URL for clients on other machines, as far as they can reach this one at all."""
        host, port = self._socket.getsockname()[:2]
        endpoint = parse_address(reachable_addresses(format_address("tcp", host, port))[0])
        return f"http://{_shown_host(endpoint.host)}:{port}"

    async def start(self, stack: AsyncExitStack) -> None:
        """Serve until `stack` unwinds; then answers that are still being written end with an error."""
        # Awaited in `_stop`.
        serving = asyncio.create_task(self._server.serve([self._socket]), name=f"api {self.url}")
        stack.push_async_callback(self._stop, serving)
        logger.info("the HTTP API is at %s", self.url)

    async def finish(self, patience_s: float) -> None:
        """Take no more questions, and let answers be finished; those that take longer end with an error.

        Everything else is served on.
        """
        await self._closing.close(patience_s)

    async def _stop(self, serving: asyncio.Task[None]) -> None:
        await self._closing.close(patience_s=0)
        await self._kept.close()
        self._server.should_exit = True
        await asyncio.wait([serving], timeout=_STOP_TIMEOUT_S)
        serving.cancel()
        await asyncio.wait([serving])
        if not serving.cancelled() and (error := serving.exception()) is not None:
            logger.error("the HTTP API had failed", exc_info=error)

    def close(self) -> None:
        """Close the socket; once it was served, nothing is left to do."""
        self._socket.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever owns the process."""
        yield


def _most_connections(config: ApiConfig) -> int:
    """How many connections may be open at once: as configured, and so that files are left for the rest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return config.max_connections
    return min(config.max_connections, soft // 2)


def _listening_socket(host: str, port: int) -> socket.socket:
    """Bind and listen; clients that come before the server does wait in the backlog.

    Raises:
        ConfigError: it cannot be done; the text says what to do.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"--api-host {host!r} is no address of this machine: {error}") from error
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigError(_why_not_bound(host, port, error)) from error
    return bound


def _why_not_bound(host: str, port: int, error: Exception) -> str:
    place = f"{_bracketed(host)}:{port}"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"the HTTP API cannot listen on {place}: the port is taken, perhaps by another peer on this "
                "machine; choose another --api-port, or 0 for any free one"
            )
        case errno.EADDRNOTAVAIL:
            return (
                f"the HTTP API cannot listen on {place}: this machine has no such address; "
                "choose another --api-host, such as 127.0.0.1"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"the HTTP API may not listen on {place}: ports below 1024 are reserved; "
                "choose another --api-port, or 0 for any free one"
            )
        case _:
            return f"the HTTP API cannot listen on {place}: {error}; choose another --api-host or --api-port"


def _shown_host(host: str) -> str:
    """A host as a URL of this machine takes it: a wildcard is reached over loopback."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    # The zone of a link-local address is escaped in a URL (RFC 6874).
    return _bracketed(host.replace("%", "%25"))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
