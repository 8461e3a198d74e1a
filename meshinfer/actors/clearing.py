"""Between which peers and by which interfaces links leave payloads in clear. Works for links."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from meshinfer.messages import ClearAnswer, ClearOffer, Farewell
from meshinfer.topology.ring import PeerId
from meshinfer.transports.address import CLEAR
from meshinfer.transports.base import Link
from meshinfer.transports.clear import Shedding
from meshinfer.transports.errors import LinkBroken, LinkClosed, Tampered, TransportError
from meshinfer.transports.path import Path
from meshinfer.transports.records import SECRET_BYTES, ClearKeys
from meshinfer.transports.stream import StreamLink

from .line import cut_if_cancelled, expect, tell

logger = logging.getLogger(__name__)

_RETRY_S, _MAX_RETRY_S = 5.0, 300.0
_MOST_TRIES = 256


@dataclass(slots=True)
class _Tries:
    count: int = 0
    due_s: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A link that has become one, to look after. peer: the name of the one at its other end."""

    link: StreamLink
    peer: str
    interface: str


class Clearings:
    """Offers and accepts clear links, beside links by TLS.

    may_clear: whether payloads may go in clear by an interface, as of now. tampered: where is counted, by
    interface, how often such a link ended because somebody changed what was sent. draw: random bytes.
    """

    def __init__(
        self,
        may_clear: Callable[[str], bool],
        tampered: Counter[str],
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._may_clear = may_clear
        self._tampered = tampered
        self._draw = draw
        self._links: list[_Watched] = []
        self._tries: dict[tuple[PeerId, frozenset[str]], _Tries] = {}

    # --- what is to be

    def due(self, peer: PeerId, paths: Collection[Path], now_s: float) -> list[Path]:
        """The paths to a peer beside which a clear one is to be made now."""
        present = [path for path in paths if not path.is_retired]
        there = {path.ends.hosts for path in present if path.ends.scheme == CLEAR}
        for hosts in there:
            tries = self._tries_of(peer, hosts)
            if now_s >= tries.due_s:
                tries.count = 0  # it has lasted
        return [
            path
            for path in present
            if path.link.peer
            and path.ends.scheme != CLEAR
            and path.ends.hosts not in there
            and self._may_clear(path.interface)
            and now_s >= self._tries_of(peer, path.ends.hosts).due_s
        ]

    def forbidden(self, paths: Collection[Path]) -> list[Path]:
        """The clear paths that must not be any longer: such as by a bridge that got another cable."""
        return [path for path in paths if path.ends.scheme == CLEAR and not self._may_clear(path.interface)]

    def begun(self, peer: PeerId, path: Path, now_s: float) -> None:
        """One is tried: the next time a little later, and later after each that did not last."""
        tries = self._tries_of(peer, path.ends.hosts)
        tries.due_s = now_s + min(_RETRY_S * 2**tries.count, _MAX_RETRY_S)
        tries.count += 1

    def look(self) -> None:
        """Count the links that ended because somebody changed what was sent."""
        for each in self._links:
            ending = each.link.wire.ending
            if isinstance(ending, Tampered):
                self._tampered[each.interface] += 1
                logger.warning(
                    "the clear link to %s by %s is ended, TLS goes on: %s", each.peer, each.interface, ending
                )
        self._links = [each for each in self._links if each.link.wire.ending is None]

    # --- how they come to be

    async def offer(self, link: Link, interface: str, name: str, timeout_s: float) -> Link:
        """Have a fresh link to a peer leave payloads in clear; return it as it is then. name: of the peer.

        Raises:
            TransportError: it broke, it took too long, or the other side does not want that. It is closed.
        """
        offered = ClearOffer(self._draw(SECRET_BYTES))
        await tell(link, offered)
        answer = await expect(link, ClearAnswer, timeout_s)
        async with _closed_on_failure(link, timeout_s):
            keys = ClearKeys.agreed(offered.secret, answer.secret, is_ours=True)
            shedding = Shedding(_stream(link), keys, interface)
            return self._watched(await shedding.finish(speaks_first=True), name, interface)

    async def accept(
        self, link: Link, offered: ClearOffer, interface: str, name: str, timeout_s: float
    ) -> Link:
        """Agree to what a peer offered on a fresh link; return the link as it is then.

        Raises:
            LinkClosed: nothing goes in clear by that interface here, and the other side was told.
            TransportError: it broke, or it took too long. It is closed.
        """
        if not self._may_clear(interface):
            reason = f"nothing goes in clear by its interface {interface or 'that it does not know'}"
            await tell(link, Farewell(reason))
            await link.close()
            raise LinkClosed(f"{name} offered a link in clear, and {reason}")
        async with _closed_on_failure(link, timeout_s):
            answer = ClearAnswer(self._draw(SECRET_BYTES))
            keys = ClearKeys.agreed(offered.secret, answer.secret, is_ours=False)
            # Before it is said: the other side's goodbye may come at once.
            shedding = Shedding(_stream(link), keys, interface)
            await tell(link, answer)
            return self._watched(await shedding.finish(speaks_first=False), name, interface)

    def _watched(self, link: StreamLink, peer: str, interface: str) -> StreamLink:
        self._links.append(_Watched(link, peer, interface))
        return link

    def _tries_of(self, peer: PeerId, hosts: frozenset[str]) -> _Tries:
        if len(self._tries) > _MOST_TRIES:
            self._tries.clear()
        return self._tries.setdefault((peer, hosts), _Tries())


@asynccontextmanager
async def _closed_on_failure(link: Link, timeout_s: float) -> AsyncIterator[None]:
    try:
        with cut_if_cancelled(link):
            async with asyncio.timeout(timeout_s):
                yield
    except TimeoutError as error:
        await link.close()
        raise LinkBroken(f"{link.remote} did not leave TLS within {timeout_s:g} s") from error
    except TransportError:
        await link.close()
        raise


def _stream(link: Link) -> StreamLink:
    if not isinstance(link, StreamLink):
        raise LinkBroken(f"{link.remote} is no link over TCP: nothing of it is sealed")
    return link
