"""What a peer's actors report of the mesh and of their work, for all who look at it: the latest of each."""

import time

from meshinfer.topology.record import Phase
from meshinfer.topology.snapshot import picture

from .actors.cables import CableView
from .actors.fabrics import FabricView
from .actors.placement import Picture
from .actors.stranger import Stranger
from .actors.watch import Bell, Watch
from .actors.work import HeadWork, StageWork, Work
from .ledger import Ledger
from .snapshot import Activity
from .timings import Timings


class Reports:
    """Written by actors, each by its own; looked at by everybody. It is there before they are.

    bell: rung when `board`, `activity` or `ledger` changes; the others change each second, and nobody is
    woken for them. board: the mesh, as this peer sees it. activity: something long that goes on, None where
    nothing does. ledger: how the requests fare that began here. timings: how long this peer computes.
    stage_work, head_work, cables, strangers, woven: as in `Ground`.
    """

    def __init__(self, mesh: str, *, is_open: bool) -> None:
        self.bell = Bell()
        nothing = picture(mesh, (), (), "this peer has just started", is_open=is_open)
        self.board = Watch(Picture(nothing, (), Phase.IDLE, ""), self.bell)
        self.activity: Watch[Activity | None] = Watch(None, self.bell)
        self.ledger = Ledger(time.time() - time.monotonic(), self.bell.ring)
        self.timings = Timings()
        self.stage_work = Watch(StageWork(), Bell())
        self.head_work = Watch(HeadWork(), Bell())
        self.cables: Watch[tuple[CableView, ...]] = Watch((), Bell())
        self.strangers: Watch[tuple[Stranger, ...]] = Watch((), Bell())
        self.woven = Watch(FabricView(), Bell())

    def work(self, answers: int) -> Work:
        """How much there is to do. answers: how many are written for readers here."""
        head, stage = self.head_work.value, self.stage_work.value
        return Work(
            answers=answers,
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

    def doing(self) -> str:
        """What takes long here, for other peers; empty where nothing does."""
        activity = self.activity.value
        # That layers are loaded is told by their plan's phase.
        return "" if activity is None or activity.what.startswith("loading") else str(activity)
