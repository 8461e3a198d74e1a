"""Which actors a peer is made of, and who may write to whom."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshinfer.topology.agreement import Agreement
from meshinfer.topology.member import PeerRecord, Version
from meshinfer.topology.membership import Gossip, Membership
from meshinfer.topology.planner import PLANNERS
from meshinfer.transports.base import Address, Listener, Transport
from meshinfer.transports.dialing import Backoff

from . import messages as m
from .actors.actor import Mailbox
from .actors.discovery import DiscoveryActor
from .actors.head import Head, HeadMessage
from .actors.links import Links, LinksMessage
from .actors.mail import LocalModel
from .actors.membership import MembershipActor, MembershipMessage
from .actors.placement import Picture, Placement, PlacementLimits, PlacementMessage
from .actors.post import Post
from .actors.requests import Requests, RequestsMessage
from .actors.stage import Stage, StageMessage
from .actors.supervisor import ActorFactory, Supervisor
from .actors.watch import Watch
from .actors.weights import Weights, WeightsMessage, Wish
from .config import PeerConfig
from .errors import ModelError
from .machine.identity import Identity
from .model.base import Progress
from .model.compute import ComputeThread
from .model.local import fetch_model, load_shard
from .release import RELEASE
from .snapshot import Activity

_SHOW_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Ground:
    """What actors stand on: made before them, and ended after them."""

    config: PeerConfig
    identity: Identity
    addresses: tuple[Address, ...]
    api_url: str
    memory_bytes: int
    compute: ComputeThread
    transport: Transport
    listener: Listener
    board: Watch[Picture]
    activity: Watch[Activity | None]
    now_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Composition:
    """A peer's actors under their supervisor, and the mailboxes that the peer itself writes to.

    stop_fetching: ends a download or a load that the compute thread is busy with.
    """

    supervisor: Supervisor
    links: Mailbox[LinksMessage]
    requests: Mailbox[RequestsMessage]
    stop_fetching: Callable[[], None]


class _Mailboxes:
    """Where each actor's messages wait; they outlive the actors."""

    def __init__(self, capacity: int) -> None:
        self.links: Mailbox[LinksMessage] = Mailbox("links", capacity)
        self.membership: Mailbox[MembershipMessage] = Mailbox("membership", capacity)
        self.weights: Mailbox[WeightsMessage] = Mailbox("weights", capacity)
        self.placement: Mailbox[PlacementMessage] = Mailbox("placement", capacity)
        self.stage: Mailbox[StageMessage] = Mailbox("stage", capacity)
        self.head: Mailbox[HeadMessage] = Mailbox("head", capacity)
        self.requests: Mailbox[RequestsMessage] = Mailbox("requests", capacity)


