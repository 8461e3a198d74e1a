"""How a peer has its mesh load a model, and unload it: what `Peer.load` and `Peer.unload` do."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from meshinfer.topology.record import DiskModel
from meshinfer.topology.snapshot import MeshSnapshot, ModelView

from .actors.actor import Reply
from .actors.mail import Load, LocalModel, Obtain, Unload
from .composition import Composition
from .errors import NoRing, WrongModel
from .snapshot import Snapshot

_PATIENCE_S = 30.0
"""How long a model that is to make way may go on answering."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How far a model is that was asked for. is_live: it answers; otherwise `doing` says what is awaited."""

    name: str
    is_live: bool
    doing: str


class ModelDoor:
    """Asks the actors of one peer; snapshot, changes: what that peer shows, now and whenever it changed."""

    def __init__(
        self,
        parts: Composition,
        snapshot: Callable[[], Snapshot],
        watch: Callable[[], AsyncGenerator[Snapshot, None]],
    ) -> None:
        self._parts = parts
        self._snapshot = snapshot
        self._watch = watch

    async def load(self, wanted: str, spread: int | None, *, is_download_allowed: bool) -> str:
        """Have the mesh run a model; return the name by which it does, before it is live.

        Cancelled, the files are fetched to their end, and nothing else happens.

        Raises:
            ModelError: its files cannot be had. NoRoom: the peers have no memory for it.
        """
        source = self._source_of(wanted)
        got: Reply[LocalModel] = Reply()
        await self._parts.weights.tell(Obtain(source, is_download_allowed, got))
        # A download takes as long as it takes: whoever waits may give up.
        model = await got.answered()
        done: Reply[str] = Reply()
        await self._parts.placement.tell(Load(model, spread, is_download_allowed, _PATIENCE_S, done))
        return await done.answered()

    async def unload(self, name: str) -> None:
        """Have the mesh run a model no longer; return once no peer holds layers for it.

        Answers that are being written come to their end first, if they do so soon.

        Raises:
            WrongModel: the mesh does not run it.
        """
        view = self._snapshot().mesh.find(name)
        done: Reply[None] = Reply()
        await self._parts.placement.tell(Unload(name, done))
        await done.answered()
        if view is None:
            return
        async with aclosing(self._watch()) as snapshots:
            async for seen in snapshots:
                if view.fingerprint not in seen.mesh.held:
                    return

    async def live(self, name: str, *, ring_wait_s: float, load_s: float) -> None:
        """Wait until a model that was asked for answers.

        Raises:
            NoRing: no plan for it within ring_wait_s, or its layers are not in memory load_s after that.
            WrongModel: somebody has taken it back.
        """
        doing = ""
        for stage_s, is_enough in ((ring_wait_s, _is_planned), (load_s, _is_live)):
            try:
                async with asyncio.timeout(stage_s), aclosing(self._views(name)) as views:
                    async for view, doing in views:  # noqa: B007 - the last one is told
                        if is_enough(view):
                            break
            except TimeoutError as error:
                raise NoRing(f"{name} is not live {stage_s:.0f} s after it was asked for: {doing}") from error

    async def progress(self, name: str) -> AsyncGenerator[Loading, None]:
        """How a model that was asked for comes to answer: each change, the last one when it does.

        Raises:
            WrongModel: somebody has taken it back.
        """
        told: Loading | None = None
        async with aclosing(self._views(name)) as views:
            async for view, doing in views:
                now = Loading(name, view.is_live, doing)
                if now != told:
                    told = now
                    yield now
                if view.is_live:
                    return

    async def _views(self, name: str) -> AsyncGenerator[tuple[ModelView, str], None]:
        """How a model that was asked for is shown, and what goes on for it, whenever something changed."""
        is_shown = False
        async with aclosing(self._watch()) as snapshots:
            async for seen in snapshots:
                view = seen.mesh.find(name)
                if view is not None:
                    is_shown = True
                    yield view, _doing(view, seen)
                elif is_shown:
                    raise WrongModel(f"{name} was unloaded again before it answered", "model")

    def _source_of(self, wanted: str) -> str:
        """Where a model is to be had that some peer's disk has under this name; else `wanted` itself.

        How it is to be run stays behind it.
        """
        name, mark, variant = wanted.partition("?")
        seen = self._snapshot()
        mine = (m.on_disk for m in seen.mesh.members if m.peer == seen.peer)
        others = (m.on_disk for m in seen.mesh.members if m.peer != seen.peer)
        found = (model for models in (*mine, *others) for model in models if model.name == name)
        first = next(found, None)
        return f"{first.source}{mark}{variant}" if first else wanted


def _is_planned(view: ModelView) -> bool:
    return view.plan is not None


def _is_live(view: ModelView) -> bool:
    return view.is_live


def on_disk(mesh: MeshSnapshot) -> dict[str, list[DiskModel]]:
    """The models on the disks of those who are here, by name."""
    found: dict[str, list[DiskModel]] = {}
    for member in mesh.members:
        if member.is_present:
            for model in member.on_disk:
                found.setdefault(model.name, []).append(model)
    return found


def why_unknown(name: str, mesh: MeshSnapshot) -> str:
    """What there is, for somebody who asked for something else."""
    running = [model.name for model in mesh.models]
    others = sorted(on_disk(mesh).keys() - set(running))
    hint = f": ask for model {' or '.join(running)}" if running else ""
    beside = f"; on disk: {', '.join(others)} (`meshinfer load` loads them)" if others else ""
    return f"the mesh runs {', '.join(running) or 'no model'}, not {name}{hint}{beside}"


def _doing(view: ModelView, seen: Snapshot) -> str:
    if view.is_live:
        return ""
    return seen.activity.what if seen.activity is not None else view.reason
