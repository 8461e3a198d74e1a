"""A peer: composes transports, topology, model and actors. This is the embedding API."""

import asyncio
import itertools
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.explain import Explanation, Grounds, explain
from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.topology.record import DiskModel, Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.snapshot import picture
from meshinfer.transports.address import format_address
from meshinfer.transports.base import Address, Transport
from meshinfer.transports.errors import TransportError
from meshinfer.transports.fabric import Fabric
from meshinfer.transports.listen_both import listen_both
from meshinfer.transports.plugging import watch_interfaces
from meshinfer.transports.registry import transport_for

from .actors.actor import Reply
from .actors.cables import CableView
from .actors.discovery import Stranger
from .actors.fabrics import FabricView
from .actors.mail import Abandon, Begin, Explain, LocalModel, Publish
from .actors.placement import Picture
from .actors.requests import sink_for
from .actors.tracing import Investigate
from .actors.watch import Bell, Watch
from .actors.weights import Fetch
from .actors.work import Work
from .composition import Ground, Loom, Relay, compose
from .config import MachineLimits, PeerConfig, parse_host_port, parse_stages
from .counting import Numbers
from .disk_stock import DiskStock
from .errors import ConfigError, MeshError, ModelError, NoRing, Overloaded, RequestError, WrongModel
from .fabric import FabricMeans, means_of
from .farewell import leave_mesh
from .generation import Asked, Deadline, Piece, Prompt, encode, opening_for, pieces
from .labels import current_label
from .ledger import Ledger, State
from .loading import Loading, ModelDoor, on_disk, why_unknown
from .machine.facts import MachineFacts
from .machine.identity import claim_identity
from .machine.interfaces import published_addresses
from .machine.memory import memory_budget_bytes
from .machine.netkinds import expected_bit_s
from .machine.off_loop import off_loop
from .machine.rdma import rdma_devices
from .machine.watching import watch_machine
from .machine.watts import Watts
from .messages import Constraint, Hello, Sampling, SessionId, Times
from .model.arraypool import ArrayPool
from .model.compute import ComputeThread
from .model.local import fetch_blueprint, load_shard, receive_blueprint, warm_up
from .model.metal import working_set_bytes
from .paper.on_mesh import PlanRequest, plan_on_mesh
from .places import Places
from .release import RELEASE
from .snapshot import Activity, Snapshot, mesh_json
from .timings import Timings
from .trace import Trace, put_together

if TYPE_CHECKING:
    from .api.server import ApiServer
    from .belonging import Belonging
    from .guard import Guard
    from .keys.certificates import PeerSecret
    from .model.source import InstalledModel
    from .model.stock import ModelStock

logger = logging.getLogger(__name__)

FERRY = (sys.executable, "-P", str(Path(__file__).parent / "model" / "ferry.py"))
"""The program that carries a fabric, run by its path, with none of this process in it."""

T = TypeVar("T")


