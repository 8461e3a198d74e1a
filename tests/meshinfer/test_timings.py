from meshinfer.messages import LegTimes, Opening, Row, Sampling, SessionId, Stepped, Times
from meshinfer.timings import MAX_REQUESTS, Timings
from meshinfer.topology.ring import PeerId

A = PeerId("a" * 32)
REQUEST, SESSION = SessionId("s-1"), SessionId("s-1.1")
NOTHING = LegTimes(*[0] * 8)


def opening(prompt_tokens: int) -> Opening:
    return Opening(Sampling(), prompt_tokens, 10, (0,))


def chunk(position: int, tokens: int, session: SessionId = SESSION, of: int | None = None) -> Row:
    ids = tuple(range(tokens))
    return Row(session, A, position, ids, opening(of) if of else None, is_sampled=False)


def step(position: int, session: SessionId = SESSION) -> Row:
    return Row(session, A, position, (7,), None, is_sampled=True)


def test_what_a_stage_computes_is_told_apart_by_prompt_and_answer() -> None:
    timings = Timings()
    timings.computed((chunk(0, 4, of=6),), 0.02, 0.001)
    timings.computed((chunk(4, 1),), 0.01, 0.0)
    # The prompt's last token alone is sampled, and still prompt.
    timings.computed((step(5),), 0.01, -0.5)
    for position, took_s in ((6, 0.003), (7, 0.001), (8, 0.002)):
        timings.computed((step(position),), took_s, 0.004)
    assert timings.times(REQUEST) == Times(
        REQUEST,
        LegTimes(3, 6, 40_000, 1_000, 0, 0, 10_000, 0),
        LegTimes(3, 3, 6_000, 12_000, 0, 0, 2_000, 4_000),
    )
    assert (timings.prefill.tokens, timings.prefill.compute_s.count) == (6, 3)
    assert (timings.decode.tokens, timings.decode.wait_s.count) == (3, 3)


def test_each_session_of_a_lane_waits_for_its_whole_batch() -> None:
    timings, other = Timings(), SessionId("t-1.1")
    timings.computed((step(9), step(3, other)), 0.002, 0.0)
    assert timings.times(REQUEST).decode.compute_us == 2_000
    assert timings.times(SessionId("t-1")).decode.compute_us == 2_000
    assert (timings.decode.tokens, timings.decode.compute_s.count) == (2, 1)


def test_the_head_knows_how_long_frames_were_under_way() -> None:
    timings = Timings()
    timings.departed((chunk(0, 4, of=5),), 1.0)
    timings.departed((step(4),), 1.1)
    timings.came_home((Stepped(SESSION, 4, None, None),), 1.5)
    timings.came_home((Stepped(SESSION, 5, 7, None),), 1.7)
    timings.departed((step(5),), 2.0)
    timings.came_home((Stepped(SESSION, 6, 7, None),), 2.25)
    told = timings.times(REQUEST)
    assert (told.prefill.turns, told.prefill.turn_us) == (2, 1_100_000)
    assert (told.decode.turns, told.decode.turn_us) == (1, 250_000)


def test_what_an_attempt_left_under_way_is_not_taken_for_another_one() -> None:
    timings, again = Timings(), SessionId("s-1.2")
    timings.departed((step(9),), 1.0)
    timings.departed((chunk(0, 4, again, of=9),), 5.0)
    timings.came_home((Stepped(again, 4, None, None), Stepped(SessionId("u-1.1"), 3, 7, None)), 5.5)
    assert timings.times(REQUEST).prefill.turn_us == 500_000
    assert timings.times(REQUEST).decode == NOTHING


def test_the_request_that_was_heard_of_the_longest_ago_is_forgotten() -> None:
    timings = Timings()
    timings.computed((step(9),), 0.002, 0.0)
    for count in range(MAX_REQUESTS - 1):
        timings.computed((step(9, SessionId(f"t-{count}.1")),), 0.002, 0.0)
    timings.computed((step(10),), 0.002, 0.0)
    timings.computed((step(9, SessionId("new.1")),), 0.002, 0.0)
    assert timings.times(REQUEST).decode.frames == 2
    assert timings.times(SessionId("t-0")) == Times(SessionId("t-0"), NOTHING, NOTHING)
