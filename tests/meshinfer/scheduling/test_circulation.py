"""The head's decisions, driven by a ring that does nothing but bring frames home."""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.config import RequestLimits
from meshinfer.messages import MAX_TOKEN, Finish, Opening, Row, Sampling, SessionId, StepDone, Stepped, Submit
from meshinfer.scheduling.circulation import Circulation
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Digest, Epoch, Target

TARGET = Target(Epoch(1), Digest("d" * 32))
ORIGIN, OTHER = PeerId("a" * 32), PeerId("b" * 32)
RING = Ring(2, (Stage(ORIGIN, Run(1), 0, 1), Stage(OTHER, Run(1), 1, 2)))
LIMITS = RequestLimits(prefill_chunk_tokens=8, max_prefixes=4)


def submit(name: str, prompt: tuple[int, ...], max_tokens: int = 4, origin: PeerId = ORIGIN) -> Submit:
    opening = Opening(Sampling(), len(prompt), max_tokens, ())
    return Submit(SessionId(name), TARGET, origin, prompt, opening)


@dataclass
class Loop:
    """Brings frames home in their order, and checks what stages would refuse. lengths: of their caches."""

    circulation: Circulation
    now_s: float = 0.0
    under_way: deque[tuple[Row, ...]] = field(default_factory=deque)
    lengths: dict[SessionId, int] = field(default_factory=dict)
    retained: dict[SessionId, int] = field(default_factory=dict)
    answers: dict[SessionId, int] = field(default_factory=dict)
    frames: list[tuple[Row, ...]] = field(default_factory=list)

    def begin(self, wanted: Submit) -> None:
        _, gone = self.circulation.begin(wanted)
        self.release(gone)
        self.check()
        self.feed()

    def release(self, sessions: list[SessionId]) -> None:
        for session in sessions:
            del self.retained[session]

    def check(self) -> None:
        """Nothing is forgotten at the head that stages keep, but for what somebody is about to take."""
        wanted = {
            prefix.source
            for running in self.circulation.running.values()
            if not running.is_opened and (prefix := running.opening.prefix) and prefix.is_taken
        }
        kept = {session: length for session, length in self.retained.items() if session not in wanted}
        taken = sum(running.most_tokens for running in self.circulation.running.values())
        assert self.circulation.retained_tokens == sum(kept.values())
        assert taken + sum(kept.values()) <= self.circulation.kv_tokens

    def feed(self) -> None:
        for rows in self.circulation.departures(self.now_s):
            self.frames.append(rows)
            self.under_way.append(rows)
            for row in rows:
                if row.opening is not None:
                    assert row.session not in self.lengths
                    prefix = row.opening.prefix
                    self.lengths[row.session] = prefix.length if prefix else 0
                    if prefix is not None:
                        assert prefix.length <= self.retained[prefix.source]
                        if prefix.is_taken:
                            del self.retained[prefix.source]
                assert row.position == self.lengths[row.session]
                self.lengths[row.session] += len(row.tokens)

    def step(self) -> None:
        """Bring the oldest frame home."""
        self.now_s += 0.01
        rows = self.under_way.popleft()
        steps = []
        for row in rows:
            running = self.circulation.running.get(row.session)
            token: int | None = 7 if row.is_sampled else None
            finish: Finish | None = None
            if token is not None:
                self.answers[row.session] = self.answers.get(row.session, 0) + 1
                if running is not None and self.answers[row.session] == running.opening.max_tokens:
                    finish = Finish.LENGTH
            steps.append(Stepped(row.session, row.position + len(row.tokens), token, finish))
        home = self.circulation.came_home(StepDone(TARGET, tuple(steps), 20_000, 10_000), self.now_s)
        self.feed()
        for running, is_over in home:
            if is_over:
                self.end(running.submit.session, is_well=True)

    def end(self, session: SessionId, *, is_well: bool) -> None:
        running, gone = self.circulation.end(session)
        tokens = 0
        if running is not None and is_well:
            tokens, more = self.circulation.retain(running)
            gone += more
        self.release(gone)
        if tokens:
            assert tokens == self.lengths[session]
            self.retained[session] = tokens
        self.lengths.pop(session, None)
        self.check()
        self.feed()

    def run(self) -> None:
        while self.under_way:
            self.step()


def loop(kv_tokens: int = 10_000, *, is_trimmable: bool = True) -> Loop:
    return Loop(Circulation(RING, kv_tokens, LIMITS, is_trimmable=is_trimmable))


def test_readers_go_round_in_lanes_of_about_the_same_size() -> None:
    ring = loop()
    for number in range(6):
        ring.begin(submit(f"s{number}", (number, 1), max_tokens=20))
    ring.run()
    assert max(len(rows) for rows in ring.frames) == 3
    assert set(ring.answers.values()) == {20}


