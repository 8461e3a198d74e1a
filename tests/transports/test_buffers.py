import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.buffers import PooledBuffers


@given(st.integers(0, 5 << 20))
def test_a_buffer_is_exactly_as_long_as_asked_and_writable(size: int) -> None:
    buffers = PooledBuffers()
    buffer = buffers.take(size)
    assert (buffer.view.nbytes, buffer.view.format, buffer.view.readonly) == (size, "B", False)
    buffer.release()
    assert size <= buffers.idle_bytes <= max(size + 1024, size * 5 // 4)


def test_memory_that_came_back_is_lent_again() -> None:
    buffers = PooledBuffers()
    first = buffers.take(5000)
    first.view[:5] = b"trace"
    first.release()
    assert buffers.idle_bytes > 0
    assert bytes(buffers.take(4900).view[:5]) == b"trace"
    assert buffers.idle_bytes == 0


def test_no_more_is_kept_than_allowed() -> None:
    buffers = PooledBuffers(max_idle_bytes=100_000)
    lent = [buffers.take(30_000) for _ in range(10)]
    for buffer in lent:
        buffer.release()
    assert 60_000 <= buffers.idle_bytes <= 100_000


def test_two_buffers_never_share_memory() -> None:
    buffers = PooledBuffers()
    one, other = buffers.take(100), buffers.take(100)
    one.view[:] = b"1" * 100
    other.view[:] = b"2" * 100
    assert bytes(one.view) == b"1" * 100


def test_giving_back_twice_is_an_error() -> None:
    buffer = PooledBuffers().take(10)
    buffer.release()
    with pytest.raises(RuntimeError, match="given back before"):
        buffer.release()
