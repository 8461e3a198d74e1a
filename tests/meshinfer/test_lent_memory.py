"""A payload goes from one mlx array to another, over TCP, and nobody copies it on the way."""

import asyncio
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import mlx.core as mx
import psutil
import pytest
import uvloop

from meshinfer import wire
from meshinfer.messages import Activation, Row, SessionId
from meshinfer.model.arraypool import ArrayPool
from meshinfer.model.tensor import adopt, lend
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Link
from meshinfer.transports.tcp import TcpTransport

PEER = PeerId("a" * 32)
PAYLOAD_BYTES = 64 << 20
ROW = Row(SessionId(f"{PEER}-1-1.1"), PEER, 3, (4,), None, is_sampled=True)


def make_now(make: Callable[[], object]) -> None:
    """There is no compute thread here."""
    make()


async def carry(step: Activation, sender: Link, receiver: Link) -> object:
    """Send a step, and make an array of its tensor where it arrives."""
    _, frame = await asyncio.gather(sender.send(wire.encode(step)), receiver.receive())
    decoded = wire.decode(frame)
    assert isinstance(decoded.message, Activation)
    (tensor,) = decoded.message.tensors
    adopted = adopt(tensor)
    mx.eval(adopted)
    assert adopted.shape == step.tensors[0].shape
    assert decoded.buffer is not None
    decoded.buffer.release()
    return tensor.data.obj


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


class HighWater:
    """The most memory that this process has while it is looked at, beyond what it had."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self.most_bytes = self._process.memory_info().rss
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "HighWater":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self.most_bytes -= self._before

    def _look(self) -> None:
        while not self._is_over.wait(0.0005):
            self.most_bytes = max(self.most_bytes, self._process.memory_info().rss)


def test_a_large_payload_is_never_copied(traced: None) -> None:
    async def measure() -> tuple[int, int, object]:
        hidden = mx.ones((1, 8, PAYLOAD_BYTES // 16), mx.bfloat16)
        mx.eval(hidden)
        step = Activation(Target(Epoch(1), Digest("d" * 32)), (ROW,), 1, (lend("hidden", hidden),))
        transport = TcpTransport(buffers=ArrayPool(make_now))
        listener = await transport.listen(Address("tcp://127.0.0.1:0"))
        sender = await transport.dial(listener.address)
        receiver = await listener.accept()
        # The pool makes an array for what it had none for.
        for _ in range(3):
            await carry(step, sender, receiver)
        tracemalloc.reset_peak()
        before_bytes = tracemalloc.get_traced_memory()[0]
        with HighWater() as memory:
            landed = [await carry(step, sender, receiver) for _ in range(4)][-1]
        peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
        await asyncio.gather(sender.close(), receiver.close())
        await listener.close()
        return peak_bytes, memory.most_bytes, landed

    # Python's own memory shows copies in bytes, the process's those in C, uvloop's among them.
    python_bytes, process_bytes, landed = uvloop.run(measure())
    assert isinstance(landed, mx.array)
    assert python_bytes < PAYLOAD_BYTES / 64
    assert process_bytes < PAYLOAD_BYTES / 4
