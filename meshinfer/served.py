"""By which models a peer can answer, and how one that lies on a disk of the mesh is loaded for a request."""

from collections import Counter
from functools import partial

from .actors.mail import LocalModel
from .actors.placement import Picture
from .actors.watch import Watch
from .config import RequestLimits
from .errors import ModelError, NoRing, WrongModel
from .generation import Deadline
from .loading import ModelDoor, on_disk, why_unknown


class ServedModels:
    """Finds a model by its name.

    board: what the mesh runs, and of which models this peer has files. door: has others loaded.
    """

    def __init__(
        self,
        board: Watch[Picture],
        door: ModelDoor,
        limits: RequestLimits,
        *,
        is_load_on_use_allowed: bool,
    ) -> None:
        self._board = board
        self._door = door
        self._limits = limits
        self._is_load_on_use_allowed = is_load_on_use_allowed
        # Models that requests wait for, and how many of them.
        self._awaited: Counter[str] = Counter()

    def known(self, name: str | None) -> str:
        """The name of a model that the mesh runs or could load; without one, of its first. Empty: neither."""
        mesh = self._board.value.mesh
        if name is None:
            return mesh.model
        return name if mesh.find(name) is not None or name in on_disk(mesh) else ""

    def find(self, name: str | None) -> LocalModel:
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

    async def ready(self, name: str | None, deadline: Deadline) -> LocalModel:
        """As `find`, but a model that is not run, though it could be, is loaded first where that is allowed.

        Raises:
            WrongModel: there is none of this name, or somebody unloads it meanwhile. NoRing, NoRoom: it
            cannot be loaded. DeadlineExceeded.
        """
        if name is not None and self._is_to_be_loaded(name):
            name = await deadline.bound(partial(self._load, name))
        return self.find(name)

    def _is_to_be_loaded(self, name: str) -> bool:
        """Whether the mesh does not run a model, but could: it lies on a disk, and may be loaded for use."""
        mesh = self._board.value.mesh
        is_there = mesh.find(name) is None and name in on_disk(mesh)
        return name in self._awaited or (self._is_load_on_use_allowed and is_there)

    async def _load(self, name: str) -> str:
        """Load a model, and wait until it answers; return its name in the mesh. Nothing is downloaded."""
        limits = self._limits
        self._awaited[name] += 1
        try:
            running = await self._door.load(name, None, is_download_allowed=False)
            await self._door.live(running, ring_wait_s=limits.ring_wait_s, load_s=limits.load_timeout_s)
        except (ModelError, OSError, MemoryError) as error:
            raise NoRing(f"{name} cannot be loaded here: {error}") from error
        finally:
            self._awaited -= Counter((name,))
        return running
