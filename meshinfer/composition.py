"""Which actors a peer is made of, and who may write to whom."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from meshinfer.topology import quantise
from meshinfer.topology.conduct import Conduct
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.equipment import Equipment
from meshinfer.topology.membership import Membership
from meshinfer.topology.record import NO_KEYS, PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.base import Address, Datagrams, Listener, Transport
from meshinfer.transports.dialing import Backoff

from . import freight as f
from . import handover as h
from . import messages as m
from .actors.actor import Mailbox
from .actors.cables import CableView, WatchInterfaces
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
from .actors.rotation import Rotation, RotationMessage
from .actors.search import Receive, Search
from .actors.stage import LoadShard, Stage, StageMessage
from .actors.stranger import Stranger
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

if TYPE_CHECKING:
    from .actors.clearing import Clearings
    from .actors.discovery import DiscoveryActor
    from .keys.keeper import KeyKeeper

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
    may_clear: whether payloads may go in clear by an interface; None where they never may.
    labels: of the keys that members show, the own one first. refused: how many datagrams no member has made.
    keeper: changes the mesh's key, None where there is none.
    equipment: what others are told of this machine. discovery: finds others on the network, None where
    nobody is to look.
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
    may_clear: Callable[[str], bool] | None = None
    labels: Callable[[], tuple[str, ...]] = lambda: ("",)
    refused: Callable[[], Mapping[str, int]] = dict
    keeper: "KeyKeeper | None" = None
    equipment: Callable[[], Equipment] = Equipment
    discovery: "type[DiscoveryActor] | None" = None


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
    rotation: Mailbox[RotationMessage]
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
        self.rotation: Mailbox[RotationMessage] = make("rotation", capacity)


@dataclass(frozen=True, slots=True)
class _Lasting:
    """What links and membership know for longer than one of their lives: nothing here can be torn."""

    membership: Membership
    lines: Lines = field(default_factory=dict)
    conduct: Conduct = field(default_factory=Conduct)
    packets: Counter[str] = field(default_factory=Counter)
    tampered: Counter[str] = field(default_factory=Counter)


def compose(ground: Ground, make_mailbox: MakeMailbox = Mailbox) -> Composition:
    """Make the actors; nothing runs before the supervisor does. make_mailbox: others let one look on."""
    boxes = _Mailboxes(make_mailbox, ground.config.actors.mailbox)
    lasting = _Lasting(_membership(ground))
    post = Post(ground.hello, boxes.links, lasting.lines)
    post.route(_routes(boxes) | (_key_routes(boxes) if ground.keeper is not None else {}))
    clock_ms, wares = _clock_ms(ground), _Wares(ground)
    factories: dict[str, ActorFactory] = {
        "links": lambda: _links(ground, boxes, post, lasting),
        "membership": lambda: _members(ground, boxes, post, lasting),
        "weights": lambda: _weights(ground, boxes, wares),
        "placement": lambda: _placement(ground, boxes, clock_ms),
        "porter": lambda: _porter(ground, boxes, post),
        "stage": lambda: _stage(ground, boxes, post),
        "head": lambda: _head(ground, boxes, post),
        "requests": lambda: _requests(ground, boxes, post),
        "tracing": lambda: _tracing(ground, boxes, post),
    }
    if (keeper := ground.keeper) is not None:
        factories["rotation"] = lambda: _rotation(ground, boxes, keeper, lasting.lines, clock_ms)
    if (discovery := ground.discovery) is not None:
        factories["discovery"] = lambda: _discovery(ground, boxes, lasting.lines, discovery)
    return Composition(
        Supervisor(factories, ground.config.actors),
        boxes.links,
        boxes.membership,
        boxes.weights,
        boxes.placement,
        boxes.requests,
        boxes.tracing,
        boxes.rotation,
        lambda: _numbers(ground, lasting),
        lambda: {each.peer: each.text for each in lasting.conduct.all_barred(ground.now_s())},
    )


def _clock_ms(ground: Ground) -> Callable[[], int]:
    """A clock that says what this machine's did at the start, and goes on evenly from there."""
    began_s = ground.now_s()
    return lambda: ground.created_ms + round(1000 * (ground.now_s() - began_s))


