"""A peer: composes transports, topology, model and actors. This is the embedding API."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from meshinfer.topology.explain import Explanation
from meshinfer.transports.base import Address

from .actors.cables import CableView
from .actors.fabrics import FabricView
from .actors.mail import LocalModel, Publish
from .actors.stranger import Stranger
from .actors.work import Work
from .composition import Relay, compose
from .config import PeerConfig, parse_stages
from .counting import Numbers
from .farewell import leave_mesh
from .generation import Asked, Deadline, Piece, Prompt
from .groundwork import lay_ground
from .key_state import KeyState
from .ledger import Ledger
from .library import Library
from .life import Life
from .loading import Loading
from .machine.facts import MachineFacts
from .machine.watts import Watts
from .messages import Constraint, Sampling
from .own_machine import OwnMachine
from .premises import open_premises
from .reports import Reports
from .services import take_up
from .snapshot import Snapshot, mesh_json
from .timings import Timings
from .trace import Trace

if TYPE_CHECKING:
    from .api.server import ApiServer
    from .belonging import Belonging
    from .paper.on_mesh import PlanRequest

T = TypeVar("T")


class Peer:
    """One peer of a mesh. `async with Peer(config) as peer:` joins, and leaves at the end.

    It owns no loop, no signals and no logging setup; any number may live in one process.

    Raises (on entering):
        ConfigError: an address is taken, the name is in use on this machine, a directory is not writable.
    """

    def __init__(self, config: PeerConfig) -> None:
        self._config = config
        self._reports = Reports(config.mesh, is_open=config.is_open)
        self._machine = OwnMachine(config, self._reports.bell, self._reports.cables)
        self._life = Life()
        self._stack = AsyncExitStack()

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
        return self._premises.lives.name

    @property
    def address(self) -> Address:
        """Where this peer takes links, with the port that was really bound."""
        return self._premises.address

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
        return self._machine.facts

    @property
    def watts(self) -> Watts | None:
        """What power this machine takes, over the last seconds; None where nothing tells without root."""
        return self._machine.watts

    @property
    def belonging(self) -> "Belonging":
        """To which mesh it belongs, by which key: what it found when it joined."""
        return self._premises.guard.belonging

    @property
    def keys(self) -> KeyState | None:
        """How the mesh's key, and a change of it, is: by labels. None where the mesh is open."""
        return self._services.keys.state

    def snapshot(self) -> Snapshot:
        """The mesh and this peer, as they are now."""
        return self._services.lookout.snapshot()

    @property
    def work(self) -> Work:
        """How much there is to do here; sessions of stage and head as they were within the last second."""
        return self._reports.work(self._services.asking.open_answers)

    @property
    def fabric(self) -> FabricView:
        """Whether activations may go by means other than TCP, and where they do not, why."""
        return self._reports.woven.value

    @property
    def ledger(self) -> Ledger:
        """How the requests fare that began here; only to look at."""
        return self._reports.ledger

    @property
    def next_change(self) -> asyncio.Event:
        """Set when the snapshot or the ledger changes next; take it before looking at them."""
        return self._reports.bell.next

    @property
    def timings(self) -> Timings:
        """How long this peer computes, as a stage and as a head; only to look at."""
        return self._reports.timings

    @property
    def numbers(self) -> Numbers:
        """What links and membership have counted so far."""
        return self._parts.numbers()

    @property
    def cables(self) -> tuple[CableView, ...]:
        """The links to other peers as they were within the last second: measured how, and which is used."""
        return self._reports.cables.value

    @property
    def strangers(self) -> tuple[Stranger, ...]:
        """Peers that were seen on this network, of other meshes or other versions."""
        return self._reports.strangers.value

    def watch(self) -> AsyncGenerator[Snapshot, None]:
        """The present snapshot, and a new one whenever something changed; a slow reader skips some."""
        return self._services.lookout.watch()

    async def until_live(self, model: str | None = None) -> Snapshot:
        """Wait until a live ring serves a model; there is no timeout here, use `asyncio.timeout`.

        model: by its name; None takes the one that was asked for first.
        """
        return await self._services.lookout.until_live(model)

    async def wait(self) -> None:
        """Wait until this peer fails, or is asked to leave: then leave the `async with`.

        Raises:
            ExceptionGroup: one of its actors failed too often.
        """
        await self._life.wait()

    def ask_to_leave(self) -> bool:
        """Have `wait` return, so that whoever entered this peer leaves it; False if nobody waits there."""
        return self._life.ask_to_leave()

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
        return await self._services.door.load(model, spread, is_download_allowed=True)

    async def unload(self, name: str) -> None:
        """Have the mesh run a model no longer, whoever asked for it; return once no peer holds its layers.

        Raises:
            WrongModel: the mesh does not run it.
        """
        await self._services.door.unload(name)

    async def explain(self, model: str | None = None) -> Explanation:
        """Why the ring of a model is as it is, and what would change it; None is the first model.

        `meshinfer.topology.reasons` says it in sentences. It is computed off the loop, for seconds where
        there are many peers.

        Raises:
            WrongModel: the mesh does not run it. NoRing: this peer does not have its files yet.
        """
        return await self._services.explainer.ring(model)

    async def plan(self, asked: "PlanRequest") -> dict[str, Any]:
        """What a model would ask of this mesh beside what it runs: as `meshinfer plan --json` prints it.

        Only its config is read, and downloaded where that is allowed.

        Raises:
            ModelError: its config cannot be had, or tells of no model that can be run.
        """
        return await self._library.plan(asked, mesh_json(self._reports.board.value.mesh))

    async def drain(self, is_drained: bool = True) -> None:
        """Have others take over this peer's layers; False: let it hold some again.

        It stays a member and answers requests. What no ring can do without it keeps; the snapshot's member
        says how far it is. It lasts as long as this peer does.
        """
        await self._parts.membership.tell(Publish(lambda own: replace(own, is_drained=is_drained)))

    async def rotate_key(self, without: Sequence[str] = ()) -> KeyState:
        """Begin to change the mesh's key: all members that are there get a new one, and use it once all have.

        The former one is accepted for `key_grace_s` more, so that who is away gets the new one too. without:
        names or ids of members that are to be put out: only the others that are there get the new key, and
        the former one is over as soon as all of those have it. `keys` tells how far it is.

        Raises:
            ConfigError: the mesh is open; one of `without` is not known; the key cannot be kept.
        """
        return await self._services.keys.begin(without)

    async def finish_key(self) -> KeyState:
        """Accept the mesh's new key alone from now on, here and at all others; who is away is out.

        Raises:
            ConfigError: the mesh is open; no change goes on; somebody who is there has not got the new key.
        """
        return await self._services.keys.finish()

    def loading(self, name: str) -> AsyncGenerator[Loading, None]:
        """How a model that was asked for comes to answer: each change, the last one when it does.

        Raises:
            WrongModel: somebody has taken it back.
        """
        return self._services.door.progress(name)

    def generate(
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
        return self._services.asking.answer(asked)

    async def consult(self, model: str | None, work: Callable[[LocalModel], T], deadline: Deadline) -> T:
        """Have `work` read a model's files and use its tokenizer, on the one thread that may.

        model: as for `generate`, and loaded as for it. Others wait meanwhile: a long prompt is fine, an hour
        is not.

        Raises:
            WrongModel, NoRing, NoRoom: as `generate`. DeadlineExceeded. Whatever `work` raises.
        """
        return await self._services.asking.consult(model, work, deadline)

    async def grammar_fault(self, model: str | None, constraint: Constraint) -> str:
        """Why answers of a model cannot be held to a constraint; empty if they can.

        model: as for `generate`; it is not loaded for this.

        Raises:
            WrongModel: the mesh runs no model of this name. NoRing: this peer has no files of it (yet).
        """
        return await self._services.asking.grammar_fault(model, constraint)

    async def trace(self, request: str) -> Trace | None:
        """Where the time of a request that began here went; None if it is not known (any more).

        request: its answer's id, or its `X-Request-Id`; `last` is the latest one.
        """
        return await self._services.explainer.request(request)

    def served_model(self, name: str | None = None) -> LocalModel:
        """This peer's files of a model that the mesh runs; without a name, of the one asked for first.

        Raises:
            WrongModel: the mesh runs no model of this name. NoRing: this peer has no files of it (yet).
        """
        return self._services.models.find(name)

    # --- how it starts and stops

    async def _start(self, stack: AsyncExitStack) -> None:
        reports = self._reports
        await self._machine.check_cables()
        self._premises = premises = await open_premises(self._config, stack)
        config = self._config = premises.config
        self._api = await self._bind_api(stack)
        self._progress = Relay(reports.activity)
        self._library = Library(
            config.cache_dir,
            is_download_allowed=config.is_download_allowed,
            files=premises.files,
            compute=premises.compute,
            activity=reports.activity,
            progress=self._progress,
        )
        api_url = self._api.url_for_others if self._api else ""
        self._parts = compose(
            await lay_ground(premises, self._machine, self._library, reports, self._progress, api_url)
        )
        self._services = take_up(premises, self._parts, reports, self.api_url)
        if self._api is not None:
            # Before the actors run, so that it is served until they have ended: clients see why it waits.
            await self._api.start(stack)
        self._life.begin(self._parts.supervisor.run(), self.name)
        stack.push_async_callback(self._stop)
        self._machine.start(stack, self.name)

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
        running, config = self._life.running, self._config
        if self._api is not None:
            await self._api.finish(0.0 if running.done() else config.requests.finish_timeout_s)
        self._progress.stop()
        await leave_mesh(self._parts, self._premises.listener, running, config.actors)


def _import_api_server() -> "type[ApiServer]":
    from .api.server import ApiServer

    return ApiServer