def compose(ground: Ground) -> Composition:
    """Make the actors; nothing runs before the supervisor does."""
    config, identity = ground.config, ground.identity
    boxes = _Mailboxes(config.actors.mailbox)
    hello = m.Hello(identity.peer, identity.run, identity.name, config.mesh, RELEASE, ground.listener.address)
    post = Post(hello, boxes.links)
    post.route(_routes(boxes))
    progress = _Relay(ground.activity)
    # The cores outlive a restart of their actor only where they hold nothing that could be torn.
    membership = Membership(_first_record(ground), config.membership)

    def links() -> Links:
        return Links(
            boxes.links,
            hello=hello,
            transport=ground.transport,
            listener=ground.listener,
            seeds=tuple(Address(f"tcp://{peer}") for peer in config.peers),
            limits=config.actors,
            events=boxes.membership,
            deliver=post.deliver,
            backoff=lambda: Backoff(random.Random(), most_s=config.actors.seed_retry_s),
        )

    def members() -> MembershipActor:
        return MembershipActor(
            boxes.membership,
            core=membership,
            heartbeat_s=config.membership.heartbeat_s,
            now_s=ground.now_s,
            links=boxes.links,
            viewers=(boxes.placement, boxes.weights),
            on_link_lost=(boxes.stage, boxes.head, boxes.requests),
        )

    def weights() -> Weights:
        return Weights(
            boxes.weights,
            wish=Wish(identity.peer, config.model, config.spread, time.time_ns() // 1_000_000),
            fetch=_fetch_on(ground.compute, config, progress, ground.activity),
            membership=boxes.membership,
            placement=boxes.placement,
        )

    def placement() -> Placement:
        return Placement(
            boxes.placement,
            peer=identity.peer,
            mesh=config.mesh,
            limits=PlacementLimits(config.min_peers, config.requests.kv_reserve_tokens),
            agreement=Agreement(identity.peer, config.agreement),
            planner=PLANNERS[config.planner],
            now_s=ground.now_s,
            membership=boxes.membership,
            weights=boxes.weights,
            stage=boxes.stage,
            head=boxes.head,
            requests=boxes.requests,
            board=ground.board,
        )

    def stage() -> Stage:
        return Stage(
            boxes.stage,
            post=post,
            compute=ground.compute,
            load=load_shard,
            placement=boxes.placement,
            memory_bytes=ground.memory_bytes,
            max_sessions=2 * config.requests.max_running,
            load_timeout_s=config.requests.load_timeout_s,
            progress=lambda what, done, total: progress(f"loading {what}", done, total),
        )

    def head() -> Head:
        return Head(boxes.head, post=post, limits=config.requests)

    def requests() -> Requests:
        return Requests(boxes.requests, post=post, limits=config.requests, now_s=ground.now_s)

    def discovery() -> DiscoveryActor:
        return DiscoveryActor(Mailbox("discovery", 1), hello=hello, links=boxes.links)

    factories: dict[str, ActorFactory] = {
        "links": links,
        "membership": members,
        "weights": weights,
        "placement": placement,
        "stage": stage,
        "head": head,
        "requests": requests,
    }
    if config.is_mdns_on:
        factories["discovery"] = discovery
    return Composition(Supervisor(factories, config.actors), boxes.links, boxes.requests, progress.stop)


def _routes(boxes: _Mailboxes) -> dict[Any, tuple[Mailbox[Any], ...]]:
    """Who takes which message of another peer."""
    return {
        Gossip: (boxes.membership,),
        m.Submit: (boxes.head,),
        m.Cancel: (boxes.head,),
        m.StepDone: (boxes.head,),
        m.Activation: (boxes.stage,),
        m.Release: (boxes.stage,),
        m.Token: (boxes.requests,),
        m.Admitted: (boxes.requests,),
        m.Refused: (boxes.requests,),
        # The head lets go of the session, the origin brings it back or tells its reader.
        m.WrongEpoch: (boxes.head, boxes.requests),
        m.Failed: (boxes.head, boxes.requests),
    }


def _first_record(ground: Ground) -> PeerRecord:
    identity = ground.identity
    return PeerRecord(
        peer=identity.peer,
        run=identity.run,
        version=Version(0),
        name=identity.name,
        release=RELEASE,
        addresses=tuple(ground.addresses),
        api=ground.api_url,
        memory_bytes=ground.memory_bytes,
    )


class _Relay:
    """Progress as it comes from the compute thread, shown on the loop a few times a second."""

    def __init__(self, activity: Watch[Activity | None]) -> None:
        self._activity = activity
        self._loop = asyncio.get_running_loop()
        self._shown_s = float("-inf")
        self._is_stopped = False

    def __call__(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Take in how far something is; from any thread.

        Raises:
            ModelError: the peer stops, so whatever goes on should end.
        """
        if self._is_stopped:
            raise ModelError(f"{what}: stopped, because this peer ends")
        now_s = time.monotonic()
        if done_bytes < total_bytes and now_s - self._shown_s < _SHOW_EVERY_S:
            return
        self._shown_s = now_s
        self._loop.call_soon_threadsafe(self._show, Activity(what, done_bytes, total_bytes))

    def stop(self) -> None:
        """Let what goes on end at its next step."""
        self._is_stopped = True

    def _show(self, shown: Activity) -> None:
        is_done = shown.total_bytes > 0 and shown.done_bytes >= shown.total_bytes
        self._activity.set(None if is_done else shown)


def _fetch_on(
    compute: ComputeThread, config: PeerConfig, progress: Progress, activity: Watch[Activity | None]
) -> Callable[[str], Any]:
    async def fetch(wanted: str) -> LocalModel:
        try:
            parts = await compute.run(
                fetch_model, wanted, config.cache_dir, config.is_download_allowed, progress
            )
        finally:
            activity.set(None)
        return LocalModel(*parts)

    return fetch
