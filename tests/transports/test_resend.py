"""Frames over paths that are lost at any moment: each comes once, in order."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.base import Frame
from meshinfer.transports.errors import ProtocolError
from meshinfer.transports.resend import Incoming, Numbered, Outgoing


def frame(number: int, payload: bytes = b"") -> Frame:
    return Frame(number.to_bytes(4, "big"), (memoryview(payload),) if payload else ())


def sending(count: int, max_kept_bytes: int = 1 << 20) -> Outgoing:
    outgoing = Outgoing(max_waiting=1000, max_kept_bytes=max_kept_bytes)
    for number in range(count):
        outgoing.add(frame(number))
    return outgoing


def send_one(outgoing: Outgoing) -> Numbered | None:
    numbered = outgoing.next()
    if numbered is not None:
        outgoing.sent(numbered.number)
    return numbered


STEPS = st.lists(
    st.sampled_from(["put", "send", "arrive", "arrive late", "acknowledge", "hear", "lose", "move"]),
    max_size=200,
)


@given(STEPS)
def test_whatever_paths_are_lost_each_frame_comes_once_and_in_order(steps: list[str]) -> None:
    """Two paths take turns. What a lost one still delivers comes late, beside what the next one brings."""
    outgoing, incoming = Outgoing(1000, 4000), Incoming()
    under_way: deque[Numbered] = deque()
    leftover: deque[Numbered] = deque()
    told: deque[int] = deque()
    put, came = 0, list[int]()

    def arrive(path: deque[Numbered]) -> None:
        if path:
            numbered = path.popleft()
            if incoming.came(numbered):
                came.append(numbered.number)

    for step in [*steps, "lose", *["send", "arrive", "acknowledge", "hear"] * 400]:
        match step:
            case "put" if not outgoing.is_full:
                outgoing.add(frame(put))
                put += 1
            case "send":
                if (numbered := send_one(outgoing)) is not None:
                    under_way.append(numbered)
            case "arrive":
                arrive(under_way)
            case "arrive late":
                arrive(leftover)
            case "acknowledge":
                told.append(incoming.next)
            case "hear" if told:
                outgoing.acknowledged(told.popleft())
            case "lose":
                # Of what was under way some comes all the same, the rest never.
                leftover, under_way = under_way, deque()
                outgoing.rewind()
            case "move" if outgoing.is_settled:
                leftover, under_way = under_way, deque()
    assert came == list(range(put))
    assert outgoing.next() is None
    assert outgoing.kept_bytes == 0


def test_nothing_more_is_sent_while_too_much_is_unacknowledged() -> None:
    outgoing = sending(3, max_kept_bytes=600)
    assert send_one(outgoing) is not None
    assert send_one(outgoing) is not None
    assert outgoing.next() is None
    outgoing.acknowledged(1)
    assert outgoing.next() == Numbered(2, frame(2))


def test_a_payload_is_lent_until_it_is_acknowledged_and_never_copied() -> None:
    outgoing, payload = sending(0), bytearray(1 << 20)
    outgoing.add(Frame(b"", (memoryview(payload),)))
    assert send_one(outgoing) is not None
    outgoing.rewind()
    again = send_one(outgoing)
    assert again is not None
    assert again.frame.payload[0].obj is payload
    assert outgoing.kept_bytes >= len(payload)
    outgoing.acknowledged(1)
    assert outgoing.kept_bytes == 0


def test_no_more_frames_wait_than_allowed() -> None:
    outgoing, was_full = Outgoing(max_waiting=2, max_kept_bytes=1000), []
    for number in range(2):
        outgoing.add(frame(number))
        was_full.append(outgoing.is_full)
    send_one(outgoing)
    assert [*was_full, outgoing.is_full] == [False, True, False]


def test_what_was_never_sent_cannot_be_acknowledged() -> None:
    with pytest.raises(ProtocolError, match="frames below 3 are acknowledged, of 2 there are"):
        sending(2).acknowledged(3)


def test_a_frame_that_leaves_others_out_breaks_the_rules() -> None:
    with pytest.raises(ProtocolError, match="frame 1 came, and frame 0 never did"):
        Incoming().came(Numbered(1, frame(1)))


def test_what_came_is_owed_an_answer_even_where_it_came_before() -> None:
    incoming = Incoming()
    assert incoming.came(Numbered(0, frame(0, b"x" * 100)))
    assert incoming.owed_bytes > 100
    incoming.told()
    assert not incoming.came(Numbered(0, frame(0)))
    assert (incoming.owed, incoming.owed_bytes, incoming.next) == (1, 0, 1)
