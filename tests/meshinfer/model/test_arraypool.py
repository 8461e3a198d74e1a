from collections.abc import Callable

import numpy as np

from meshinfer.messages import Tensor
from meshinfer.model.arraypool import ArrayPool
from meshinfer.model.runtime import prepare_mlx

prepare_mlx()

import mlx.core as mx  # noqa: E402

from meshinfer.model.tensor import adopt  # noqa: E402


class Posted:
    """A compute thread's queue, worked off by hand."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def __call__(self, function: Callable[[], object]) -> None:
        self.waiting.append(function)

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for function in waiting:
            function()


def is_pooled(view: memoryview) -> bool:
    return isinstance(view.obj, mx.array)


def pool_of(posted: Posted, limit_bytes: int = 1 << 16) -> ArrayPool:
    return ArrayPool(posted, limit_bytes=limit_bytes, smallest_bytes=1024)


def test_a_size_that_was_missed_once_comes_from_an_array_next_time() -> None:
    posted = Posted()
    pool = pool_of(posted)
    first = pool.take(3000)
    assert len(first.view) == 3000
    assert not is_pooled(first.view)
    first.release()
    posted.run()
    second = pool.take(2500)
    assert len(second.view) == 2500
    assert is_pooled(second.view)
    assert not second.view.readonly
    assert pool.made_bytes == 4096


def test_small_payloads_never_ask_for_arrays() -> None:
    posted = Posted()
    buffer = pool_of(posted).take(1023)
    assert not is_pooled(buffer.view)
    assert posted.waiting == []
    assert len(pool_of(posted).take(0).view) == 0


def test_taking_never_makes_arrays_itself() -> None:
    posted = Posted()
    pool = pool_of(posted)
    for _ in range(5):
        assert not is_pooled(pool.take(4096).view)
    assert len(posted.waiting) == 1, "one refill at a time"
    assert pool.made_bytes == 0


def test_an_array_is_lent_to_one_payload_at_a_time_and_again_after_it_came_back() -> None:
    posted = Posted()
    pool = pool_of(posted)
    pool.take(4096)
    posted.run()
    first = pool.take(4096)
    assert not is_pooled(pool.take(4096).view)
    memory = first.view.obj
    first.release()
    first.release()
    posted.waiting.clear()
    again = pool.take(4000)
    assert again.view.obj is memory
    assert not is_pooled(pool.take(4096).view)


def test_the_limit_holds_and_free_arrays_of_other_sizes_make_room() -> None:
    posted = Posted()
    pool = pool_of(posted, limit_bytes=8192)
    for size in (2048, 2048, 4096):
        pool.take(size)
    posted.run()
    assert pool.made_bytes == 8192
    pool.take(8192)
    posted.run()
    assert pool.made_bytes == 8192
    lent = pool.take(8192)
    assert is_pooled(lent.view)
    pool.take(2048)
    posted.run()
    assert not is_pooled(pool.take(2048).view), "what is lent is not taken away"
    assert pool.made_bytes == 8192


def test_a_payload_beyond_the_limit_lands_in_ordinary_memory() -> None:
    posted = Posted()
    assert len(pool_of(posted, limit_bytes=4096).take(5000).view) == 5000
    assert posted.waiting == []


def test_a_closed_pool_lets_go_of_what_comes_back() -> None:
    posted = Posted()
    pool = pool_of(posted)
    pool.take(2048)
    pool.take(2048)
    posted.run()
    lent = pool.take(2048)
    pool.close()
    assert pool.made_bytes == 2048
    lent.release()
    assert pool.made_bytes == 0
    assert not is_pooled(pool.take(2048).view)


def test_what_was_received_is_computed_on_without_a_copy() -> None:
    posted = Posted()
    pool = pool_of(posted)
    pool.take(4096)
    posted.run()
    buffer = pool.take(4096)
    buffer.view[:] = np.arange(1024, dtype="<f4").tobytes()
    found = adopt(Tensor("x", "float32", (1, 1024), buffer.view)) * 2
    assert mx.array_equal(found, 2 * mx.arange(1024)[None].astype(mx.float32)).item()
    buffer.release()
