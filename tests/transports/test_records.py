"""Records come to the other side as they were sent, or not at all, whatever somebody on the way does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.errors import LinkBroken, ProtocolError, Tampered
from meshinfer.transports.records import MOST_RECORDS, SECRET_BYTES, ClearKeys, Opener, Sealer

KEY, OTHER = b"k" * 32, b"o" * 32
Piece = bytes | memoryview


@dataclass
class Pool:
    """Takes what is proved; what is not proved never gets into `came`."""

    room_bytes: int = 4 << 20
    came: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.memory = memoryview(bytearray(self.room_bytes))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.memory

    def buffer_updated(self, nbytes: int) -> None:
        self.came += self.memory[:nbytes]


def pieces() -> st.SearchStrategy[list[Piece]]:
    sizes = st.one_of(st.integers(1, 40), st.sampled_from([65_535, 65_536, 65_537, (1 << 20) + 1]))
    made = st.tuples(sizes, st.booleans(), st.binary(min_size=1, max_size=1)).map(
        lambda each: memoryview(each[2] * each[0]) if each[1] else each[2] * each[0]
    )
    return st.lists(made, min_size=1, max_size=6)


def small() -> st.SearchStrategy[list[Piece]]:
    text = st.binary(min_size=1, max_size=30)
    return st.lists(st.one_of(text, text.map(lambda each: memoryview(each))), min_size=2, max_size=6)


def on_the_way(sent: Iterable[Piece], key: bytes = KEY) -> list[bytes]:
    """The bytes of each record."""
    sealer = Sealer(key)
    parts = [part for piece in sent for part in sealer.records(piece)]
    records: list[bytes] = []
    for part in parts:
        if isinstance(part, memoryview):
            records[-1] += bytes(part)
        else:
            records.append(part)
    return records


def receive(pool: Pool, data: bytes, steps: Sequence[int] = (1 << 30,), key: bytes = KEY) -> bool:
    """Let bytes come in steps of these sizes, over and over; return whether something was found changed."""
    opener, begin, turn = Opener(key, pool), 0, 0
    try:
        while begin < len(data):
            place = opener.wanted()
            here = data[begin : begin + min(place.nbytes, steps[turn % len(steps)])]
            place[: len(here)] = here
            opener.received(len(here))
            begin, turn = begin + len(here), turn + 1
            while opener.open_next():
                pass
    except Tampered:
        return True
    return False


def joined(sent: Iterable[Piece]) -> bytes:
    return b"".join(bytes(piece) for piece in sent)


@given(pieces(), st.lists(st.sampled_from([1, 20, 21, 1000, 70_000, 600_000]), min_size=1, max_size=5))
def test_what_was_sent_comes_however_it_is_cut_on_its_way(sent: list[Piece], steps: list[int]) -> None:
    pool, data = Pool(), b"".join(on_the_way(sent))
    # By ones only where that is soon over.
    assert not receive(pool, data, steps if len(data) < 1000 else [max(each, 1000) for each in steps])
    assert bytes(pool.came) == joined(sent)


@given(small(), st.data())
def test_a_bit_that_flips_anywhere_is_never_handed_on(sent: list[Piece], data: st.DataObject) -> None:
    way = bytearray(b"".join(on_the_way(sent)))
    bit = data.draw(st.integers(0, 8 * len(way) - 1))
    way[bit // 8] ^= 1 << bit % 8
    pool, whole = Pool(), joined(sent)
    receive(pool, bytes(way))
    assert whole.startswith(pool.came)
    assert len(pool.came) < len(whole)


@given(small(), st.data())
def test_a_record_that_is_left_out_repeated_or_moved_is_refused(
    sent: list[Piece], data: st.DataObject
) -> None:
    records = on_the_way(sent)
    at, to = (data.draw(st.integers(0, len(records) - 1)) for _ in range(2))
    match data.draw(st.sampled_from(["leave out", "repeat", "swap"])):
        case "leave out":
            changed = records[:at] + records[at + 1 :]
        case "repeat":
            changed = [*records[: to + 1], records[min(at, to)], *records[to + 1 :]]
        case _:
            changed = list(records)
            changed[at], changed[to] = changed[to], changed[at]
    pool, whole = Pool(), joined(sent)
    is_found = receive(pool, b"".join(changed))
    assert whole.startswith(pool.came)
    # Nobody can know of records that never came; whoever counts frames misses them.
    assert is_found or changed == records[: len(changed)]


@given(small(), st.data())
def test_of_what_was_cut_off_only_whole_records_come(sent: list[Piece], data: st.DataObject) -> None:
    records = on_the_way(sent)
    way = b"".join(records)
    cut = data.draw(st.integers(0, len(way) - 1))
    pool = Pool()
    assert not receive(pool, way[:cut])
    whole = [count for count in range(len(records)) if len(b"".join(records[:count])) <= cut]
    assert bytes(pool.came) == joined(sent[: whole[-1]])


@pytest.mark.parametrize("piece", [b"sealed", memoryview(b"in clear")])
def test_records_of_another_key_are_refused(piece: Piece) -> None:
    pool = Pool()
    assert receive(pool, b"".join(on_the_way([piece], OTHER)))
    assert not pool.came


def test_bytes_are_sealed_and_lent_memory_goes_as_it_lies() -> None:
    lent = memoryview(bytearray(b"payload"))
    made = [part for piece in (b"head", lent) for part in Sealer(KEY).records(piece)]
    assert b"head" not in b"".join(bytes(part) for part in made)
    assert isinstance(made[-1], memoryview)
    assert made[-1].obj is lent.obj


def test_two_equal_pieces_look_different_on_their_way() -> None:
    first, second = on_the_way([b"the same", b"the same"])
    assert first != second


def test_more_in_clear_than_is_awaited_is_refused() -> None:
    with pytest.raises(Tampered, match="11 bytes come in clear where 10 are awaited"):
        open_all(Pool(10), on_the_way([memoryview(b"x" * 11)])[0])


@pytest.mark.parametrize("data", [b"\x01\xff\xff\xff\xff", b"\x02\x00\x00\x00\x00", b"GET / HTTP/1.1"])
def test_what_is_no_record_is_refused_before_memory_is_taken(data: bytes) -> None:
    with pytest.raises(Tampered, match="no peer sends such a one"):
        open_all(Pool(), data)


def open_all(pool: Pool, data: bytes) -> None:
    opener = Opener(KEY, pool)
    opener.take(data)
    while opener.open_next():
        pass


def test_more_than_the_scratch_holds_does_not_come_before_the_link_begins() -> None:
    with pytest.raises(ProtocolError, match="before the link had begun"):
        Opener(KEY, Pool()).take(bytes(1 << 20))


def test_a_key_makes_so_many_records_and_no_more() -> None:
    with pytest.raises(LinkBroken, match="as many as it may"):
        Sealer(KEY, MOST_RECORDS).records(b"one more")


def test_both_sides_come_to_the_same_keys_and_each_direction_has_its_own() -> None:
    ours, theirs = (ClearKeys.agreed(b"a" * 32, b"b" * 32, is_ours=is_ours) for is_ours in (True, False))
    assert (ours.sending, ours.receiving) == (theirs.receiving, theirs.sending)
    assert ours.sending != ours.receiving


def test_either_side_alone_makes_sure_that_keys_are_new() -> None:
    drawn = [(b"a", b"b"), (b"a", b"c"), (b"c", b"b")]
    keys = {ClearKeys.agreed(one * 32, other * 32, is_ours=True).sending for one, other in drawn}
    assert len(keys) == len(drawn)


@pytest.mark.parametrize("secret", [b"", b"s" * (SECRET_BYTES - 1), b"s" * (SECRET_BYTES + 1)])
def test_a_secret_of_another_length_is_refused(secret: bytes) -> None:
    with pytest.raises(ProtocolError, match="32 bytes"):
        ClearKeys.agreed(b"s" * SECRET_BYTES, secret, is_ours=True)


def test_keys_are_not_shown() -> None:
    assert "k" * 8 not in repr(ClearKeys(KEY, OTHER))
