"""Links: which are wanted, what they tell when they come and go, and what is published of the ways."""

import math
from dataclasses import replace

from .claim import Claim
from .exchange import Exchange
from .hearing import Hearing
from .measures import Measures
from .member import Status
from .outbox import SendOnLink
from .own import Own
from .packet import Reason
from .probing import Probing
from .record import LinkMeasure
from .ring import PeerId, Run
from .state import State

_FAR = 2
_BRIEF = 0.1
"""Ways that turn out to be so many times better than was published are told after this share of the interval:
rings are made in the first seconds of a mesh."""


class Linking:
    """Keeps the links that are wanted, and takes their ends for evidence.

    linked_runs: which life of a peer had a link last. silent_s: since when silence speaks against a peer.
    missing_s: since when a link is wanted and not there.
    """

    def __init__(
        self,
        state: State,
        own: Own,
        hearing: Hearing,
        probing: Probing,
        exchange: Exchange,
        measures: Measures,
    ) -> None:
        self._state = state
        self._own = own
        self._hearing = hearing
        self._probing = probing
        self._exchange = exchange
        self._measures = measures
        self._linked_runs: dict[PeerId, int] = {}
        self._silent_s: dict[PeerId, float] = {}
        self._missing_s: dict[PeerId, float] = {}
        self._measured_s = state.now_s

    # --- evidence

    def linked(self, peer: PeerId, run: Run) -> None:
        """A link to `peer` is up: it greeted us as `run`."""
        out = self._state.out
        try:
            claim = Claim(peer, run, 0, Status.ALIVE)
        except ValueError:
            self._state.counts[Reason.MALFORMED.value] += 1
            return
        out.linked[peer] = self._linked_runs[peer] = run
        entry = self._state.roster.get(peer)
        if entry is None or run > entry.claim.run:
            self._hearing.hear(claim)
        out.put(SendOnLink(peer, self._exchange.digest()))

    def measured(self, peer: PeerId, rtt_us: int, mb_s: int) -> None:
        """The path that carries what goes to `peer` was measured."""
        if peer in self._state.out.linked:
            self._measures.measured(peer, rtt_us, mb_s, self._state.now_s)

    def unlinked(self, peer: PeerId, *, has_left: bool) -> None:
        """The link to `peer` ended: it said that it leaves, or it is to be probed."""
        run = self._state.out.linked.pop(peer, None)
        self._silent_s[peer] = self._state.now_s
        self._measures.unlinked(peer)
        entry = self._state.roster.get(peer)
        if entry is None or run != entry.claim.run:
            return
        if has_left:
            self._hearing.conclude(entry, Status.LEFT)
        elif entry.is_present:
            self._probing.probe_now(peer)
            self._state.out.reach(peer, entry)

    def refused(self, peer: PeerId) -> None:
        """Nobody listens at any address of `peer`, which had a link before: its process is gone.

        Unless it was heard since: then it has moved, or something in between refuses for it.
        """
        entry = self._state.roster.get(peer)
        is_known_life = entry is not None and self._linked_runs.get(peer) == entry.claim.run
        if entry is None or not is_known_life or not entry.is_present or peer in self._state.out.linked:
            return
        if entry.heard_s <= self._silent_s.get(peer, -math.inf):
            self._hearing.conclude(entry, Status.DEAD)
        else:
            self._silent_s[peer] = self._state.now_s
            self._probing.probe_now(peer)

    # --- keeping them

    def sync(self) -> None:
        """Exchange everything with one peer, and see whether one that died long ago is back."""
        if self._own.has_left:
            return
        roster, out = self._state.roster, self._state.out
        for peer in roster.some(1, roster.order):
            if peer in out.linked:
                out.put(SendOnLink(peer, self._exchange.digest()))
            else:
                out.reach(peer, roster.at(peer))
        for peer in roster.some(1, roster.gone(Status.DEAD)):
            out.reach(peer, roster.at(peer))

    def reach_missing(self) -> None:
        """Dial those that should be linked, and a few of the lately dead.

        All should be in a small mesh, the members of plans in a large one.
        """
        if self._own.has_left:
            return
        roster, out = self._state.roster, self._state.out
        if roster.size <= self._state.knobs.direct_peers:
            wanted = list(roster.order)
        else:
            stages = [stage.peer for plan in self._exchange.plans.values() for stage in plan.ring.stages]
            wanted = [peer for peer in dict.fromkeys(stages) if peer in roster]
        present = [peer for peer in wanted if roster.at(peer).is_present]
        missing = [peer for peer in present if peer not in out.linked]
        self._missing_s = {peer: self._missing_s.get(peer, self._state.now_s) for peer in missing}
        # Where the network fell apart, those beyond it are back any moment.
        lately_dead = roster.gone(Status.DEAD, self._state.now_s - self._state.knobs.forget_s)
        for peer in missing + roster.some(self._state.knobs.gossip_fanout, lately_dead):
            out.reach(peer, roster.at(peer))
        self._measure(present)

    def _measure(self, present: list[PeerId]) -> None:
        """Publish how the ways to others are, where that changed."""
        state, own = self._state, self._own.record
        horizon_s = state.now_s - state.knobs.link_down_s
        down = {peer for peer, since_s in self._missing_s.items() if since_s <= horizon_s}
        links = self._measures.links(present, down)
        is_news = {link.peer for link in own.links if not link.is_up} != down
        waited_s, interval_s = state.now_s - self._measured_s, state.knobs.measure_interval_s
        is_due = waited_s >= interval_s or (waited_s >= _BRIEF * interval_s and _is_far(own.links, links))
        if links != own.links and (is_news or is_due):
            self._measured_s = state.now_s
            self._own.publish(replace(own, links=links))

    def put_off(self, by_s: float) -> None:
        """Hold nothing against the ways to others that this peer missed."""
        self._missing_s = {peer: since_s + by_s for peer, since_s in self._missing_s.items()}

    def forget(self) -> None:
        """Drop what is kept of peers that are not in the roster any more."""
        roster, linked = self._state.roster, self._state.out.linked
        for kept in (self._linked_runs, self._silent_s):
            for peer in [peer for peer in kept if peer not in roster and peer not in linked]:
                del kept[peer]
        self._measures.forget_all_but(roster)


def _is_far(old: tuple[LinkMeasure, ...], new: tuple[LinkMeasure, ...]) -> bool:
    """Whether a link was measured for the first time, or is far better than it was told to be."""
    told = {link.peer: link for link in old}
    for link in (link for link in new if link.mb_s):
        before = told.get(link.peer)
        if before is None or link.mb_s > _FAR * before.mb_s or _FAR * link.rtt_us < before.rtt_us:
            return True
    return False
