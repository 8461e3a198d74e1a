"""Which actors a peer is made of, and who may write to whom."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from meshinfer.topology import quantise
from meshinfer.topology.conduct import Conduct
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.membership import Membership
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.base import Address, Datagrams, Listener, Transport
from meshinfer.transports.dialing import Backoff

from . import freight as f
from . import messages as m
from .actors.actor import Mailbox
from .actors.cables import CableView, WatchInterfaces
from .actors.discovery import DiscoveryActor, Stranger
from .actors.fabrics import Fabrics, FabricView, Weave
from .actors.head import Head, HeadMessage
from .actors.line import Lines, link_count
from .actors.links import Links, LinksMessage
from .actors.mail import LocalModel
from .actors.membership import MembershipActor, MembershipMessage
from .actors.placement import Picture, Placement, PlacementLimits, PlacementMessage, Think
from .actors.porter import Porter, PorterMessage
from .actors.post import Post
from .actors.requests import Requests, RequestsMessage
from .actors.search import Receive, Search
from .actors.stage import LoadShard, Stage, StageMessage
from .actors.supervisor import ActorFactory, Supervisor
from .actors.supply import Stock, Supply
from .actors.tracing import Tracing, TracingMessage
from .actors.watch import Bell, Watch
from .actors.weights import Fetch, ListModels, Weights, WeightsMessage, Wish
from .actors.work import HeadWork, StageWork
from .config import PeerConfig
from .counting import Numbers
from .errors import ModelError
from .fabric import FabricMeans
from .ledger import Ledger
from .model.base import Compute, Progress
from .release import RELEASE
from .snapshot import Activity
from .timings import Timings

_SHOW_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Loom:
    """What fabrics are made with. means: what this machine has for them now. program: starts a ferry."""

    means: Callable[[], FabricMeans]
    program: tuple[str, ...]
    weave: Weave


@dataclass(frozen=True, slots=True)
class Ground:
    """What actors stand on: made before them, and ended after them. All that is not deterministic is here.

    hello: how this peer greets others; its run was persisted. begin_run: persists a run greater than the
    given one, and returns the greeting of the new life. addresses, find_addresses: where it can be reached,
    then and now. seeds: peers that it seeks for ever. fetch, receive: get a model, by its name or source, or
    by the blueprint that another peer gave. stock: what there is of models, to give and to take in. load:
    layers into memory. list_models: what lies on its disk. doing: what takes long here, for others. think:
    runs the planner off the loop. now_s, pause, random, created_ms: time and chance; created_ms is this
    machine's clock at the start. stage_work, head_work: what they have to do, told about once a second.
    ledger: told how requests of this peer fare; timings: how long it computes on anybody's.
    watch_interfaces: this machine's network interfaces as they come and go, None where there are none.
    cables: over which links this peer reaches others, told about once a second. strangers: who else was seen.
    expected_bit_s: how wide links by an interface of this machine may be, until they are measured.
    loom: makes links by other means, None where there are none; woven: how that stands, as often.
    labels: of the keys that members show, the own one first. refused: how many datagrams no member has made.
    """

    config: PeerConfig
    hello: m.Hello
    begin_run: Callable[[int], Awaitable[m.Hello]]
    addresses: tuple[Address, ...]
    find_addresses: Callable[[], Awaitable[tuple[Address, ...]]]
    seeds: tuple[Address, ...]
    api_url: str
    memory_bytes: int
    compute: Compute
    fetch: Fetch
    receive: Receive
    stock: Stock
    list_models: ListModels
    load: LoadShard
    progress: Progress
    doing: Callable[[], str]
    transport: Transport
    listener: Listener
    datagrams: Datagrams
    board: Watch[Picture]
    think: Think
    now_s: Callable[[], float]
    pause: Callable[[float], Awaitable[None]]
    random: Random
    created_ms: int
    stage_work: Watch[StageWork] = field(default_factory=lambda: Watch(StageWork(), Bell()))
    head_work: Watch[HeadWork] = field(default_factory=lambda: Watch(HeadWork(), Bell()))
    ledger: Ledger = field(default_factory=Ledger)
    timings: Timings = field(default_factory=Timings)
    watch_interfaces: WatchInterfaces | None = None
    cables: Watch[tuple[CableView, ...]] = field(default_factory=lambda: Watch((), Bell()))
    expected_bit_s: Callable[[str], int] = lambda _: 0
    strangers: Watch[tuple[Stranger, ...]] = field(default_factory=lambda: Watch((), Bell()))
    loom: Loom | None = None
    woven: Watch[FabricView] = field(default_factory=lambda: Watch(FabricView(), Bell()))
    labels: Callable[[], tuple[str, ...]] = lambda: ("",)
    refused: Callable[[], Mapping[str, int]] = dict


@dataclass(frozen=True, slots=True)
class Composition:
    """A peer's actors under their supervisor, and the mailboxes that the peer itself writes to.

    numbers: what links and membership have counted. cut_off: which members break the rules, and how, for
    people.
    """

    supervisor: Supervisor
    links: Mailbox[LinksMessage]
    membership: Mailbox[MembershipMessage]
    weights: Mailbox[WeightsMessage]
    placement: Mailbox[PlacementMessage]
    requests: Mailbox[RequestsMessage]
    tracing: Mailbox[TracingMessage]
    numbers: Callable[[], Numbers]
    cut_off: Callable[[], Mapping[PeerId, str]]


MakeMailbox = Callable[[str, int], Mailbox[Any]]
"""(whose, capacity) → an empty mailbox."""


class _Mailboxes:
    """Where each actor's messages wait; they outlive the actors."""

    def __init__(self, make: MakeMailbox, capacity: int) -> None:
        self.links: Mailbox[LinksMessage] = make("links", capacity)
        self.membership: Mailbox[MembershipMessage] = make("membership", capacity)
        self.weights: Mailbox[WeightsMessage] = make("weights", capacity)
        self.placement: Mailbox[PlacementMessage] = make("placement", capacity)
        self.porter: Mailbox[PorterMessage] = make("porter", capacity)
        self.stage: Mailbox[StageMessage] = make("stage", capacity)
        self.head: Mailbox[HeadMessage] = make("head", capacity)
        self.requests: Mailbox[RequestsMessage] = make("requests", capacity)
        self.tracing: Mailbox[TracingMessage] = make("tracing", capacity)