# --- who is there, and how to reach them


def _membership(ground: Ground) -> Membership:
    return Membership(
        _first_record(ground),
        ground.config.membership,
        mesh=ground.config.mesh,
        # It keeps meshes apart and finds damage. Who may take part `datagrams` and links know.
        key=ground.config.mesh.encode(),
        draw=ground.random.random,
        now_s=ground.now_s(),
    )


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
        keys=ground.keeper.word if ground.keeper is not None else NO_KEYS,
    )


def _links(ground: Ground, boxes: _Mailboxes, post: Post, lasting: _Lasting) -> Links:
    limits, loom = ground.config.actors, ground.loom
    return Links(
        boxes.links,
        hello=ground.hello,
        transport=ground.transport,
        listener=ground.listener,
        lines=lasting.lines,
        seeds=ground.seeds,
        limits=limits,
        trunks=ground.config.trunks,
        events=boxes.membership,
        deliver=post.deliver,
        backoff=lambda: Backoff(ground.random, most_s=limits.seed_retry_s),
        conduct=lasting.conduct,
        now_s=ground.now_s,
        watch=ground.watch_interfaces,
        cables=ground.cables,
        expected_bit_s=ground.expected_bit_s,
        fabrics=Fabrics(loom.means, loom.program, loom.weave) if loom is not None else None,
        woven=ground.woven,
        clearings=_clearings(ground.may_clear, lasting.tampered),
    )


def _clearings(may_clear: Callable[[str], bool] | None, tampered: Counter[str]) -> "Clearings | None":
    if may_clear is None:
        return None
    # What proves their records takes long to import.
    from .actors.clearing import Clearings

    return Clearings(may_clear, tampered)


def _members(ground: Ground, boxes: _Mailboxes, post: Post, lasting: _Lasting) -> MembershipActor:
    async def begin_run(than: int) -> m.Hello:
        born = await ground.begin_run(than)
        post.begin_anew(born)
        return born

    return MembershipActor(
        boxes.membership,
        core=lasting.membership,
        now_s=ground.now_s,
        datagrams=ground.datagrams,
        begin_run=begin_run,
        find_addresses=ground.find_addresses,
        pause=ground.pause,
        links=boxes.links,
        viewers=(
            *(boxes.placement, boxes.weights, boxes.porter),
            *((boxes.rotation,) if ground.keeper is not None else ()),
        ),
        on_link_lost=(boxes.stage, boxes.head, boxes.requests, boxes.porter),
        packets=lasting.packets,
    )


def _discovery(
    ground: Ground, boxes: _Mailboxes, lines: Lines, make: "type[DiscoveryActor]"
) -> "DiscoveryActor":
    assert ground.watch_interfaces is not None, "who looks for others has interfaces"
    return make(
        Mailbox("discovery", 1),
        hello=ground.hello,
        links=boxes.links,
        watch=ground.watch_interfaces,
        strangers=ground.strangers,
        labels=ground.labels,
        is_linked=lines.__contains__,
        sighting_s=ground.config.actors.sighting_s,
        random=ground.random,
    )


def _rotation(
    ground: Ground, boxes: _Mailboxes, keeper: "KeyKeeper", lines: Lines, clock_ms: Callable[[], int]
) -> Rotation:
    return Rotation(
        boxes.rotation,
        keeper=keeper,
        lines=lines,
        links=boxes.links,
        membership=boxes.membership,
        now_s=ground.now_s,
        clock_ms=clock_ms,
    )


def _numbers(ground: Ground, lasting: _Lasting) -> Numbers:
    return Numbers(
        tuple(link_count(line) for line in lasting.lines.values()),
        dict(lasting.packets),
        dict(Counter(lasting.membership.counts) + Counter(ground.refused())),
        {(peer, offence.value): count for (peer, offence), count in lasting.conduct.counts.items()},
        dict(lasting.tampered),
    )


