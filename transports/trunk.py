"""All paths to one peer as one line of frames: in order, each once, over whichever path is best."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .base import Address, Frame
from .choice import Choice
from .errors import FrameTooLarge, ProtocolError, TransportError, Unlabelled
from .gauge import GaugeTiming
from .label import Kind, Label, labelled, unlabelled
from .path import Path
from .resend import Incoming, Numbered, Outgoing

logger = logging.getLogger(__name__)

_TURNS_RETIRED = 2
"""Looks after which a path that makes way for another one is closed."""

Deliver = Callable[[Frame], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TrunkLimits:
    """What a trunk takes on, and how it looks after its paths.

    max_paths: that are kept, one of which carries the traffic. max_waiting: frames that wait to be sent.
    max_kept_bytes: while more is unacknowledged nothing more is sent. acknowledge_s: what came is
    acknowledged within this, or at once after owed_frames or owed_bytes.
    pulse_s: each path shows this often that it works. hush_s: traffic leaves a path on which nothing came for
    this long while another one works. silence_s: a path on which nothing came for this long is lost.
    retry_s: how often addresses are dialled that no path leads to. burst_timeout_s: a burst whose answer
    takes longer tells nothing.
    """

    max_paths: int = 6
    max_waiting: int = 1024
    max_kept_bytes: int = 64 << 20
    acknowledge_s: float = 0.05
    owed_frames: int = 32
    owed_bytes: int = 256 << 10
    pulse_s: float = 0.5
    hush_s: float = 1.0
    silence_s: float = 3.0
    retry_s: float = 2.0
    burst_timeout_s: float = 3.0
    gauge: GaugeTiming = field(default_factory=GaugeTiming)


@dataclass(frozen=True, slots=True)
class PathView:
    """A path as it is now. rtt_us, mb_s: 0 while unmeasured. sent_bytes: of traffic, not of measuring."""

    local: Address
    remote: Address
    interface: str
    is_primary: bool
    rtt_us: int
    mb_s: int
    sent_bytes: int


class Trunk:
    """Carries frames to and from one peer until its last path is lost or either side ends it.

    `run` is its one task. ended: set once nothing more goes in or out. bursts: held while a path is measured,
    so that a peer does that to one path at a time. Time is told by now_s. received_frames: all that came,
    measuring and acknowledging included. has_faulted: whether the other side broke the rules, which ended it.
    """

    def __init__(
        self,
        name: str,
        limits: TrunkLimits,
        bursts: asyncio.Lock,
        now_s: Callable[[], float],
        *,
        prefers_ours: bool,
    ) -> None:
        self.name = name
        self.ended = asyncio.Event()
        self.received_frames = 0
        self.has_faulted = False
        self._limits = limits
        self._bursts = bursts
        self._now_s = now_s
        self._prefers_ours = prefers_ours
        self._outgoing = Outgoing(limits.max_waiting, limits.max_kept_bytes)
        self._incoming = Incoming()
        self._paths: list[Path] = []
        self._primary: Path | None = None
        self._moving_to: Path | None = None
        self._choice: Choice[Path] = Choice()
        self._sent_frames = 0
        self._sent_bytes = 0
        self._reason = "closed"
        self._is_finishing = False
        self._delivering = asyncio.Lock()
        self._wake = asyncio.Event()
        self._gauged: asyncio.Future[tuple[int, int]] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._deliver: Deliver | None = None
        self._debt: asyncio.TimerHandle | None = None

    # --- paths

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that are kept, in the order in which they came."""
        return tuple(self._paths)

    @property
    def primary(self) -> Path | None:
        """The one that carries the traffic; None once there is none."""
        return self._primary

    def views(self) -> tuple[PathView, ...]:
        """The paths as they are now."""
        return tuple(
            PathView(
                path.link.local,
                path.link.remote,
                path.interface,
                path is self._primary,
                path.gauge.rtt_us,
                path.gauge.mb_s,
                path.sent_bytes,
            )
            for path in self._paths
            if not path.is_retired
        )

    def add(self, path: Path) -> bool:
        """Take in a path on which both sides have greeted; False where there are enough.

        Of two between the same hosts both sides keep the same one. The other one goes a little later: one of
        the sides may know that one only as yet.
        """
        kept = [each for each in self._paths if not each.is_retired]
        twin = next((each for each in kept if each.ends == path.ends), None)
        if twin is None and len(kept) >= self._limits.max_paths:
            return False
        if twin is not None:
            (twin if self._is_kept(path, twin) else path).is_retired = True
        self._paths.append(path)
        if self._primary is None:
            self._primary = path
        if self._group is not None:
            self._start(path)
        self._wake.set()
        return True

    def drop_interface(self, name: str) -> None:
        """An interface of this machine went down: leave its paths at once, if there are others."""
        gone = [path for path in self._paths if path.interface == name]
        if len(gone) < len(self._paths):
            for path in gone:
                self._lose(path, f"the interface {name} went down")

    def drop(self, path: Path, reason: str) -> None:
        """Leave a path at once; the trunk ends if it was the last one."""
        self._lose(path, reason)

    def _is_kept(self, new: Path, twin: Path) -> bool:
        if new.is_ours == twin.is_ours:
            # Dialled anew from the same side: the old one is gone there.
            return new.attempt > twin.attempt
        return new.is_ours == self._prefers_ours

    def _lose(self, path: Path, reason: str) -> None:
        """A path is of no use any more: what was under way on it goes again, over the best of the others."""
        path.link.cut(reason)
        if path not in self._paths:
            return
        self._paths.remove(path)
        if path is self._moving_to:
            self._moving_to = None
        if path is self._primary:
            again = self._outgoing.rewind()
            self._primary = self._next_best()
            if self._primary is None:
                self.end(reason)
            else:
                logger.info(
                    "%s is reached over %s: %s (%d frames go again)", self.name, self._primary, reason, again
                )
        self._wake.set()

    def _next_best(self) -> Path | None:
        heard = [path for path in self._paths if not path.turns_silent] or self._paths
        lasting = _preferred([path for path in heard if not path.is_retired] or heard)
        return self._choice.best({path: path.gauge for path in lasting}) if lasting else None

    # --- frames out

    def put(self, frame: Frame) -> bool:
        """Send a frame, or let it wait; False where too many do: the peer takes nothing any more."""
        if self._outgoing.is_full or self.ended.is_set():
            return False
        is_next = not self._outgoing.has_waiting and self._moving_to is None
        self._outgoing.add(frame)
        path = self._primary
        numbered = self._outgoing.next() if is_next else None
        if path is not None and numbered is not None and path.send_now(self._labelled(numbered)):
            self._sent(path, numbered)
        else:
            self._wake.set()
        return True

    def finish(self) -> None:
        """End once all that was put is sent."""
        self._is_finishing = True
        self._wake.set()

    def end(self, reason: str) -> None:
        """End now; the first reason counts."""
        if not self.ended.is_set():
            self._reason = reason
            self.ended.set()

    def _labelled(self, numbered: Numbered) -> Frame:
        return labelled(Label(Kind.DATA, numbered.number, self._incoming.next), numbered.frame)

    def _sent(self, path: Path, numbered: Numbered) -> None:
        self._incoming.told()
        self._outgoing.sent(numbered.number)
        size_bytes = len(numbered.frame.head) + numbered.frame.payload_bytes
        path.sent_bytes += size_bytes
        self._sent_frames += 1
        self._sent_bytes += size_bytes

    async def _pump(self) -> None:
        """Send what could not go at once, and again what was lost with its path."""
        while True:
            path, numbered = self._primary, self._outgoing.next()
            if path is None or numbered is None or self._moving_to is not None:
                if self._is_finishing and not self._outgoing.has_waiting:
                    self.end("said goodbye")
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await path.send(self._labelled(numbered))
            except FrameTooLarge as error:
                self.end(str(error))
            except TransportError as error:
                self._lose(path, str(error))
            else:
                if path is self._primary:
                    self._sent(path, numbered)

    # --- frames in

    async def run(self, deliver: Deliver) -> str:
        """Carry frames until the trunk ends; return why, for people. deliver: takes what came, in order."""
        self._deliver = deliver
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for path in self._paths:
                    self._start(path)
                self._tasks += [
                    group.create_task(self._pump(), name=f"send to {self.name}"),
                    group.create_task(self._watch(), name=f"watch {self.name}"),
                    group.create_task(self._gauge(), name=f"measure {self.name}"),
                ]
                await self.ended.wait()
                for task in self._tasks:
                    task.cancel()
        finally:
            self.ended.set()
            if self._debt is not None:
                self._debt.cancel()
            paths, self._paths, self._primary = self._paths, [], None
            await asyncio.gather(*(path.link.close() for path in paths))
        return self._reason

    def _start(self, path: Path) -> None:
        assert self._group is not None
        self._tasks = [task for task in self._tasks if not task.done()]
        for work in (self._read, self._write_labels):
            self._tasks.append(self._group.create_task(work(path), name=f"{path}"))
        path.answer_early(lambda: self._incoming.next)
        path.ping(self._incoming.next)

    async def _write_labels(self, path: Path) -> None:
        try:
            await path.write_labels()
        except TransportError as error:
            self._lose(path, str(error))

    async def _read(self, path: Path) -> None:
        has_begun = False
        try:
            while True:
                label, frame = unlabelled(await path.link.receive())
                has_begun = True
                self.received_frames += 1
                self._acknowledge(label.acknowledged)
                await self._take(path, label, frame)
        except ProtocolError as error:
            # Who gives up a link, just as this side takes it, says so without a label: that breaks no rule.
            if has_begun or not isinstance(error, Unlabelled):
                self.has_faulted = True
            logger.warning("%s broke the rules of the wire, its link is closed: %s", self.name, error)
            self.end(str(error))
        except TransportError as error:
            self._lose(path, str(error))

    async def _take(self, path: Path, label: Label, frame: Frame) -> None:
        match label.kind:
            case Kind.DATA:
                await self._take_data(path, Numbered(label.number, frame))
            case Kind.PING:
                path.arrived()
                path.pong(label.number, self._incoming.next)
            case Kind.PONG:
                path.ponged(label)
            case Kind.BURST:
                bytes_per_s = path.take_burst(label, frame.payload_bytes)
                _release(frame)
                if bytes_per_s is not None:
                    path.tell(Label(Kind.GAUGED, label.number, self._incoming.next, bytes_per_s))
            case Kind.GAUGED:
                if self._gauged is not None and not self._gauged.done():
                    self._gauged.set_result((label.number, label.detail))
            case Kind.ACK:
                pass

    async def _take_data(self, path: Path, numbered: Numbered) -> None:
        assert self._deliver is not None
        # Two paths may bring the same frame: the second one waits here until the first is handed on.
        async with self._delivering:
            is_new = self._incoming.came(numbered)
            self._settle_debt(path)
            if is_new:
                await self._deliver(numbered.frame)
            else:
                _release(numbered.frame)

    def _settle_debt(self, path: Path) -> None:
        """Acknowledge what came, soon."""
        incoming, limits = self._incoming, self._limits
        if incoming.owed >= limits.owed_frames or incoming.owed_bytes >= limits.owed_bytes:
            self._acknowledge_on(path)
        elif self._debt is None:
            loop = asyncio.get_running_loop()
            self._debt = loop.call_later(limits.acknowledge_s, self._acknowledge_late, path)

    def _acknowledge_late(self, path: Path) -> None:
        self._debt = None
        if self._incoming.owed and not self.ended.is_set():
            self._acknowledge_on(path)

    def _acknowledge_on(self, path: Path) -> None:
        self._incoming.told()
        path.tell(Label(Kind.ACK, 0, self._incoming.next))

    def _acknowledge(self, below: int) -> None:
        """The other side has all frames below a number."""
        self._outgoing.acknowledged(below)
        if self._moving_to is not None and self._outgoing.is_settled:
            self._primary, self._moving_to = self._moving_to, None
            logger.info("%s is reached over %s, which is faster", self.name, self._primary)
            self._wake.set()
        elif self._outgoing.has_waiting:
            self._wake.set()

    # --- looking after the paths

    async def _watch(self) -> None:
        """Show that this side is there, leave paths that don't work, and take the best of those that do.

        Counts its own turns, not time: who slept or stalled has missed what came meanwhile, and waits on.
        """
        limits = self._limits
        while True:
            await asyncio.sleep(limits.pulse_s)
            for path in self._paths:
                # What this side has no time to read says nothing of the other one.
                is_excused = path.listen() or self._delivering.locked()
                path.turns_silent = 0 if is_excused else path.turns_silent + 1
                if path is not self._primary or not path.is_used:
                    path.ping(self._incoming.next)
                path.is_used = False
            self._leave_silent()
            self._choose()

    def _leave_silent(self) -> None:
        limits, works = self._limits, any(not path.turns_silent for path in self._paths)
        for path in list(self._paths):
            path.turns_retired += path.is_retired
            if path.turns_retired > _TURNS_RETIRED:
                self._lose(path, "another link between the same hosts took its place")
            silent_s = path.turns_silent * limits.pulse_s
            is_hushed = works and path is self._primary and silent_s >= limits.hush_s
            if silent_s >= limits.silence_s or is_hushed:
                self._lose(path, f"nothing came from {self.name} for {silent_s:g} s")

    def _choose(self) -> None:
        """Move to another path where that is clearly faster; all that is under way comes through first."""
        frames, size_bytes = self._sent_frames, self._sent_bytes
        self._sent_frames = self._sent_bytes = 0
        present = self._primary
        if present is None or len(self._paths) < 2 or self._moving_to is not None:
            return
        if present.is_retired:
            chosen = self._next_best() or present
        else:
            able = _preferred([each for each in self._paths if not each.turns_silent and not each.is_retired])
            if able and able[0].is_preferred > present.is_preferred:
                chosen = self._choice.best({path: path.gauge for path in able})
            elif able and able[0].is_preferred < present.is_preferred:
                chosen = present
            else:
                gauges = {path: path.gauge for path in able} | {present: present.gauge}
                chosen = self._choice.look(frames, size_bytes, present, gauges)
        if chosen is not present:
            self._moving_to = chosen
            # Its answer comes behind all that was sent, and acknowledges it.
            present.ping(self._incoming.next)
            self._acknowledge(0)

    async def _gauge(self) -> None:
        """Measure how wide the paths are, one by one; that with the traffic while there is none."""
        while True:
            await asyncio.sleep(self._limits.pulse_s / 4)
            for path in self.paths:
                is_resting = not self._sent_frames and not self._outgoing.has_waiting
                if not path.gauge.rtt_us or (path is self._primary and not is_resting):
                    continue
                if path in self._paths and not path.is_retired:
                    await self._burst(path)

    async def _burst(self, path: Path) -> None:
        while (size_bytes := path.gauge.next_burst(self._now_s())) > 0:
            async with self._bursts:
                self._gauged = asyncio.get_running_loop().create_future()
                began_s = self._now_s()
                try:
                    async with asyncio.timeout(self._limits.burst_timeout_s):
                        number = await path.burst(size_bytes, self._incoming.next)
                        while True:
                            told, bytes_per_s = await self._gauged
                            if told == number:
                                break
                            self._gauged = asyncio.get_running_loop().create_future()
                except TimeoutError:
                    return
                except TransportError as error:
                    self._lose(path, str(error))
                    return
                finally:
                    self._gauged = None
                now_s = self._now_s()
            path.gauge.gauged(size_bytes, bytes_per_s, now_s - began_s, now_s)


def _preferred(paths: list[Path]) -> list[Path]:
    """Those that are preferred, if any are; else all."""
    return [path for path in paths if path.is_preferred] or paths


def _release(frame: Frame) -> None:
    if frame.buffer is not None:
        frame.buffer.release()
