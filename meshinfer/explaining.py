"""Why things are as they are: a ring, and the time that a request took."""

import asyncio
import time

from meshinfer.topology.explain import Explanation, Grounds, explain
from meshinfer.topology.question import Planner
from meshinfer.topology.ring import PeerId

from .actors.actor import Mailbox, Reply
from .actors.mail import Explain
from .actors.placement import Picture, PlacementMessage
from .actors.tracing import Investigate, TracingMessage
from .actors.watch import Watch
from .ledger import Ledger
from .messages import Times
from .trace import Trace, put_together


class Explainer:
    """Asks those of one peer's actors who know. planner: made the rings. peer: its own id."""

    def __init__(
        self,
        *,
        peer: PeerId,
        planner: Planner,
        board: Watch[Picture],
        ledger: Ledger,
        placement: Mailbox[PlacementMessage],
        tracing: Mailbox[TracingMessage],
    ) -> None:
        self._peer = peer
        self._planner = planner
        self._board = board
        self._ledger = ledger
        self._placement = placement
        self._tracing = tracing

    async def ring(self, model: str | None) -> Explanation:
        """Why the ring of a model is as it is, and what would change it; None is the first model.

        Raises:
            WrongModel: the mesh does not run it. NoRing: this peer does not have its files yet.
        """
        done: Reply[Grounds] = Reply()
        await self._placement.tell(Explain(model, done))
        return await asyncio.to_thread(explain, await done.answered(), self._planner)

    async def request(self, name: str) -> Trace | None:
        """Where the time of a request that began here went; None if it is not known (any more).

        name: as `Ledger.find` takes it.
        """
        entry = self._ledger.find(name)
        if entry is None:
            return None
        told: Reply[dict[PeerId, Times]] = Reply()
        await self._tracing.tell(Investigate(entry.session, entry.peers, told))
        times = await told.answered()
        names = {member.peer: member.name for member in self._board.value.mesh.members}
        # It may have gone on meanwhile.
        latest = self._ledger.find(entry.request) or entry
        return put_together(latest, times, names, self._peer, time.monotonic())
