"""The frames of one ring in virtual time: stages that compute in order, hops, and the head's real decisions.

No actors and no faults, so it is quick: for how busy stages are, and for how long readers wait. As a command
it prints both:

    python -m tests.simulation.flow
"""

import heapq
import itertools
import statistics
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from meshinfer.config import RequestLimits
from meshinfer.messages import Finish, Opening, Row, Sampling, SessionId, StepDone, Stepped, Submit
from meshinfer.scheduling.circulation import Circulation
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Digest, Epoch, Target

TARGET = Target(Epoch(1), Digest("d" * 32))
ORIGIN = PeerId("0" * 32)


@dataclass(frozen=True, slots=True)
class Speed:
    """A stage's time for a step: step_us, and token_us for each token of each row."""

    step_us: float
    token_us: float

    def time_us(self, rows: tuple[Row, ...]) -> float:
        """How long it computes."""
        return self.step_us + self.token_us * sum(len(row.tokens) for row in rows)


@dataclass(slots=True)
class _Frame:
    rows: tuple[Row, ...]
    spent_us: float = 0.0
    slowest_us: float = 0.0


@dataclass(slots=True)
class _Server:
    speed: Speed
    queue: deque[_Frame] = field(default_factory=deque)
    busy_us: float = 0.0


@dataclass(slots=True)
class _Answer:
    max_tokens: int
    arrivals_us: list[float] = field(default_factory=list)


class Flow:
    """A ring of stages with the given speeds, and hop_us between two of them. Times are in microseconds."""

    def __init__(
        self,
        speeds: list[Speed],
        hop_us: float,
        limits: RequestLimits | None = None,
        kv_tokens: int = 1 << 40,
    ) -> None:
        layers = len(speeds)
        stages = tuple(Stage(PeerId(f"{n + 1:032x}"), Run(1), n, n + 1) for n in range(layers))
        limits = limits or RequestLimits()
        self.circulation = Circulation(Ring(layers, stages), kv_tokens, limits, is_trimmable=True)
        self._hop_us = hop_us
        self._servers = [_Server(speed) for speed in speeds]
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.now_us = 0.0
        self.answers: dict[SessionId, _Answer] = {}
        self.lane_sizes: Counter[int] = Counter()

    def ask(self, name: str, prompt_tokens: int, max_tokens: int, at_us: float = 0.0) -> SessionId:
        """Let a reader come at some time."""
        session = SessionId(name)
        # No two prompts begin alike: nothing is to be saved by prefixes.
        prompt = (len(self.answers) + 1,) * prompt_tokens
        opening = Opening(Sampling(), prompt_tokens, max_tokens, ())
        self.answers[session] = _Answer(max_tokens)
        self._at(at_us, lambda: self._begin(Submit(session, TARGET, ORIGIN, prompt, opening)))
        return session

    def run(self, until_us: float = float("inf")) -> None:
        """Go on until nothing happens any more, or until a time."""
        while self._heap and self._heap[0][0] <= until_us:
            self.now_us, _, call = heapq.heappop(self._heap)
            call()

    def gaps_us(
        self, session: SessionId, since_us: float = 0.0, until_us: float = float("inf")
    ) -> list[float]:
        """The times between two tokens of an answer."""
        arrivals = [at for at in self.answers[session].arrivals_us if since_us <= at <= until_us]
        return [later - earlier for earlier, later in pairwise(arrivals)]

    def busy_us(self, stage: int) -> float:
        """For how long a stage has computed by now."""
        return self._servers[stage].busy_us

    def _at(self, at_us: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (at_us, next(self._numbers), call))

    def _begin(self, submit: Submit) -> None:
        self.circulation.begin(submit)
        self._feed()

    def _feed(self) -> None:
        for rows in self.circulation.departures(self.now_us / 1e6):
            self.lane_sizes[len(rows)] += 1
            self._arrive(0, _Frame(rows))

    def _arrive(self, number: int, frame: _Frame) -> None:
        server = self._servers[number]
        server.queue.append(frame)
        if len(server.queue) == 1:
            self._compute(number)

    def _compute(self, number: int) -> None:
        server = self._servers[number]
        frame = server.queue[0]
        took_us = server.speed.time_us(frame.rows)
        server.busy_us += took_us
        frame.spent_us += took_us
        frame.slowest_us = max(frame.slowest_us, took_us)
        self._at(self.now_us + took_us, lambda: self._leave(number))

    def _leave(self, number: int) -> None:
        server = self._servers[number]
        frame = server.queue.popleft()
        if server.queue:
            self._compute(number)
        if number + 1 < len(self._servers):
            self._at(self.now_us + self._hop_us, lambda: self._arrive(number + 1, frame))
        else:
            self._at(self.now_us + self._hop_us, lambda: self._come_home(frame))

    def _come_home(self, frame: _Frame) -> None:
        steps = tuple(self._stepped(row) for row in frame.rows)
        done = StepDone(TARGET, steps, round(frame.spent_us), round(frame.slowest_us))
        for running, is_over in self.circulation.came_home(done, self.now_us / 1e6):
            if is_over:
                self.circulation.end(running.submit.session)
        self._feed()

    def _stepped(self, row: Row) -> Stepped:
        position = row.position + len(row.tokens)
        if not row.is_sampled:
            return Stepped(row.session, position, None, None)
        answer = self.answers[row.session]
        answer.arrivals_us.append(self.now_us)
        is_over = len(answer.arrivals_us) >= answer.max_tokens
        return Stepped(row.session, position, 7, Finish.LENGTH if is_over else None)


