"""What ferries say to each other, without mlx; with it they are run by tests/transports/test_fabric.py."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from meshinfer.model.ferry import (
    ROOM_BYTES,
    SLOT_BYTES,
    Ferry,
    FerryError,
    Flag,
    Shore,
    jaccl_environment,
    pack,
    ring_environment,
    unpack,
)
from tests.transports.patience import PATIENCE_S


def test_a_slot_is_taken_apart_as_it_was_packed() -> None:
    slot = memoryview(bytearray(SLOT_BYTES))
    slot[-ROOM_BYTES:][:5] = b"hello"
    pack(slot, 7, 5, 3, Flag.BUSY | Flag.LAST)
    data, follow, flags = unpack(slot, 7)
    assert (bytes(data), follow, flags) == (b"hello", 3, Flag.BUSY | Flag.LAST)


@pytest.mark.parametrize("spoil", ["number", "byte", "length"])
def test_a_slot_that_came_otherwise_than_it_was_sent_is_refused(spoil: str) -> None:
    slot = memoryview(bytearray(SLOT_BYTES))
    pack(slot, 7, 100, 0, Flag(0))
    if spoil == "byte":
        slot[-ROOM_BYTES] ^= 1
    elif spoil == "length":
        slot[8:12] = b"\xff" * 4
    with pytest.raises(FerryError, match="did not come as it was sent"):
        unpack(slot, 8 if spoil == "number" else 7)


def test_jaccl_is_told_the_device_of_each_rank_and_the_ring_both_endpoints(tmp_path: Path) -> None:
    told = jaccl_environment(1, ["rdma_en5", "rdma_en3"], tmp_path)
    assert json.loads(Path(told["MLX_IBV_DEVICES"]).read_text()) == [[None, "rdma_en5"], ["rdma_en3", None]]
    assert told["MLX_RANK"] == "1"
    assert told["MLX_JACCL_COORDINATOR"]
    told = ring_environment(0, ["10.0.0.1:4000", "10.0.0.2:4001"], tmp_path)
    assert json.loads(Path(told["MLX_HOSTFILE"]).read_text()) == [["10.0.0.1:4000"], ["10.0.0.2:4001"]]
    assert told["MLX_RANK"] == "0"


class Crossing:
    """Two carriers in this process."""

    def __init__(self, there: "SimpleQueue[bytes]", here: "SimpleQueue[bytes]") -> None:
        self._there, self._here = there, here

    def put(self, slot: memoryview) -> None:
        self._there.put(bytes(slot))

    def take(self) -> memoryview:
        return memoryview(self._here.get(timeout=PATIENCE_S))


@contextmanager
def shores() -> Iterator[list[Shore]]:
    """Both shores, each saying to the other's ferry what its own says, and whoever leaves is gone."""
    pipes = [os.pipe(), os.pipe()]
    gone = [threading.Event(), threading.Event()]
    with ExitStack() as files:
        readers = [files.enter_context(os.fdopen(end, "rb")) for end, _ in pipes]
        writers = [os.fdopen(end, "wb") for _, end in pipes]
        sides = [Shore(readers[rank], writers[1 - rank], gone[rank].set) for rank in (0, 1)]
        try:
            yield sides
        finally:
            # A reader cannot be closed while a thread waits in it.
            for writer in writers:
                writer.close()
            assert all(each.wait(PATIENCE_S) for each in gone)
        for side in sides:
            side.close()


@pytest.mark.parametrize("linger_s", [0.0, 0.25])
def test_ferries_carry_both_ways_and_wake_each_other_until_one_side_ends(
    linger_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without any they doze as often as they can.
    monkeypatch.setattr("meshinfer.model.ferry._LINGER_S", linger_s)
    monkeypatch.setattr("meshinfer.model.ferry._SHORT_LINGER_S", linger_s)
    slots: list[SimpleQueue[bytes]] = [SimpleQueue(), SimpleQueue()]
    payload = os.urandom(3 * SLOT_BYTES + 17)
    with ExitStack() as sockets, shores() as sides:
        ends, threads = [], []
        for rank, shore in enumerate(sides):
            end, data = (sockets.enter_context(sock) for sock in socket.socketpair())
            end.settimeout(PATIENCE_S)
            ends.append(end)
            ferry = Ferry(Crossing(slots[rank], slots[1 - rank]), rank, data, shore)
            threads.append(threading.Thread(target=ferry.run, daemon=True))
            threads[-1].start()
        for rank in (1, 0, 0, 1, 1, 0) * 3:
            sender = threading.Thread(target=ends[rank].sendall, args=(payload,))
            sender.start()
            with ends[1 - rank].makefile("rb") as reader:
                assert reader.read(len(payload)) == payload
            sender.join()
        ends[1].shutdown(socket.SHUT_WR)
        assert ends[0].recv(1) == b""
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert linger_s or all(side.bell > 3 for side in sides)


def test_what_two_give_is_put_in_the_order_of_their_ranks() -> None:
    given: dict[int, bytes] = {}

    def give(rank: int, shore: Shore) -> None:
        given[rank] = shore.gather(rank, b"%d" % rank)

    with shores() as sides:
        threads = [threading.Thread(target=give, args=each) for each in enumerate(sides)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert given == {0: b"01", 1: b"01"}
