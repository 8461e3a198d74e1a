"""How a peer gets the files of models, and what it has of them; nothing of it runs on the loop."""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.record import DiskModel

from .actors.mail import LocalModel
from .actors.watch import Watch
from .disk_stock import DiskStock
from .errors import ModelError
from .model.base import Progress
from .model.compute import ComputeThread
from .model.local import fetch_blueprint, receive_blueprint, warm_up
from .snapshot import Activity

if TYPE_CHECKING:
    from .model.source import InstalledModel
    from .model.stock import ModelStock
    from .paper.on_mesh import PlanRequest

logger = logging.getLogger(__name__)


class Library:
    """The models of one cache directory.

    files: gets one after the other, and reads them. compute: where the first layers will be loaded. activity:
    what `progress` shows there is taken back once a model was got.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        is_download_allowed: bool,
        files: ComputeThread,
        compute: ComputeThread,
        activity: Watch[Activity | None],
        progress: Progress,
    ) -> None:
        self._cache_dir = cache_dir
        self._is_download_allowed = is_download_allowed
        self._files = files
        self._compute = compute
        self._activity = activity
        self._progress = progress

    async def fetch(self, wanted: str, is_download_allowed: bool) -> LocalModel:
        """Get a model by its name or source; it is downloaded only where this peer may do so as well.

        Raises:
            ModelError: its files cannot be had.
        """
        may_download = is_download_allowed and self._is_download_allowed
        try:
            parts = await self._files.run(
                fetch_blueprint, wanted, self._cache_dir, may_download, self._progress
            )
        finally:
            self._activity.set(None)
        # Until the peers have agreed on its first ring, the thread has nothing to do.
        self._compute.post(warm_up)
        return LocalModel(*parts)

    async def receive(self, blueprint: bytes, desired: DesiredModel) -> LocalModel:
        """Take in a model by the blueprint that another peer gave.

        Raises:
            ModelError: it is not what the mesh runs, or cannot be kept.
        """
        named = desired.fingerprint, desired.name, desired.source
        return LocalModel(*await self._files.run(receive_blueprint, blueprint, *named, self._cache_dir))

    async def on_disk(self) -> tuple[DiskModel, ...]:
        """What this machine could load without a network; nothing, where its caches cannot be read."""
        try:
            found = await asyncio.to_thread(_installed, self._cache_dir)
        except (ModelError, OSError) as error:
            logger.warning("the models on this machine's disk cannot be listed: %s", error)
            return ()
        return tuple(DiskModel(model.files.name, model.files.source, model.size_bytes) for model in found)

    def stock(self) -> DiskStock:
        """What there is of models' layers, to give and to take in."""
        return DiskStock(
            lambda: _model_stock(self._cache_dir, self._is_download_allowed, self._progress), self._progress
        )

    async def plan(self, asked: "PlanRequest", mesh: dict[str, Any]) -> dict[str, Any]:
        """What a model would ask of a mesh, by its config alone. mesh: as `mesh_json` tells of it.

        Raises:
            ModelError: its config cannot be had, or tells of no model that can be run.
        """
        return await self._files.run(_plan, asked, mesh, self._is_download_allowed)


def _installed(cache_dir: Path) -> "list[InstalledModel]":
    # Here, not at the top: it takes long to import.
    from .model.source import installed

    return installed(cache_dir)


def _model_stock(cache_dir: Path, is_download_allowed: bool, progress: Progress) -> "ModelStock":
    # What it is made of takes long to import.
    from .model.stock import ModelStock

    return ModelStock(cache_dir, is_download_allowed, progress)


def _plan(asked: "PlanRequest", mesh: dict[str, Any], is_download_allowed: bool) -> dict[str, Any]:
    # Few peers are asked for plans on paper.
    from .paper.on_mesh import plan_on_mesh

    return plan_on_mesh(asked, mesh, is_download_allowed=is_download_allowed)