def compose(ground: Ground, make_mailbox: MakeMailbox = Mailbox) -> Composition:
    """Make the actors; nothing runs before the supervisor does. make_mailbox: others let one look on."""
    config, hello = ground.config, ground.hello
    boxes = _Mailboxes(make_mailbox, config.actors.mailbox)
    lines: Lines = {}
    post = Post(hello, boxes.links, lines)
    post.route(_routes(boxes))

    async def begin_run(than: int) -> m.Hello:
        born = await ground.begin_run(than)
        post.begin_anew(born)
        return born

    began_s = ground.now_s()

    def clock_ms() -> int:
        return ground.created_ms + round(1000 * (ground.now_s() - began_s))

    # The cores outlive a restart of their actor only where they hold nothing that could be torn.
    membership = Membership(
        _first_record(ground),
        config.membership,
        mesh=config.mesh,
        # It keeps meshes apart and finds damage. Who may take part `datagrams` and links know.
        key=config.mesh.encode(),
        draw=ground.random.random,
        now_s=ground.now_s(),
    )

    loom = ground.loom
    packets: Counter[str] = Counter()

    conduct = Conduct()

    def numbers() -> Numbers:
        return Numbers(
            tuple(link_count(line) for line in lines.values()),
            dict(packets),
            dict(Counter(membership.counts) + Counter(ground.refused())),
            {(peer, offence.value): count for (peer, offence), count in conduct.counts.items()},
        )

    def cut_off() -> Mapping[PeerId, str]:
        now_s = asyncio.get_running_loop().time()
        return {barred.peer: barred.text for barred in conduct.all_barred(now_s)}

    def links() -> Links:
        return Links(
            boxes.links,
            hello=hello,
            transport=ground.transport,
            listener=ground.listener,
            lines=lines,
            seeds=ground.seeds,
            limits=config.actors,
            trunks=config.trunks,
            events=boxes.membership,
            deliver=post.deliver,
            backoff=lambda: Backoff(ground.random, most_s=config.actors.seed_retry_s),
            conduct=conduct,
            now_s=ground.now_s,
            watch=ground.watch_interfaces,
            cables=ground.cables,
            expected_bit_s=ground.expected_bit_s,
            fabrics=Fabrics(loom.means, loom.program, loom.weave) if loom is not None else None,
            woven=ground.woven,
        )

    def members() -> MembershipActor:
        return MembershipActor(
            boxes.membership,
            core=membership,
            now_s=ground.now_s,
            datagrams=ground.datagrams,
            begin_run=begin_run,
            find_addresses=ground.find_addresses,
            pause=ground.pause,
            links=boxes.links,
            viewers=(boxes.placement, boxes.weights, boxes.porter),
            on_link_lost=(boxes.stage, boxes.head, boxes.requests, boxes.porter),
            packets=packets,
        )

    async def fetch(wanted: str, is_download_allowed: bool) -> LocalModel:
        return await in_stock(await ground.fetch(wanted, is_download_allowed))

    async def receive(blueprint: bytes, desired: DesiredModel) -> LocalModel:
        return await in_stock(await ground.receive(blueprint, desired))

    async def in_stock(model: LocalModel) -> LocalModel:
        return replace(model, stored=await ground.stock.put(model.card.fingerprint, model.files))

    search = Search(fetch, receive, boxes.porter)
    supply = Supply(ground.stock, boxes.porter)

    def weights() -> Weights:
        return Weights(
            boxes.weights,
            wish=Wish(hello.peer, config.wanted, config.spread, ground.created_ms),
            fetch=fetch,
            find=search.find,
            list_models=ground.list_models,
            pause=ground.pause,
            membership=boxes.membership,
            placement=boxes.placement,
        )

    def placement() -> Placement:
        return Placement(
            boxes.placement,
            peer=hello.peer,
            mesh=config.mesh,
            is_open=config.is_open,
            limits=PlacementLimits(
                config.min_peers, config.requests.kv_reserve_tokens, config.requests.prefill_chunk_tokens
            ),
            timing=config.agreement,
            planner=config.plan,
            think=ground.think,
            now_s=ground.now_s,
            clock_ms=clock_ms,
            membership=boxes.membership,
            weights=boxes.weights,
            stage=boxes.stage,
            head=boxes.head,
            requests=boxes.requests,
            work=ground.head_work,
            doing=ground.doing,
            doing_for_readers=lambda: ground.ledger.load(ground.now_s()),
            board=ground.board,
        )

    def porter() -> Porter:
        return Porter(
            boxes.porter,
            post=post,
            shelf=ground.stock,
            timing=config.haul,
            now_s=ground.now_s,
            progress=lambda what, done, total: ground.progress(f"fetching {what}", done, total),
        )

    def stage() -> Stage:
        return Stage(
            boxes.stage,
            post=post,
            compute=ground.compute,
            bring=supply.bring,
            load=ground.load,
            placement=boxes.placement,
            memory_bytes=ground.memory_bytes,
            limits=config.requests,
            progress=lambda what, done, total: ground.progress(f"loading {what}", done, total),
            work=ground.stage_work,
            timings=ground.timings,
        )

    def head() -> Head:
        return Head(
            boxes.head, post=post, limits=config.requests, work=ground.head_work, timings=ground.timings
        )

    def requests() -> Requests:
        return Requests(
            boxes.requests, post=post, limits=config.requests, now_s=ground.now_s, watcher=ground.ledger
        )

    def tracing() -> Tracing:
        return Tracing(
            boxes.tracing,
            post=post,
            timings=ground.timings,
            patience_s=config.requests.trace_timeout_s,
            now_s=ground.now_s,
        )

    def discovery() -> DiscoveryActor:
        assert ground.watch_interfaces is not None, "who looks for others has interfaces"
        return DiscoveryActor(
            Mailbox("discovery", 1),
            hello=hello,
            links=boxes.links,
            watch=ground.watch_interfaces,
            strangers=ground.strangers,
            labels=ground.labels,
        )

    factories: dict[str, ActorFactory] = {
        "links": links,
        "membership": members,
        "weights": weights,
        "placement": placement,
        "porter": porter,
        "stage": stage,
        "head": head,
        "requests": requests,
        "tracing": tracing,
    }
    if config.is_mdns_on:
        factories["discovery"] = discovery
    return Composition(
        Supervisor(factories, config.actors),
        boxes.links,
        boxes.membership,
        boxes.weights,
        boxes.placement,
        boxes.requests,
        boxes.tracing,
        numbers,
        cut_off,
    )