def occupancy(speeds: list[Speed], hop_us: float, readers: int, tokens: int = 400) -> float:
    """The share of time for which the slowest stage computes while `readers` read, once all of them do."""
    flow = Flow(speeds, hop_us)
    for number in range(readers):
        flow.ask(f"r{number}", 8, tokens)
    flow.run(until_us=100 * sum(speed.time_us(()) + hop_us for speed in speeds))
    begin_us, before = flow.now_us, [flow.busy_us(stage) for stage in range(len(speeds))]
    flow.run(until_us=3 * begin_us)
    took_us = flow.now_us - begin_us
    return max((flow.busy_us(stage) - before[stage]) / took_us for stage in range(len(speeds)))


@dataclass(frozen=True, slots=True)
class Stall:
    """What a long prompt does to others: their longest gap over their usual one, and how long it took."""

    ratio: float
    prompt_s: float


def stall(speeds: list[Speed], hop_us: float, readers: int, prompt_tokens: int = 32_768) -> Stall:
    """Let `readers` read, and then a long prompt come."""
    flow = Flow(speeds, hop_us)
    sessions = [flow.ask(f"r{number}", 32, 1 << 20) for number in range(readers)]
    turn_us = sum(speed.time_us(()) + speed.token_us + hop_us for speed in speeds)
    begin_us = (200 + 40 * readers) * turn_us
    long = flow.ask("long", prompt_tokens, 1, at_us=begin_us)
    flow.run(until_us=begin_us)
    usual_us = statistics.median(gap for one in sessions for gap in flow.gaps_us(one, begin_us / 2))
    while not flow.answers[long].arrivals_us:
        flow.run(until_us=flow.now_us + 1e6)
    (end_us,) = flow.answers[long].arrivals_us
    longest_us = max(gap for one in sessions for gap in flow.gaps_us(one, begin_us - 2 * turn_us, end_us))
    return Stall(longest_us / usual_us, (end_us - begin_us) / 1e6)


def main() -> None:
    """Print how busy the slowest stage is, and how long readers wait for a long prompt."""
    print("occupancy of the slowest stage, ring of 8, hops of 1 ms, 16 readers (goal 0.95)")
    for name, speeds in _RINGS.items():
        print(f"  {name:<44}{occupancy(speeds, 1000.0, 16):.3f}")
    print("longest gap of readers beside a prompt of 32,768 tokens, over their usual one (goal 3)")
    for name, speeds in _RINGS.items():
        for readers in (1, 2, 8, 16):
            found = stall(speeds, 1000.0, readers)
            print(
                f"  {name:<44}{readers:>3} readers {found.ratio:>6.2f}   the prompt {found.prompt_s:>7.1f} s"
            )


_RINGS = {
    "8 stages, 10 ms a step, 0.1 ms a token": [Speed(10_000, 100)] * 8,
    "8 stages, 2 ms a step, 0.05 ms a token": [Speed(2_000, 50)] * 8,
    "8 stages, one of them half as fast": [Speed(10_000, 100)] * 3
    + [Speed(20_000, 200)]
    + [Speed(10_000, 100)] * 4,
    "2 stages, 20 ms a step, 0.3 ms a token": [Speed(20_000, 300)] * 2,
    "1 stage, 30 ms a step, 0.5 ms a token": [Speed(30_000, 500)],
    "2 stages, 5 ms a token and nothing else": [Speed(0, 5_000)] * 2,
}


if __name__ == "__main__":
    main()
