"""Announce a peer on the local network and see others, by mDNS (RFC 6762, DNS-SD RFC 6763)."""

import asyncio
import errno
import ipaddress
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from types import TracebackType

from zeroconf import Error as ZeroconfError
from zeroconf import NotRunningException, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from .address import parse_address
from .base import Address
from .errors import DiscoveryFailed
from .interfaces import Interface, interfaces_for, list_interfaces
from .sighting import SERVICE, Announcement, Sighting, Vanished, peer_of, read_sighting

logger = logging.getLogger(__name__)

_RESOLVE_MS = 1000
_MAX_PENDING = 256  # names that wait to be looked up: a stranger may announce any number


class Discovery:
    """mDNS on the interfaces where a peer that listens at `listen` can be reached.

    listen: the listener's own address, with the port that was really bound.

    An async context manager: leaving it says goodbye to the network and ends every `browse`. A peer that
    listens on loopback announces and browses on loopback only.
    """

    def __init__(self, listen: Address, interfaces: Sequence[Interface] | None = None) -> None:
        endpoint = parse_address(listen)
        known = list_interfaces() if interfaces is None else interfaces
        self._listen = listen
        self._port = endpoint.port
        self._interfaces = interfaces_for(endpoint.host, known)
        self._zeroconf: AsyncZeroconf | None = None

    async def __aenter__(self) -> "Discovery":
        """Open the sockets.

        Raises:
            DiscoveryFailed: mDNS cannot be used here; the text says why.
        """
        choice = _choice_of(self._interfaces)
        if not choice:
            raise DiscoveryFailed(f"no network interface leads from {self._listen} to other machines")
        try:
            self._zeroconf = AsyncZeroconf(interfaces=choice)
        except (OSError, RuntimeError, ZeroconfError) as error:
            raise DiscoveryFailed(f"mDNS cannot be used here: {_why(error)}") from error
        names = ", ".join(interface.name for interface in self._interfaces)
        logger.info("mDNS on %s", names)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._zeroconf is None:
            return
        # Awaited below, also by whoever is cancelled meanwhile: half closed, its sockets would stay open.
        closing = asyncio.create_task(_close(self._zeroconf))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    async def announce(self, who: Announcement) -> None:
        """Tell the network that `who` listens here; takes about a second. Nothing without an address.

        Raises:
            DiscoveryFailed: the network could not be told.
        """
        # A link-local address is good on one interface, and all are told to all: `beacon` finds those.
        addresses = [
            address for interface in self._interfaces for address in interface.addresses if "%" not in address
        ]
        if not addresses:
            return
        info = AsyncServiceInfo(
            SERVICE,
            who.service_name,
            port=self._port,
            properties=who.to_txt(),
            parsed_addresses=addresses,
            server=f"{who.peer_id}.local.",
        )
        zeroconf = self._opened()
        try:
            # Ids are unique: an echo of our own last run must not stop us, so nobody is asked first.
            announced = await zeroconf.async_register_service(info, cooperating_responders=True)
            await announced
        except (OSError, ZeroconfError) as error:
            raise DiscoveryFailed(f"{who.peer_id} could not be announced: {_why(error)}") from error

    async def browse(self) -> AsyncGenerator[Sighting | Vanished, None]:
        """See peers come, change and go, this one included. Close it (`contextlib.aclosing`) when done."""
        zeroconf = self._opened().zeroconf
        changes = _Changes()
        browser = AsyncServiceBrowser(zeroconf, SERVICE, handlers=[changes.note])
        try:
            while True:
                name, is_there = await changes.next()
                peer_id = peer_of(name)
                if peer_id is None:
                    logger.debug("not a peer's name: %.80r", name)
                elif not is_there:
                    yield Vanished(peer_id)
                elif (sighting := await _look_up(zeroconf, name)) is not None:
                    yield sighting
        finally:
            await browser.async_cancel()

    def _opened(self) -> AsyncZeroconf:
        if self._zeroconf is None:
            raise RuntimeError("use `async with Discovery(...)`")
        return self._zeroconf


class _Changes:
    """Names that came or went and wait to be looked at: the latest state of each, bounded."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, bool] = OrderedDict()
        self._some = asyncio.Event()

    def note(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Write a change down, as zeroconf calls it."""
        if name not in self._pending and len(self._pending) >= _MAX_PENDING:
            logger.debug("too many names are announced at once, forgetting %.80r", name)
            return
        self._pending[name] = state_change is not ServiceStateChange.Removed
        self._some.set()

    async def next(self) -> tuple[str, bool]:
        """Wait for the oldest change: which name, and whether it is there."""
        await self._some.wait()
        change = self._pending.popitem(last=False)
        if not self._pending:
            self._some.clear()
        return change


async def _close(zeroconf: AsyncZeroconf) -> None:
    # It waits for its own sockets for a second only, and a busy machine may take longer to open them.
    with suppress(NotRunningException):
        await zeroconf.zeroconf.async_wait_for_start()
    await zeroconf.async_unregister_all_services()
    await zeroconf.async_close()


async def _look_up(zeroconf: Zeroconf, name: str) -> Sighting | None:
    info = AsyncServiceInfo(SERVICE, name)
    if not await info.async_request(zeroconf, _RESOLVE_MS):
        logger.debug("%.80r is announced, but nobody tells its address", name)
        return None
    sighting = read_sighting(name, info.properties, info.parsed_scoped_addresses(), info.port or 0)
    if sighting is None:
        logger.debug("%.80r is announced with something that no peer would say", name)
    return sighting


def _choice_of(interfaces: Sequence[Interface]) -> list[str | int]:
    """Say to zeroconf where: IPv4 by address, IPv6 by the interface's index."""
    if any(interface.is_loopback for interface in interfaces):
        return ["127.0.0.1"]  # IPv6 has no multicast there; the addresses told may be of either kind
    choice: list[str | int] = []
    for interface in interfaces:
        versions = {ipaddress.ip_address(address).version for address in interface.addresses}
        choice += [address for address in interface.addresses if ipaddress.ip_address(address).version == 4]
        choice += [interface.index] if 6 in versions else []
    return choice


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "another program of another user holds UDP port 5353 for itself"
    if isinstance(error, OSError) and error.errno in (errno.ENODEV, errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"the network does not carry multicast ({error.strerror})"
    return str(error) or type(error).__name__