class Peer:
    """One peer of a mesh. `async with Peer(config) as peer:` joins, and leaves at the end.

    It owns no loop, no signals and no logging setup; any number may live in one process.

    Raises (on entering):
        ConfigError: an address is taken, the name is in use on this machine, a directory is not writable.
    """

    def __init__(self, config: PeerConfig) -> None:
        self._config = config
        self._bell = Bell()
        nothing = picture(config.mesh, (), (), "this peer has just started", is_open=config.is_open)
        self._board = Watch(Picture(nothing, (), Phase.IDLE, ""), self._bell)
        self._activity: Watch[Activity | None] = Watch(None, self._bell)
        self._machine: Watch[MachineFacts | None] = Watch(None, self._bell)
        # They change every second, and few care: no reader of snapshots is woken for them.
        self._watts: Watch[Watts | None] = Watch(None, Bell())
        self._counter = itertools.count(1)
        self._places = Places(config.requests.max_open)
        self._timings = Timings()
        self._ledger = Ledger(time.time() - time.monotonic(), self._bell.ring)
        self._leave_asked = asyncio.Event()
        self._waiting = 0
        # Models that requests wait for, and how many of them.
        self._awaited: Counter[str] = Counter()
        self._stack = AsyncExitStack()
        self._texts = ThreadPoolExecutor(1, "meshinfer-text")

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    # --- what it shows

    @property
    def name(self) -> str:
        """What people call this peer."""
        return self._identity.name

    @property
    def address(self) -> Address:
        """Where this peer takes links, with the port that was really bound."""
        return self._listener.address

    @property
    def api_url(self) -> str:
        """Base URL of the HTTP API, such as `http://127.0.0.1:52415`; empty without one."""
        return self._api.url if self._api else ""

    @property
    def config(self) -> PeerConfig:
        """What this peer was made with; once it has joined, with what its invitation says."""
        return self._config

    @property
    def machine(self) -> MachineFacts | None:
        """This machine and its interfaces, as of a few seconds ago; None until its tools have told."""
        return self._machine.value

    @property
    def watts(self) -> Watts | None:
        """What power this machine takes, over the last seconds; None where nothing tells without root."""
        return self._watts.value

    @property
    def belonging(self) -> "Belonging":
        """To which mesh it belongs, by which key: what it found when it joined."""
        return self._guard.belonging

    def snapshot(self) -> Snapshot:
        """The mesh and this peer, as they are now."""
        shown = self._board.value
        return Snapshot(
            mesh=shown.mesh.with_barred(self._parts.cut_off()),
            peer=self._identity.peer,
            name=self.name,
            address=self.address,
            api=self.api_url,
            phase=shown.phase,
            fault=shown.fault,
            activity=self._activity.value,
        )

    @property
    def work(self) -> Work:
        """How much there is to do here; sessions of stage and head as they were within the last second."""
        head, stage = self._head_work.value, self._stage_work.value
        return Work(
            answers=self._places.taken,
            running=head.running,
            waiting=head.waiting,
            lanes=head.lanes,
            retained=head.retained,
            retained_tokens=head.retained_tokens,
            turn_us=head.turn_us,
            compute_us=head.compute_us,
            rings=head.rings,
            sessions=stage.sessions,
            kept=stage.kept,
            kept_bytes=stage.kept_bytes,
            weight_bytes=stage.weight_bytes,
            kv_bytes=stage.kv_bytes,
        )

    @property
    def fabric(self) -> FabricView:
        """Whether activations may go by means other than TCP, and where they do not, why."""
        return self._woven.value

    @property
    def ledger(self) -> Ledger:
        """How the requests fare that began here; only to look at."""
        return self._ledger

    @property
    def next_change(self) -> asyncio.Event:
        """Set when the snapshot or the ledger changes next; take it before looking at them."""
        return self._bell.next

    @property
    def timings(self) -> Timings:
        """How long this peer computes, as a stage and as a head; only to look at."""
        return self._timings

    @property
    def numbers(self) -> Numbers:
        """What links and membership have counted so far."""
        return self._parts.numbers()

    @property
    def cables(self) -> tuple[CableView, ...]:
        """The links to other peers as they were within the last second: measured how, and which is used."""
        return self._cables.value

    @property
    def strangers(self) -> tuple[Stranger, ...]:
        """Peers that were seen on this network, of other meshes or other versions."""
        return self._strangers.value

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """The present snapshot, and a new one whenever something changed; a slow reader skips some."""
        while True:
            changed = self._bell.next
            yield self.snapshot()
            await changed.wait()

    async def until_live(self, model: str | None = None) -> Snapshot:
        """Wait until a live ring serves a model; there is no timeout here, use `asyncio.timeout`.

        model: by its name; None takes the one that was asked for first.
        """
        async for snapshot in self.watch():
            view = snapshot.mesh.find(model) if model is not None else None
            if view.is_live if view is not None else model is None and snapshot.mesh.is_live:
                return snapshot
        raise AssertionError("watching never ends by itself")

    async def wait(self) -> None:
        """Wait until this peer fails, or is asked to leave: then leave the `async with`.

        Raises:
            ExceptionGroup: one of its actors failed too often.
        """
        # Cancelled below, and nothing waits for its end.
        asked = asyncio.create_task(self._leave_asked.wait())
        self._waiting += 1
        try:
            await asyncio.wait([self._running, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting -= 1
            asked.cancel()
        if self._running.done():
            await self._running

    def ask_to_leave(self) -> bool:
        """Have `wait` return, so that whoever entered this peer leaves it; False if nobody waits there."""
        if self._waiting:
            self._leave_asked.set()
        return self._leave_asked.is_set()

    # --- what it does

    async def load(self, model: str, stages: str | int | None = None) -> str:
        """Have the mesh run a model beside the others; return its name there, before it is live.

        model: as in `PeerConfig`, or the name of one that lies on a disk of the mesh. stages: as in
        `PeerConfig`; None is `auto`, or what it was asked for with before. Where memory is short, models that
        were used the longest ago are unloaded for it, but not what running peers were started with. Whether
        missing files are downloaded is a matter of each peer's `is_download_allowed`.

        Raises:
            ConfigError: `stages` is none. ModelError: its files cannot be had. NoRoom: there is no memory for
            it, and the text says how much is missing.
        """
        spread = parse_stages(stages) if stages is not None else None
        return await self._door.load(model, spread, is_download_allowed=True)

    async def unload(self, name: str) -> None:
        """Have the mesh run a model no longer, whoever asked for it; return once no peer holds its layers.

        Raises:
            WrongModel: the mesh does not run it.
        """
        await self._door.unload(name)

    async def explain(self, model: str | None = None) -> Explanation:
        """Why the ring of a model is as it is, and what would change it; None is the first model.

        `meshinfer.topology.reasons` says it in sentences. It is computed off the loop, for seconds where
        there are many peers.

        Raises:
            WrongModel: the mesh does not run it. NoRing: this peer does not have its files yet.
        """
        done: Reply[Grounds] = Reply()
        await self._parts.placement.tell(Explain(model, done))
        return await asyncio.to_thread(explain, await done.answered(), self._config.plan)

    async def plan(self, asked: PlanRequest) -> dict[str, Any]:
        """What a model would ask of this mesh beside what it runs: as `meshinfer plan --json` prints it.

        Only its config is read, and downloaded where that is allowed.

        Raises:
            ModelError: its config cannot be had, or tells of no model that can be run.
        """
        plan = partial(plan_on_mesh, is_download_allowed=self._config.is_download_allowed)
        return await self._files.run(plan, asked, mesh_json(self._board.value.mesh))

    async def drain(self, is_drained: bool = True) -> None:
        """Have others take over this peer's layers; False: let it hold some again.

        It stays a member and answers requests. What no ring can do without it keeps; the snapshot's member
        says how far it is. It lasts as long as this peer does.
        """
        await self._parts.membership.tell(Publish(lambda own: replace(own, is_drained=is_drained)))

    def loading(self, name: str) -> AsyncGenerator[Loading, None]:
        """How a model that was asked for comes to answer: each change, the last one when it does.

        Raises:
            WrongModel: somebody has taken it back.
        """
        return self._door.progress(name)

    async def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int | None = None,
        sampling: Sampling | None = None,
        stop: tuple[str, ...] = (),
        model: str | None = None,
        deadline_s: float | None = None,
        ignores_stops: bool = False,
        constraint: Constraint | None = None,
        top_logprobs: int | None = None,
        keeps_special: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        """Answer a prompt on whichever peers hold the model, piece by piece. Closing it cancels the answer.

        max_tokens: None takes the configured default; never more than the model's context has room for.
        sampling: greedy by default. stop: the answer ends before the first of these texts.
        model: by its name; None takes the one that the mesh was asked for first. One that lies on a disk of
        the mesh is loaded first, where that is allowed. deadline_s: within which the answer must be whole,
        counted from its first `anext`; None, and more than is configured, take what is configured.
        ignores_stops: the answer goes on behind the model's own stop tokens, up to max_tokens.
        constraint: what the whole answer must look like. top_logprobs: each token comes with its
        log-probability and those of so many alternatives, 20 at most; None tells none. keeps_special: special
        tokens are text too, such as markers of tool calls.

        Raises:
            RequestError: the prompt or a parameter cannot be used. WrongModel: there is no such model here.
            NoRing: no ring serves it now. NoRoom: there is no memory to load it.
            Overloaded: too many requests wait. DeadlineExceeded: it took too long, and is cancelled.
            RingBroken, StageFailed: the answer could not be finished.
        """
        session = SessionId(f"{self._identity.peer}-{self._identity.run}-{next(self._counter)}")
        self._ledger.begin(session, current_label.get(), self._known(model), time.monotonic())
        state, outcome = State.CANCELLED, State.CANCELLED.value
        asked = Asked(
            prompt,
            max_tokens,
            sampling or Sampling(),
            stop,
            model,
            deadline_s,
            ignores_stops,
            constraint,
            top_logprobs,
            keeps_special,
        )
        answer = self._answer(session, asked)
        try:
            async with aclosing(answer):
                async for piece in answer:
                    if piece.finish is not None:
                        state, outcome = State.ENDED, piece.finish.value
                    yield piece
        except MeshError as error:
            state, outcome = State.FAILED, type(error).__name__
            raise
        finally:
            self._ledger.end(session, state, outcome, time.monotonic())

    async def _answer(self, session: SessionId, asked: Asked) -> AsyncGenerator[Piece, None]:
        """What `generate` does, under the id of a session."""
        limits, loop = self._config.requests, asyncio.get_running_loop()
        deadline, began_s = Deadline.within(asked.deadline_s, limits.deadline_s), loop.time()
        local, tokens = await self.consult(
            asked.model, lambda local: (local, encode(local, asked.prompt)), deadline
        )
        opening = opening_for(local, tokens, asked, limits.default_max_tokens)
        self._ledger.understood(session, self._known(asked.model), len(tokens), time.monotonic())
        if (constraint := asked.constraint) is not None:
            check = local.tokenizer.grammar_fault
            fault = await deadline.bound(lambda: asyncio.to_thread(check, constraint))
            if fault:
                raise RequestError(fault, "response_format")
        self._places.take()
        sink = sink_for(opening.max_tokens)
        try:
            await self._parts.requests.tell(Begin(local.card.fingerprint, session, tokens, opening, sink))
            async for piece in pieces(local, len(tokens), asked, sink, deadline):
                yield piece
        except Overloaded as error:
            # A ring's head refuses without knowing how long answers take.
            error.retry_after_s = self._places.retry_after_s
            raise
        finally:
            self._places.leave(loop.time() - began_s)
            await self._parts.requests.tell(Abandon(session))

    async def consult(self, model: str | None, work: Callable[[LocalModel], T], deadline: Deadline) -> T:
        """Have `work` read a model's files and use its tokenizer, on the one thread that may.

        model: as for `generate`, and loaded as for it. Others wait meanwhile: a long prompt is fine, an hour
        is not.

        Raises:
            WrongModel, NoRing, NoRoom: as `generate`. DeadlineExceeded. Whatever `work` raises.
        """
        if model is not None and self._is_to_be_loaded(model):
            model = await deadline.bound(partial(self._load_for_use, model))
        local, loop = self.served_model(model), asyncio.get_running_loop()
        return await deadline.bound(lambda: loop.run_in_executor(self._texts, work, local))

    async def grammar_fault(self, model: str | None, constraint: Constraint) -> str:
        """Why answers of a model cannot be held to a constraint; empty if they can.

        model: as for `generate`; it is not loaded for this.

        Raises:
            WrongModel: the mesh runs no model of this name. NoRing: this peer has no files of it (yet).
        """
        tokenizer = self.served_model(model).tokenizer
        return await asyncio.to_thread(tokenizer.grammar_fault, constraint)

    async def trace(self, request: str) -> Trace | None:
        """Where the time of a request that began here went; None if it is not known (any more).

        request: its answer's id, or its `X-Request-Id`; `last` is the latest one.
        """
        entry = self._ledger.find(request)
        if entry is None:
            return None
        told: Reply[dict[PeerId, Times]] = Reply()
        await self._parts.tracing.tell(Investigate(entry.session, entry.peers, told))
        times = await told.answered()
        names = {member.peer: member.name for member in self._board.value.mesh.members}
        return put_together(
            self._ledger.find(entry.request) or entry, times, names, self._identity.peer, time.monotonic()
        )

    def served_model(self, name: str | None = None) -> LocalModel:
        """This peer's files of a model that the mesh runs; without a name, of the one asked for first.

        Raises:
            WrongModel: the mesh runs no model of this name. NoRing: this peer has no files of it (yet).
        """
        shown = self._board.value
        view = shown.mesh.find(name) if name is not None else next(iter(shown.mesh.models), None)
        if view is None and name is not None and shown.mesh.models:
            raise WrongModel(why_unknown(name, shown.mesh), "model")
        if view is not None:
            for model in shown.models:
                if model.card.fingerprint == view.fingerprint:
                    return model
        reason = shown.fault or (view.reason if view else shown.mesh.reason)
        raise NoRing(reason or "this peer does not have the model's files yet")

    def _known(self, name: str | None) -> str:
        """The name of a model that the mesh runs or could load; without one, of its first. Empty: neither."""
        mesh = self._board.value.mesh
        if name is None:
            return mesh.model
        return name if mesh.find(name) is not None or name in on_disk(mesh) else ""

    def _is_to_be_loaded(self, name: str) -> bool:
        """Whether the mesh does not run a model, but could: it lies on a disk, and may be loaded for use."""
        mesh = self._board.value.mesh
        is_there = mesh.find(name) is None and name in on_disk(mesh)
        return name in self._awaited or (self._config.is_load_on_use_allowed and is_there)

    async def _load_for_use(self, name: str) -> str:
        """Load a model for a request, and wait until it answers; return its name in the mesh.

        Nothing is downloaded for that.

        Raises:
            NoRing, NoRoom: it cannot be loaded. WrongModel: somebody unloads it meanwhile.
        """
        limits = self._config.requests
        self._awaited[name] += 1
        try:
            running = await self._door.load(name, None, is_download_allowed=False)
            await self._door.live(running, ring_wait_s=limits.ring_wait_s, load_s=limits.load_timeout_s)
        except (ModelError, OSError, MemoryError) as error:
            raise NoRing(f"{name} cannot be loaded here: {error}") from error
        finally:
            self._awaited -= Counter((name,))
        return running

    # --- how it starts and stops

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self._config
        stack.callback(self._texts.shutdown, wait=False, cancel_futures=True)
        self._identity = await asyncio.to_thread(claim_identity, config.cache_dir, config.name)
        stack.callback(self._identity.release)
        self._guard = await asyncio.to_thread(_stand_guard, config, self._identity.secret)
        config = self._config = self._guard.belonging.config
        compute = ComputeThread(f"meshinfer-compute {self.name}")
        stack.push_async_callback(compute.close, config.actors.stop_timeout_s)
        # Files of one model are got while another one answers.
        self._files = ComputeThread(f"meshinfer-files {self.name}")
        stack.push_async_callback(self._files.close, config.actors.stop_timeout_s)
        pool = ArrayPool(compute.post)
        stack.callback(pool.close)
        transport = await self._listen(pool)
        stack.push_async_callback(self._listener.close)
        stack.push_async_callback(self._datagrams.close)
        self._api = await self._bind_api(stack)
        ground = await self._ground(compute, transport, pool)
        self._stage_work, self._head_work = ground.stage_work, ground.head_work
        self._cables, self._strangers, self._woven = ground.cables, ground.strangers, ground.woven
        self._parts = compose(ground)
        self._door = ModelDoor(self._parts, self.snapshot, self.watch)
        if self._api is not None:
            # Before the actors run, so that it is served until they have ended: clients see why it waits.
            await self._api.start(stack)
        # Awaited in `_stop`, and by whoever calls `wait`.
        self._running = asyncio.create_task(self._parts.supervisor.run(), name=f"peer {self.name}")
        stack.push_async_callback(self._stop)
        # Cancelled when the peer leaves, and asks nothing of anybody else.
        watching = asyncio.create_task(
            watch_machine(config.machine, self._machine.set, self._watts.set), name=f"machine {self.name}"
        )
        stack.push_async_callback(_cancel, watching)

    async def _ground(self, compute: ComputeThread, transport: Transport, pool: ArrayPool) -> Ground:
        config, listening = self._config, self.address
        memory_bytes = config.memory_bytes or await _measure_memory(config.machine)
        self._progress = Relay(self._activity)
        return Ground(
            config=config,
            hello=self._hello(),
            begin_run=self._begin_run,
            addresses=published_addresses(listening),
            find_addresses=lambda: asyncio.to_thread(published_addresses, listening),
            seeds=tuple(Address(f"tcp://{peer}") for peer in config.peers),
            api_url=self._api.url_for_others if self._api else "",
            memory_bytes=memory_bytes,
            compute=compute,
            fetch=self._fetch_for(compute),
            receive=self._receive,
            stock=DiskStock(
                lambda: _model_stock(config.cache_dir, config.is_download_allowed, self._progress),
                self._progress,
            ),
            list_models=partial(_list_models, config.cache_dir),
            load=load_shard,
            progress=self._progress,
            doing=self._doing,
            transport=transport,
            listener=self._listener,
            datagrams=self._datagrams,
            board=self._board,
            labels=self._guard.labels,
            refused=self._guard.refused,
            think=_think,
            now_s=time.monotonic,
            pause=asyncio.sleep,
            random=Random(),
            created_ms=time.time_ns() // 1_000_000,
            ledger=self._ledger,
            timings=self._timings,
            watch_interfaces=watch_interfaces,
            expected_bit_s=self._expected_bit_s,
            loom=Loom(
                self._fabric_means,
                FERRY,
                lambda lead, ends: Fabric(lead, ends, config.link, config.fabrics, pool),
            ),
        )

    def _expected_bit_s(self, interface: str) -> int:
        known = self._machine.value
        return expected_bit_s(interface, known.network if known is not None else None)

    def _fabric_means(self) -> FabricMeans:
        facts = self._machine.value
        if self._config.fabric == "auto" and not self._config.is_open:
            return FabricMeans(why_not="what goes by it is not sealed: --fabric jaccl takes it all the same")
        if facts is None:
            return means_of(self._config.fabric, {}, "this machine is still being looked at")
        return means_of(self._config.fabric, rdma_devices(facts.rdma, facts.network), facts.rdma.text)

    def _doing(self) -> str:
        activity = self._activity.value
        # That layers are loaded is told by their plan's phase.
        return "" if activity is None or activity.what.startswith("loading") else str(activity)

    def _hello(self) -> Hello:
        identity = self._identity
        return Hello(identity.peer, identity.run, identity.name, self._config.mesh, RELEASE, self.address)

    async def _begin_run(self, than: int) -> Hello:
        self._identity = await asyncio.to_thread(self._identity.next_run, than)
        return self._hello()

    def _fetch_for(self, compute: ComputeThread) -> Fetch:
        config = self._config

        async def fetch(wanted: str, is_download_allowed: bool) -> LocalModel:
            may_download = is_download_allowed and config.is_download_allowed
            try:
                parts = await self._files.run(
                    fetch_blueprint, wanted, config.cache_dir, may_download, self._progress
                )
            finally:
                self._activity.set(None)
            # Until the peers have agreed on its first ring, the thread has nothing to do.
            compute.post(warm_up)
            return LocalModel(*parts)

        return fetch

    async def _receive(self, blueprint: bytes, desired: DesiredModel) -> LocalModel:
        named = desired.fingerprint, desired.name, desired.source
        return LocalModel(
            *await self._files.run(receive_blueprint, blueprint, *named, self._config.cache_dir)
        )

    async def _listen(self, pool: ArrayPool) -> Transport:
        host, port = parse_host_port(self._config.listen, "--listen", is_any_port_allowed=True)
        address = format_address("tcp", host, port)
        transport = transport_for(address, self._config.link, pool, self._guard.security)
        try:
            listening = await listen_both(transport, address, self._guard.datagram_limits)
        except TransportError as error:
            raise ConfigError(str(error)) from error
        self._listener, self._datagrams = listening[0], self._guard.sealed(listening[1])
        return transport

    async def _bind_api(self, stack: AsyncExitStack) -> "ApiServer | None":
        if self._config.api is None:
            return None
        # Here, not at the top: an embedded peer without an API needs none of it. In a thread: importing the
        # framework takes a while.
        server_type = await asyncio.to_thread(_import_api_server)
        server = await asyncio.to_thread(server_type, self, self._config.api)
        stack.callback(server.close)
        return server

    async def _stop(self) -> None:
        """Finish the answers of the API, let others take over, tell them, then end all actors."""
        if self._api is not None:
            await self._api.finish(0.0 if self._running.done() else self._config.requests.finish_timeout_s)
        self._progress.stop()
        await leave_mesh(self._parts, self._listener, self._running, self._config.actors)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def _measure_memory(limits: MachineLimits) -> int:
    """What a peer may use here where its user does not say; Metal is asked, but not waited for too long."""
    try:
        async with asyncio.timeout(limits.metal_timeout_s):
            recommended_bytes = await off_loop(working_set_bytes, "meshinfer-metal")
    except (TimeoutError, ImportError, RuntimeError) as error:
        logger.warning("Metal does not tell how much memory it recommends: %s", error or "no answer in time")
        recommended_bytes = None
    return await asyncio.to_thread(memory_budget_bytes, recommended_bytes)


def _stand_guard(config: PeerConfig, secret: "PeerSecret") -> "Guard":
    # Here, not at the top: it takes a while, and `import meshinfer` needs none of it.
    from .guard import Guard

    return Guard(config, secret)


async def _think(planner: Planner, question: Question) -> Answer | Infeasible:
    return await asyncio.to_thread(planner, question)


async def _list_models(cache_dir: Path) -> tuple[DiskModel, ...]:
    """What this machine could load without a network; nothing, where its caches cannot be read."""
    try:
        found = await asyncio.to_thread(_installed, cache_dir)
    except (ModelError, OSError) as error:
        logger.warning("the models on this machine's disk cannot be listed: %s", error)
        return ()
    return tuple(DiskModel(model.files.name, model.files.source, model.size_bytes) for model in found)


def _installed(cache_dir: Path) -> "list[InstalledModel]":
    # Here, not at the top: it takes long to import.
    from .model.source import installed

    return installed(cache_dir)


def _model_stock(cache_dir: Path, is_download_allowed: bool, progress: Relay) -> "ModelStock":
    # What it is made of takes long to import.
    from .model.stock import ModelStock

    return ModelStock(cache_dir, is_download_allowed, progress)


def _import_api_server() -> "type[ApiServer]":
    from .api.server import ApiServer

    return ApiServer