# --- which models there are, and who holds what of them


class _Wares:
    """Gets models, and puts what it got in stock; the same for all lives of the actors."""

    def __init__(self, ground: Ground) -> None:
        self._fetch = ground.fetch
        self._receive = ground.receive
        self._stock = ground.stock
        self._own_sources: set[str] = set()

    async def fetch(self, wanted: str, is_download_allowed: bool) -> LocalModel:
        """Get a model by its name or source."""
        return await self._in_stock(await self._fetch(wanted, is_download_allowed))

    async def fetch_own(self, wanted: str, is_download_allowed: bool) -> LocalModel:
        """Get a model that this peer's own user named."""
        model = await self.fetch(wanted, is_download_allowed)
        self._own_sources.add(model.card.source)
        return model

    async def receive(self, blueprint: bytes, desired: DesiredModel) -> LocalModel:
        """Get a model by the blueprint that another peer gave."""
        return await self._in_stock(await self._receive(blueprint, desired))

    def is_own(self, source: str) -> bool:
        """Whether this peer's own user named what came from there."""
        return source in self._own_sources

    async def _in_stock(self, model: LocalModel) -> LocalModel:
        return replace(model, stored=await self._stock.put(model.card.fingerprint, model.files))


def _weights(ground: Ground, boxes: _Mailboxes, wares: _Wares) -> Weights:
    config = ground.config
    return Weights(
        boxes.weights,
        wish=Wish(ground.hello.peer, config.wanted, config.spread, ground.created_ms),
        fetch=wares.fetch_own,
        find=Search(wares.fetch, wares.receive, boxes.porter, wares.is_own).find,
        list_models=ground.list_models,
        pause=ground.pause,
        membership=boxes.membership,
        placement=boxes.placement,
    )


def _placement(ground: Ground, boxes: _Mailboxes, clock_ms: Callable[[], int]) -> Placement:
    config = ground.config
    return Placement(
        boxes.placement,
        peer=ground.hello.peer,
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
        equipment=ground.equipment,
        board=ground.board,
    )


def _porter(ground: Ground, boxes: _Mailboxes, post: Post) -> Porter:
    return Porter(
        boxes.porter,
        post=post,
        shelf=ground.stock,
        timing=ground.config.haul,
        now_s=ground.now_s,
        progress=lambda what, done, total: ground.progress(f"fetching {what}", done, total),
    )


# --- how requests are answered


def _stage(ground: Ground, boxes: _Mailboxes, post: Post) -> Stage:
    return Stage(
        boxes.stage,
        post=post,
        compute=ground.compute,
        bring=Supply(ground.stock, boxes.porter).bring,
        load=ground.load,
        placement=boxes.placement,
        memory_bytes=ground.memory_bytes,
        limits=ground.config.requests,
        progress=lambda what, done, total: ground.progress(f"loading {what}", done, total),
        work=ground.stage_work,
        timings=ground.timings,
    )


def _head(ground: Ground, boxes: _Mailboxes, post: Post) -> Head:
    return Head(
        boxes.head,
        post=post,
        placement=boxes.placement,
        limits=ground.config.requests,
        work=ground.head_work,
        timings=ground.timings,
    )


def _requests(ground: Ground, boxes: _Mailboxes, post: Post) -> Requests:
    return Requests(
        boxes.requests,
        post=post,
        placement=boxes.placement,
        limits=ground.config.requests,
        now_s=ground.now_s,
        watcher=ground.ledger,
    )


def _tracing(ground: Ground, boxes: _Mailboxes, post: Post) -> Tracing:
    return Tracing(
        boxes.tracing,
        post=post,
        timings=ground.timings,
        patience_s=ground.config.requests.trace_timeout_s,
        now_s=ground.now_s,
    )


# --- who takes which message


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


def _key_routes(boxes: _Mailboxes) -> dict[Any, tuple[Mailbox[Any], ...]]:
    """Who takes which message about the mesh's key; nobody where it has none."""
    return {h.AskKey: (boxes.rotation,), h.GiveKey: (boxes.rotation,)}


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
