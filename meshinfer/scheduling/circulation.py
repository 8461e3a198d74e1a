"""The sessions that circulate under one plan: what goes into the ring next, and what came out of it.

Prompts go in chunks, side by side and in turns; what decodes goes round in lanes. The caller sends each step
as a frame and tells what came home; times are numbers.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from meshinfer.config import RequestLimits
from meshinfer.messages import Opening, Row, SessionId, StepDone, Submit
from meshinfer.topology.ring import PeerId, Ring

from .lanes import Lanes
from .pacing import Pacing
from .prefixes import Prefixes

_MARK_TOKENS = 1024
"""In prompts of models whose caches cannot be cut, so many tokens lie between two marks, at least."""

_MAX_MARKS = 8


@dataclass(slots=True)
class Running:
    """A session that circulates.

    opening: as its stages get it, with its prefix. tokens: prompt, and answer so far. fed: how many of them
    went into the ring; returned: that came round; away: its frames under way. is_opened: its stages know it.
    is_recalled: what they kept of it is being asked for. fills: caches that are filled still. is_decoding:
    its prompt is done, and it is in a lane. marks: see Row. departed_s: when its last frame went.
    """

    submit: Submit
    opening: Opening
    tokens: list[int]
    fed: int = 0
    returned: int = 0
    away: int = 0
    is_opened: bool = False
    is_recalled: bool = False
    fills: int = 0
    is_decoding: bool = False
    marks: list[int] = field(default_factory=list)
    departed_s: float = 0.0

    @property
    def most_tokens(self) -> int:
        """KV cache that it takes at most."""
        return most_tokens(self.submit)


class Circulation:
    """One ring, as its head sees it. kv_tokens: the room for KV cache of its tightest stage."""

    def __init__(self, ring: Ring, kv_tokens: int, limits: RequestLimits, *, is_trimmable: bool) -> None:
        self.ring = ring
        self.kv_tokens = kv_tokens
        self.running: dict[SessionId, Running] = {}
        self._max_tokens = limits.prefill_chunk_tokens
        self._is_trimmable = is_trimmable
        self._lanes = Lanes()
        self._prefilling: deque[SessionId] = deque()
        self._pacing = Pacing(len(ring.stages), limits.prefill_chunk_tokens, limits.prefill_chunk_s * 1e6)
        self._prefixes = Prefixes(limits.max_prefixes, is_trimmable=is_trimmable)

    @property
    def lanes(self) -> int:
        """How many lanes go round."""
        return len(self._lanes)

    @property
    def retained(self) -> int:
        """Sessions that are over, whose caches wait for others."""
        return len(self._prefixes)

    @property
    def retained_tokens(self) -> int:
        """The KV cache that they take."""
        return self._prefixes.tokens

    @property
    def turn_us(self) -> int:
        """A decode step's way round when it waits for nobody; 0 before the first."""
        return round(self._pacing.turn_us)

    @property
    def compute_us(self) -> int:
        """How much of a turn the stages compute."""
        return round(self._pacing.compute_us)

    @property
    def _taken_tokens(self) -> int:
        return sum(running.most_tokens for running in self.running.values())

    def has_room_for(self, submit: Submit) -> bool:
        """Whether every stage has KV memory for it beside what runs; what is only retained can go."""
        return self._taken_tokens + most_tokens(submit) <= self.kv_tokens

    def resize(self, kv_tokens: int) -> list[SessionId]:
        """The room is another one now; return what must be released where it is less."""
        self.kv_tokens = kv_tokens
        return self._shrink(max(0, kv_tokens - self._taken_tokens))

    # --- beginnings and ends

    def begin(self, submit: Submit) -> tuple[Running, list[SessionId]]:
        """Take a session in, with a prefix where there is one; also return what must be released for it.

        One that comes back is recalled first, and begins without.
        """
        prefix = None if submit.is_resumed else self._prefixes.find(submit.prompt)
        room = self.kv_tokens - self._taken_tokens - most_tokens(submit)
        if prefix is not None and prefix.is_taken:
            self._free(prefix.source)
        gone = self._shrink(room, but=prefix.source if prefix else None)
        if prefix is not None and not prefix.is_taken and self._prefixes.tokens > room:
            self._free(prefix.source)
            prefix = replace(prefix, is_taken=True)
        running = Running(submit, replace(submit.opening, prefix=prefix), list(submit.prompt))
        running.fed = running.returned = prefix.length if prefix else 0
        running.is_recalled = submit.is_resumed
        self.running[submit.session] = running
        if not running.is_recalled:
            self._prefilling.append(submit.session)
        return running, gone

    def recalled(self, running: Running, length: int, fills: int) -> None:
        """What was kept of a session is known: its stages begin with `length` tokens, after some fills."""
        running.is_recalled = False
        running.is_opened = length > 0
        running.fed = running.returned = length
        running.fills = fills
        self._feed_if_whole(running)

    def filled(self, running: Running) -> None:
        """One of the fills is done."""
        running.fills -= 1
        self._feed_if_whole(running)

    def _feed_if_whole(self, running: Running) -> None:
        if running.fills == 0:
            self._prefilling.append(running.submit.session)

    def end(self, session: SessionId) -> tuple[Running | None, list[SessionId]]:
        """Let go of a session; the caller releases it behind its last frame, and what nobody takes now."""
        running = self.running.pop(session, None)
        if running is None:
            return None, []
        self._lanes.leave(session)
        if session in self._prefilling:
            self._prefilling.remove(session)
        prefix = running.opening.prefix
        is_left = prefix is not None and prefix.is_taken and not running.is_opened
        return running, [prefix.source] if prefix is not None and is_left else []

    def retain(self, running: Running) -> tuple[int, list[SessionId]]:
        """Keep the caches of a session that ended well: so many tokens (0: it is not), and what must go.

        Half of the room stays free, for what stages keep of sessions whose ring breaks.
        """
        tokens = running.tokens[: running.fed]
        is_whole = running.is_opened and not running.fills
        if not is_whole or not self._prefixes.is_worth_keeping(len(tokens)):
            return 0, []
        gone = self._without_wanted(self._prefixes.add(running.submit.session, tokens, running.marks))
        gone += self._shrink((self.kv_tokens - self._taken_tokens) // 2)
        is_kept = running.submit.session not in gone
        return len(tokens) * is_kept, [session for session in gone if session != running.submit.session]

    def forget(self, session: SessionId) -> None:
        """A retained session is not what it should be: nobody begins with it any more."""
        self._prefixes.remove(session)
        self._free(session)

    def forget_all(self) -> list[SessionId]:
        """Keep no more of those that are over; return what must be released."""
        return self._shrink(-1)

    def _shrink(self, most_tokens: int, *, but: SessionId | None = None) -> list[SessionId]:
        return self._without_wanted(self._prefixes.shrink(most_tokens, but=but))

    def _without_wanted(self, gone: list[SessionId]) -> list[SessionId]:
        """What goes, but for what somebody is about to begin with: the first of those takes it over."""
        left = []
        for source in gone:
            wanting = self._wanting(source)
            if not wanting:
                left.append(source)
                continue
            first = wanting[0]
            self._free(source, but=first)
            prefix = first.opening.prefix
            assert prefix is not None
            first.opening = replace(first.opening, prefix=replace(prefix, is_taken=True))
        return left

    def _free(self, source: SessionId, *, but: Running | None = None) -> None:
        """Let those who were to begin with copies of a session's caches begin without, and forget it."""
        self._prefixes.remove(source)
        for running in self._wanting(source):
            if running is not but:
                running.opening = replace(running.opening, prefix=None)
                running.fed = running.returned = 0

    def _wanting(self, source: SessionId) -> list[Running]:
        """Who is to begin with a session's caches, and has not yet."""
        return [
            running
            for running in self.running.values()
            if not running.is_opened and (prefix := running.opening.prefix) and prefix.source == source
        ]

    def sessions_of(self, origin: PeerId) -> list[SessionId]:
        """What a peer began here."""
        return [each for each, running in self.running.items() if running.submit.origin == origin]

    # --- steps

    def came_home(self, done: StepDone, now_s: float) -> list[tuple[Running, bool]]:
        """Take in a frame that went round; return whose it was, and whether the session has its end.

        Whatever the tail says: nothing comes home that is not away, no answer is longer than was asked for.
        """
        home: list[tuple[Running, bool]] = []
        for step in done.steps:
            running = self.running.get(step.session)
            if running is None or not running.away:
                continue
            position = min(max(step.position, running.returned), running.fed)
            length = position - running.returned
            turn_us = (now_s - running.departed_s) * 1e6
            running.returned, running.away = position, running.away - 1
            self._lanes.came_home(step.session)
            if step.token is None:
                home.append((running, step.finish is not None))
                self._pacing.chunk_came_home(length, done.slowest_us)
                continue
            if not home and (running.is_decoding or not self._pacing.is_measured):
                self._pacing.lane_came_home(turn_us, done.spent_us, done.slowest_us)
            running.tokens.append(step.token)
            is_over = step.finish is not None or len(running.tokens) >= running.most_tokens
            home.append((running, is_over))
            if is_over:
                self._lanes.leave(step.session)
            elif not running.is_decoding:
                running.is_decoding = True
                self._lanes.join(step.session, self._pacing.lanes)
        return home

    def departures(self, now_s: float) -> Iterator[tuple[Row, ...]]:
        """What goes into the ring now, frame by frame: lanes that are home, and then chunks of prompts."""
        for lane in self._lanes.departures(self._pacing.lanes):
            yield tuple(self._row(self.running[session], 1, now_s) for session in lane)
        yield from self._chunks(now_s)

    def _chunks(self, now_s: float) -> Iterator[tuple[Row, ...]]:
        """Chunks of all prompts in turns, as many as may be under way."""
        away = sum(running.away for running in self.running.values() if not running.is_decoding)
        while self._prefilling:
            running = self.running[self._prefilling[0]]
            before_last = len(running.tokens) - 1
            chunks = self._pacing.chunks(before_last, len(self._lanes))
            if away >= chunks.window:
                return
            # The last token goes alone: so all numbers are those of mlx-lm in one process, to the bit.
            length = min(chunks.tokens, before_last - running.fed) if running.fed < before_last else 1
            away += 1
            yield (self._row(running, length, now_s),)
            if running.fed == len(running.tokens):
                self._prefilling.popleft()
            else:
                self._prefilling.rotate(-1)

    def _row(self, running: Running, length: int, now_s: float) -> Row:
        begin, end = running.fed, running.fed + length
        opening = None if running.is_opened else running.opening
        running.is_opened = True
        running.fed = end
        running.away += 1
        running.departed_s = now_s
        is_marked = self._is_mark(running, end)
        if is_marked:
            running.marks.append(end)
        return Row(
            session=running.submit.session,
            origin=running.submit.origin,
            position=begin,
            tokens=tuple(running.tokens[begin:end]),
            opening=opening,
            is_sampled=end == len(running.tokens),
            is_marked=is_marked,
        )

    def _is_mark(self, running: Running, end: int) -> bool:
        """Whether caches that cannot be cut keep a copy at `end`: before the answer, and now and then."""
        before_last = len(running.submit.prompt) - 1
        if self._is_trimmable or running.is_decoding or end > before_last:
            return False
        since = end - max(running.marks, default=0)
        return end == before_last or (since >= _MARK_TOKENS and len(running.marks) < _MAX_MARKS)


def most_tokens(submit: Submit) -> int:
    """KV cache that a session takes at most: its last token is never fed."""
    return len(submit.prompt) + submit.opening.max_tokens
