import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.codec import Malformed, Reader, Writer


def written(*calls: tuple[str, object]) -> bytes:
    out = Writer()
    for name, value in calls:
        getattr(out, name)(value)
    return out.bytes()


@given(st.integers(1, 8).flatmap(lambda width: st.tuples(st.just(width), st.integers(0, 256**width - 1))))
def test_a_number_comes_back(case: tuple[int, int]) -> None:
    width, value = case
    out = Writer()
    out.number(value, width)
    assert len(out.bytes()) == width
    assert Reader(out.bytes()).number(width) == value


@pytest.mark.parametrize(("value", "width"), [(-1, 1), (256, 1), (1 << 64, 8)])
def test_a_number_that_does_not_fit_is_refused(value: int, width: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Writer().number(value, width)


@given(st.binary(min_size=16, max_size=16))
def test_an_id_comes_back(raw: bytes) -> None:
    assert Reader(written(("id", raw.hex()))).id() == raw.hex()


@pytest.mark.parametrize("value", ["", "a" * 30, "a" * 34, "A" * 32, "aa " * 16, "g" * 32])
def test_what_would_come_back_as_another_id_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"id|hex"):
        Writer().id(value)


@given(st.text(max_size=50))
def test_a_text_comes_back(value: str) -> None:
    assert Reader(written(("text", value))).text(most=200) == value


def test_a_text_that_is_no_utf_8_is_malformed() -> None:
    with pytest.raises(Malformed, match="no UTF-8"):
        Reader(written(("blob", b"\xff\xfe"))).text(most=10)


def test_a_blob_of_64_kib_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Writer().blob(bytes(1 << 16))


def test_what_is_announced_is_never_read_past_what_is_allowed() -> None:
    with pytest.raises(Malformed, match="11 bytes are announced where 10 are allowed"):
        Reader(written(("blob", bytes(11)))).blob(most=10)
    with pytest.raises(Malformed, match="9 are announced where 8 are allowed"):
        Reader(b"\x09").count(most=8)


def test_what_is_announced_and_missing_is_malformed() -> None:
    with pytest.raises(Malformed, match="4 bytes are announced at 1, 2 are left"):
        Reader(b"abc", 1).number(4)


def test_the_end_is_known() -> None:
    read = Reader(b"ab")
    assert not read.is_at_end
    read.raw(2)
    assert read.is_at_end
