from dataclasses import replace

from meshinfer.ledger import Entry
from meshinfer.messages import LegTimes, SessionId, Times
from meshinfer.topology.ring import PeerId
from meshinfer.trace import Span, put_together

A, B, C = (PeerId(letter * 32) for letter in "abc")
NAMES = {A: "mac", B: "box"}
SESSION = SessionId("s")
NOTHING = LegTimes(*[0] * 8)
ENTRY = Entry(
    request="mine",
    label=None,
    session=SESSION,
    model="tiny",
    began_s=10.0,
    understood_s=10.5,
    sent_s=10.5,
    admitted_s=11.0,
    first_token_s=12.0,
    last_token_s=14.0,
    over_s=14.0,
    pauses=[(13.0, 13.5)],
    peers=(A, B),
    prompt_tokens=30,
    answer_tokens=9,
    outcome="stop",
)
HEAD = Times(
    SESSION,
    # frames, tokens, compute, wait, turns, turn, step, step_wait
    LegTimes(1, 30, 500_000, 10_000, 1, 900_000, 500_000, 10_000),
    LegTimes(8, 8, 400_000, 8_000, 8, 1_600_000, 50_000, 1_000),
)
TAIL = Times(
    SESSION,
    LegTimes(1, 30, 300_000, 0, 0, 0, 300_000, 0),
    LegTimes(8, 8, 800_000, 16_000, 0, 0, 100_000, 2_000),
)


def test_phases_follow_each_other_on_the_clock_of_the_origin() -> None:
    made = put_together(ENTRY, {}, NAMES, A, 99.0)
    assert [(span.kind, span.start_ms, span.duration_ms) for span in made.spans] == [
        ("tokenise", 0, 500),
        ("queue", 500, 500),
        ("prefill", 1000, 1000),
        ("decode", 2000, 2000),
        ("pause", 3000, 500),
    ]
    assert {(span.peer, span.name, span.phase) for span in made.spans} == {(A, "mac", "")}
    assert (made.duration_ms, made.silent) == (4000, ("mac", "box"))


def test_parts_of_a_phase_are_what_each_peer_told_and_the_rest_is_between_them() -> None:
    made = put_together(ENTRY, {A: HEAD, B: TAIL}, NAMES, A, 99.0)
    assert made.silent == ()
    assert [span for span in made.spans if span.phase == "prefill"] == [
        Span(A, "mac", "compute", "prefill", 1000, 500, 500, 1, 30),
        Span(A, "mac", "wait", "prefill", 1000, 10, 10, 1, 30),
        Span(B, "box", "compute", "prefill", 1000, 300, 300, 1, 30),
        Span(B, "box", "wait", "prefill", 1000, 0, 0, 1, 30),
        Span("", "", "hops", "prefill", 1000, 90, None, 1),
    ]
    decode = {(span.kind, span.name): span for span in made.spans if span.phase == "decode"}
    assert decode["hops", ""] == Span("", "", "hops", "decode", 2000, 376, None, 8)
    assert decode["turns", ""] == Span("", "", "turns", "decode", 2000, 400)
    assert decode["compute", "box"].median_ms == 100


def test_a_request_that_goes_on_is_traced_until_now() -> None:
    going_on = replace(
        ENTRY,
        first_token_s=None,
        last_token_s=None,
        over_s=None,
        outcome="",
        pauses=[(12.0, None)],
        peers=(A, C),
    )
    made = put_together(going_on, {A: HEAD}, NAMES, A, 13.0)
    assert [(span.kind, span.duration_ms) for span in made.spans if not span.phase] == [
        ("tokenise", 500),
        ("queue", 500),
        ("prefill", 2000),
        ("pause", 1000),
    ]
    assert (made.outcome, made.duration_ms, made.silent) == ("", 3000, ("cccccccc",))
    # What the silent one computed is not taken for hops.
    assert {span.kind for span in made.spans if span.phase} == {"compute", "wait"}


def test_without_a_ring_there_are_phases_alone() -> None:
    refused = replace(
        ENTRY, understood_s=None, admitted_s=None, first_token_s=None, over_s=10.25, pauses=[], peers=()
    )
    made = put_together(refused, {}, NAMES, A, 13.0)
    assert [(span.kind, span.duration_ms) for span in made.spans] == [("tokenise", 250)]


def test_a_peer_that_knows_nothing_of_it_has_no_part() -> None:
    made = put_together(ENTRY, {A: HEAD, B: Times(SESSION, NOTHING, NOTHING)}, NAMES, A, 99.0)
    assert {span.name for span in made.spans if span.kind == "compute"} == {"mac"}