def _routes(boxes: _Mailboxes) -> dict[Any, tuple[Mailbox[Any], ...]]:
    """Who takes which message of another peer."""
    return {
        SyncDigest: (boxes.membership,),
        SyncDelta: (boxes.membership,),
        Parcel: (boxes.membership,),
        m.Submit: (boxes.head,),
        m.Cancel: (boxes.head,),
        m.StepDone: (boxes.head,),
        m.Recalled: (boxes.head,),
        m.Rebuilt: (boxes.head,),
        m.Activation: (boxes.stage,),
        m.Release: (boxes.stage,),
        m.Recall: (boxes.stage,),
        m.Rebuild: (boxes.stage,),
        m.Token: (boxes.requests,),
        m.Queued: (boxes.requests,),
        m.Admitted: (boxes.requests,),
        m.Advanced: (boxes.requests,),
        m.Refused: (boxes.requests,),
        # The head lets go of the session, the origin brings it back or tells its reader.
        m.WrongEpoch: (boxes.head, boxes.requests),
        m.Failed: (boxes.head, boxes.requests),
        m.AskTimes: (boxes.tracing,),
        m.Times: (boxes.tracing,),
        f.AskBlueprint: (boxes.porter,),
        f.BlueprintPart: (boxes.porter,),
        f.AskHeld: (boxes.porter,),
        f.Held: (boxes.porter,),
        f.AskPiece: (boxes.porter,),
        f.PieceOf: (boxes.porter,),
    }


def _first_record(ground: Ground) -> PeerRecord:
    return PeerRecord(
        peer=ground.hello.peer,
        run=Run(ground.hello.run),
        version=Version(0),
        name=ground.hello.name,
        release=RELEASE,
        addresses=tuple(ground.addresses),
        api=ground.api_url,
        memory_bytes=quantise.memory(ground.memory_bytes),
    )


class Relay:
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