def test_prompts_take_turns() -> None:
    ring = loop()
    ring.begin(submit("long", tuple(range(100))))
    ring.begin(submit("short", (1, 2, 3)))
    ring.run()
    order = [rows[0].session for rows in ring.frames]
    assert order.index(SessionId("short")) < 5


def test_a_conversation_goes_on_where_it_was() -> None:
    ring = loop()
    prompt = tuple(range(30))
    ring.begin(submit("one", prompt))
    ring.run()
    # The fourth token of the answer was never fed.
    assert ring.retained == {"one": 33}
    ring.begin(submit("two", (*prompt, 7, 7, 7, 7, 50, 51)))
    assert ring.lengths[SessionId("two")] == 36
    assert ring.retained == {}
    ring.run()
    assert ring.retained == {"two": 39}


def test_what_is_retained_goes_when_its_room_is_needed_and_takes_no_more_than_half() -> None:
    ring = loop(kv_tokens=100)
    for number in range(3):
        ring.begin(submit(f"s{number}", tuple(range(100 * number, 100 * number + 17))))
        ring.run()
    assert list(ring.retained) == ["s1", "s2"]
    assert ring.circulation.retained_tokens == sum(ring.retained.values()) == 40
    assert ring.circulation.has_room_for(submit("big", tuple(range(1000, 1096))))
    ring.begin(submit("big", tuple(range(1000, 1096))))
    assert ring.retained == {}


def test_caches_that_cannot_be_cut_are_marked_before_the_answer() -> None:
    ring = loop(is_trimmable=False)
    ring.begin(submit("s", tuple(range(20))))
    ring.run()
    marked = [row.position + len(row.tokens) for (row,) in ring.frames if row.is_marked]
    assert marked == [19]
    ring.begin(submit("t", (*range(19), 99, 98)))
    (row,) = next(rows for rows in ring.frames if rows[0].session == "t")
    assert row.opening is not None
    assert row.opening.prefix is not None
    assert (row.opening.prefix.source, row.position) == ("s", 19)


SAID = st.builds(
    Stepped,
    st.sampled_from([SessionId(name) for name in "abc"]),
    st.integers(-(1 << 62), 1 << 62),
    st.none() | st.integers(0, MAX_TOKEN),
    st.sampled_from([None, *Finish]),
)


@given(st.lists(st.lists(SAID, min_size=1, max_size=3), max_size=40))
def test_whatever_a_tail_says_no_answer_is_longer_than_was_asked_for(said: list[list[Stepped]]) -> None:
    circulation = Circulation(RING, 100, LIMITS, is_trimmable=True)
    for name in "abc":
        circulation.begin(submit(name, (1, 2, 3)))
    for steps in said:
        list(circulation.departures(0.0))
        for running, is_over in circulation.came_home(StepDone(TARGET, tuple(steps), 2, 1), 1.0):
            assert len(running.tokens) <= running.most_tokens
            assert running.returned <= running.fed
            if is_over:
                circulation.end(running.submit.session)
                circulation.retain(running)


def test_a_session_that_is_cancelled_on_its_way_leaves_its_lane() -> None:
    ring = loop()
    for number in range(4):
        ring.begin(submit(f"s{number}", (number, 1), max_tokens=50))
    for _ in range(30):
        ring.step()
    ring.end(SessionId("s1"), is_well=False)
    before = len(ring.frames)
    ring.run()
    assert all(row.session != "s1" for rows in ring.frames[before:] for row in rows)


def test_a_session_that_was_cancelled_before_its_first_frame_leaves_nothing_behind() -> None:
    ring = loop()
    ring.begin(submit("first", tuple(range(30))))
    ring.run()
    for number in range(8):
        ring.begin(submit(f"s{number}", (*range(30), 90 + number, 1)))
    late = SessionId("s7")
    assert not ring.circulation.running[late].is_opened
    ring.end(late, is_well=True)
    assert late not in ring.retained
    ring.run()


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 40), st.integers(1, 8)),
        st.tuples(st.just("step"), st.integers(1, 6), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 30), st.integers(0, 1)),
    ),
    max_size=60,
)


@given(HAPPENINGS, st.booleans(), st.integers(60, 400))
def test_whatever_comes_and_goes_stages_refuse_nothing_and_memory_is_kept_to(
    happenings: list[tuple[str, int, int]], is_trimmable: bool, kv_tokens: int
) -> None:
    ring = loop(kv_tokens, is_trimmable=is_trimmable)
    count = 0
    for kind, one, other in happenings:
        if kind == "begin":
            # They have much in common at their start.
            wanted = submit(f"s{count}", (*range(one), other), max_tokens=other)
            if ring.circulation.has_room_for(wanted):
                ring.begin(wanted)
                count += 1
        elif kind == "step":
            for _ in range(min(one, len(ring.under_way))):
                ring.step()
        else:
            ring.end(SessionId(f"s{one}"), is_well=bool(other))
        ring.check()
    ring.run()
    assert not ring.circulation.running
