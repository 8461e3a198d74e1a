"""How a peer leaves its mesh in good order."""

import asyncio
import logging

from meshinfer.transports.base import Listener

from .actors.actor import Reply, ask
from .actors.mail import Depart, Leave, SayGoodbye
from .composition import Composition
from .config import ActorLimits

logger = logging.getLogger(__name__)


async def leave_mesh(
    parts: Composition, listener: Listener, running: "asyncio.Task[None]", limits: ActorLimits
) -> None:
    """Let others take over, tell them, then end all actors. running: their supervisor. Never raises."""
    if not running.done():
        try:
            released: Reply[None] = Reply()
            await ask(parts.membership, Depart(released), released, limits.leave_timeout_s)
        except TimeoutError:
            logger.warning("nobody took over within %.0f s, this peer leaves", limits.leave_timeout_s)
    await listener.close()
    if not running.done():
        try:
            said: Reply[None] = Reply()
            await ask(parts.membership, SayGoodbye(said), said, limits.stop_timeout_s)
            gone: Reply[None] = Reply()
            await ask(parts.links, Leave("it was stopped", gone), gone, limits.stop_timeout_s)
        except TimeoutError:
            logger.warning("not every peer could be told goodbye within %.0f s", limits.stop_timeout_s)
    running.cancel()
    await asyncio.wait([running])
    if not running.cancelled() and (error := running.exception()) is not None:
        logger.error("the peer had failed", exc_info=error)
