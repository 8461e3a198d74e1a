"""Shows the mesh and one peer of it: as they are, and whenever they change."""

from collections.abc import AsyncGenerator, Callable, Mapping

from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address

from .lives import Lives
from .reports import Reports
from .snapshot import Snapshot


class Lookout:
    """Makes snapshots of what is reported.

    lives: who the peer is. address, api_url: where it is reached. cut_off: as in `Composition`.
    """

    def __init__(
        self,
        reports: Reports,
        *,
        lives: Lives,
        address: Address,
        api_url: str,
        cut_off: Callable[[], Mapping[PeerId, str]],
    ) -> None:
        self._reports = reports
        self._lives = lives
        self._address = address
        self._api_url = api_url
        self._cut_off = cut_off

    def snapshot(self) -> Snapshot:
        """The mesh and the peer, as they are now."""
        shown = self._reports.board.value
        return Snapshot(
            mesh=shown.mesh.with_barred(self._cut_off()),
            peer=self._lives.peer,
            name=self._lives.name,
            address=self._address,
            api=self._api_url,
            phase=shown.phase,
            fault=shown.fault,
            activity=self._reports.activity.value,
        )

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        """The present snapshot, and a new one whenever something changed; a slow reader skips some."""
        while True:
            changed = self._reports.bell.next
            yield self.snapshot()
            await changed.wait()

    async def until_live(self, model: str | None) -> Snapshot:
        """Wait until a live ring serves a model; None is the one that was asked for first."""
        async for snapshot in self.watch():
            view = snapshot.mesh.find(model) if model is not None else None
            if view.is_live if view is not None else model is None and snapshot.mesh.is_live:
                return snapshot
        raise AssertionError("watching never ends by itself")
