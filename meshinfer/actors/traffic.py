"""What a stage does with frames: fence them, compute them in their order, and hand on what comes out."""

import logging
from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Callable, Mapping
from statistics import median_low

from meshinfer.errors import MeshError, StageFailed
from meshinfer.messages import (
    Activation,
    Failed,
    Finish,
    Hello,
    Opening,
    Rebuild,
    Recall,
    Row,
    StepDone,
    Stepped,
    Token,
    WrongEpoch,
)
from meshinfer.model.base import Compute, Step, StepResult
from meshinfer.timings import Timings
from meshinfer.topology.fence import Passage, lets_through
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

from .actor import Tells
from .conveyor import Conveyor
from .installed import Installed, OpenSession, count_sessions
from .mail import Confirmed, Envelope, Paced, StageEvent
from .post import Post

logger = logging.getLogger(__name__)

_PACE_STEPS = 32
"""Decode steps whose median tells a stage's speed."""


class Traffic:
    """Works for one stage, on its state: `installed` is the stage's own.

    make_room: called when a session takes memory.
    """

    def __init__(
        self,
        post: Post,
        compute: Compute,
        installed: Mapping[Target, Installed],
        placement: Tells[StageEvent],
        *,
        max_sessions: int,
        make_room: Callable[[], None],
        timings: Timings,
    ) -> None:
        self._post = post
        self._me = post.own.peer
        self._compute = compute
        self._installed = installed
        self._placement = placement
        self._max_sessions = max_sessions
        self._make_room = make_room
        self._timings = timings
        self._conveyor: Conveyor[tuple[StepResult, float]] = Conveyor()
        self._under_way: deque[Envelope] = deque()
        self._steps_ns: dict[Target, deque[int]] = {}

    async def run(self) -> None:
        """Hand on what was computed, for as long as the stage lives."""
        await self._conveyor.run()

    async def settle(self) -> None:
        """Wait until all frames that were let in are computed, and what came out is on its way."""
        await self._conveyor.settle()

    def clear(self) -> None:
        """Give back the memory of frames that nobody is going to compute."""
        while self._under_way:
            self._under_way.popleft().release()

    def forget_pace(self, target: Target) -> None:
        """A plan's layers are not computed any more."""
        self._steps_ns.pop(target, None)

    # --- in

    async def let_through(
        self, sender: Hello, frame: Activation | Recall | Rebuild, *, is_opening: bool
    ) -> Installed | None:
        """The plan under which a frame is computed; None if it is not, which was told then."""
        held = self._installed.get(frame.target)
        passage = Passage(frame.target, sender.peer, sender.run, is_opening)
        if held is None or not lets_through(held.plan, held.phase, self._me, passage):
            await self._wrong_epoch(frame, held)
            return None
        if held.phase is Phase.READY:
            held.phase = Phase.ACTIVE
            await self._placement.tell(Confirmed(frame.target))
        return held

    async def enter(self, envelope: Envelope, frame: Activation) -> None:
        """Compute a frame that is let through, behind those that came before; its memory is released then."""
        came_s = get_running_loop().time()
        held = await self._admitted(envelope.sender, frame)
        if held is None:
            envelope.release()
            return

        async def leave(future: "Future[tuple[StepResult, float]]") -> None:
            try:
                await self._leave(held, frame, future, came_s)
            finally:
                self._under_way.popleft().release()

        self._under_way.append(envelope)
        step = Step(frame.rows, frame.tensors)
        await self._conveyor.put(lambda: self._compute.submit(held.shard.forward, step), leave)

    async def _admitted(self, sender: Hello, frame: Activation) -> Installed | None:
        """The plan under which a frame is computed; its new sessions are open then. None: it is not."""
        is_opening = any(row.opening is not None for row in frame.rows)
        held = await self.let_through(sender, frame, is_opening=is_opening)
        if held is None:
            return None
        if not await self.knows(held, frame):
            return None
        try:
            self._check_layers(held, frame)
            for row in frame.rows:
                if row.opening is not None:
                    self._open(held, row, row.opening)
        except MeshError as error:
            await self._drop(frame.rows, held, str(error))
            return None
        return held

    async def knows(self, held: Installed, frame: Activation) -> bool:
        """Whether all sessions of a frame are open here, or open by it; where one is not, that was told."""
        if all(row.opening is not None or row.session in held.sessions for row in frame.rows):
            return True
        # This stage began anew in the middle of it; from its tokens the session can do so as well.
        await self.fail(frame.rows, held, "the session is not known here any more", is_retryable=True)
        return False

    def _check_layers(self, held: Installed, frame: Activation) -> None:
        first_layer = held.stage.first_layer
        if frame.first_layer != first_layer:
            raise StageFailed(f"a frame for layer {frame.first_layer} came to layers from {first_layer}")

    def _open(self, held: Installed, row: Row, opening: Opening) -> None:
        self.check_place(held)
        held.sessions[row.session] = OpenSession(row.origin, opening)
        if opening.prefix is not None and opening.prefix.is_taken:
            held.retained.pop(opening.prefix.source, None)
        self._make_room()

    def check_place(self, held: Installed) -> None:
        """Refuse more sessions of a model than its heads may let in.

        Raises:
            StageFailed: so many are open already.
        """
        model = held.card.fingerprint
        same = (each for each in self._installed.values() if each.card.fingerprint == model)
        open_sessions = count_sessions(same)
        if open_sessions >= self._max_sessions:
            raise StageFailed(f"{open_sessions} sessions are open already")

    # --- out

    async def _leave(
        self, held: Installed, frame: Activation, future: "Future[tuple[StepResult, float]]", came_s: float
    ) -> None:
        try:
            result, took_s = future.result()
            self._timings.computed(frame.rows, took_s, get_running_loop().time() - came_s - took_s)
        except MeshError as error:
            await self._drop(frame.rows, held, str(error))
            return
        except Exception:  # this actor ends by it, and nobody must wait for this frame
            await self.fail(frame.rows, held, "the stage failed", is_retryable=True)
            raise
        if len(frame.rows) == 1 and frame.rows[0].is_sampled:
            await self._note_pace(held, took_s)
        await self._onward(held, frame, result, round(took_s * 1e6))

    async def _onward(self, held: Installed, frame: Activation, result: StepResult, took_us: int) -> None:
        ring = held.plan.ring
        spent_us, slowest_us = frame.spent_us + took_us, max(frame.slowest_us, took_us)
        if (following := ring.after(self._me)) is not None:
            onward = Activation(
                frame.target,
                frame.rows,
                following.first_layer,
                result.tensors,
                spent_us=spent_us,
                slowest_us=slowest_us,
            )
            await self._post.send(following.peer, onward)
            return
        faults = dict(result.faults)
        went = [
            (row, _stepped(held.sessions[row.session].opening, row, token, row.session in result.ended))
            for row, token in zip(frame.rows, result.tokens, strict=True)
            if row.session in held.sessions and row.session not in faults
        ]
        # The head first: the next step waits for it, the reader only for the token.
        done = StepDone(frame.target, tuple(step for _, step in went), spent_us, slowest_us)
        await self._post.send(ring.head.peer, done)
        logprobs = dict(zip((row.session for row in frame.rows), result.logprobs, strict=False))
        for row, step in went:
            if step.token is not None:
                told = logprobs.get(row.session)
                token = Token(step.session, frame.target, step.position, step.token, step.finish, told)
                await self._post.send(row.origin, token)
        for row in frame.rows:
            if row.session in faults:
                await self._drop((row,), held, faults[row.session])

    async def _note_pace(self, held: Installed, took_s: float) -> None:
        """Tell what a decode step of one row costs here, once there are enough of them."""
        steps_ns = self._steps_ns.setdefault(held.target, deque(maxlen=_PACE_STEPS))
        steps_ns.append(round(took_s * 1e9))
        if len(steps_ns) == _PACE_STEPS and held.step_bytes:
            ns_per_mib = (median_low(steps_ns) << 20) // held.step_bytes
            steps_ns.clear()
            # A clock that stood still has measured nothing.
            if ns_per_mib > 0:
                await self._placement.tell(Paced(held.target, ns_per_mib))

    # --- refused and failed

    async def _drop(self, rows: tuple[Row, ...], held: Installed, reason: str) -> None:
        """Sessions cannot go on: they would fail in the same way again, unless a prefix is to blame."""
        for row in rows:
            known = held.sessions.pop(row.session, None)
            opening = row.opening or (known.opening if known else None)
            is_retryable = opening is not None and opening.prefix is not None
            await self.fail((row,), held, reason, is_retryable=is_retryable)

    async def fail(self, rows: tuple[Row, ...], held: Installed, reason: str, *, is_retryable: bool) -> None:
        """Tell origin and head that sessions were not computed, and why."""
        text = f"{self._post.own.name}: {reason}"
        for row in rows:
            failed = Failed(row.session, held.target, self._me, text, is_retryable)
            await self.tell_both(failed, row.origin, held)

    async def _wrong_epoch(self, frame: Activation | Recall | Rebuild, held: Installed | None) -> None:
        # A frame of a plan that is not known here may be of any model.
        models = {each.plan.fingerprint for each in ([held] if held else self._installed.values())}
        active = [
            each.target
            for each in self._installed.values()
            if each.phase is Phase.ACTIVE and each.plan.fingerprint in models
        ]
        own = max(active, default=None) if len(models) == 1 else None
        logger.debug("refused a frame of %s, active is %s", frame.target, own)
        parts = frame.rows if isinstance(frame, Activation) else (frame,)
        for part in parts:
            await self.tell_both(WrongEpoch(part.session, frame.target, own), part.origin, held)

    async def tell_both(self, message: Failed | WrongEpoch, origin: PeerId, held: Installed | None) -> None:
        """Tell a session's origin, and the head of its ring."""
        head = held.plan.ring.head.peer if held else origin
        await self._post.send_each((origin, head), message)


def _stepped(opening: Opening, row: Row, token: int | None, is_whole: bool) -> Stepped:
    """is_whole: the answer's constraint allows nothing more."""
    position = row.position + len(row.tokens)
    finish = _finish(opening, token, position) if token is not None else None
    if is_whole:
        finish = Finish.STOP
    return Stepped(row.session, position, token, finish)


def _finish(opening: Opening, token: int, position: int) -> Finish | None:
    """Whether the answer ends with `token`, which stands at `position` of the sequence."""
    if token in opening.stop_tokens:
        return Finish.STOP
    is_full = position - opening.prompt_tokens + 1 >= opening.max_tokens
    return Finish.LENGTH if is_full else None
