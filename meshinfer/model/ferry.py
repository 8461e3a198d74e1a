"""Carries bytes to and from one other process by `mx.distributed`; a program of its own, one for each fabric.

    python meshinfer/model/ferry.py --backend ring --rank 0 --host 192.168.1.4 --data 5

A process, since a group of mlx lasts as long as its process, waits without a limit, and may take the process
with it: whoever started this one ends it then, and goes on without.

Turns: the process of rank 0 sends, then that of rank 1, and so on. `jaccl` takes the completions of sends and
receives from one queue, so who waits for what comes cannot send meanwhile; and a second group, for the other
direction, would need more memory regions than a port has. Nor may RDMA over Thunderbolt wait for a receiver,
who in turns is there first. While there is nothing to carry both doze: a wait in mlx takes a whole core.

Slots: all messages have one size, since on RDMA over Thunderbolt a send and its receive must cover as many
frames. Each has a number and a checksum, since mlx does not look whether a transfer went well.

Standard output and input take a line each: `gather HEX` and `bell N` are for the other process, and come from
it; `ready` is for whoever started this one. Run by its path, it imports nothing of meshinfer: that would take
longer than all the rest.
"""

import argparse
import json
import os
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntFlag
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Protocol

SLOT_BYTES = 64 << 10
_HEADER = struct.Struct(">IIIHH")  # number, checksum, length, slots of this turn that follow, flags
ROOM_BYTES = SLOT_BYTES - _HEADER.size

_MOST_SLOTS = 16
"""Of a turn: the other side waits meanwhile."""

_MOST_BACKLOG_BYTES = 4 << 20
"""While more than this waits to be taken here, the other side is asked to send no more."""

_SHORT_BYTES = 256
_SHORT_LINGER_S, _LINGER_S = 0.005, 0.25
"""So long both stay awake after few bytes, as those that ask whether it works, and after others."""

_PAUSE_S = 0.00005
"""Between two turns that have nothing to carry."""

_GRACE_S = 0.5
_GATHER_BYTES = 64


class FerryError(Exception):
    """It cannot go on; the text is the last line of standard error."""


class Flag(IntFlag):
    """What a turn says besides its bytes.

    END: there will be no other one. LAST: both doze after this turn of both. BUSY: this side would rather
    not. FULL: the other side is to send no bytes in its next turn.
    """

    END = 1
    LAST = 2
    BUSY = 4
    FULL = 8


def pack(slot: memoryview, number: int, size_bytes: int, follow: int, flags: Flag) -> None:
    """Write the header of a slot in which `size_bytes` lie already. follow: slots of this turn behind it."""
    checksum = zlib.crc32(slot[_HEADER.size : _HEADER.size + size_bytes])
    _HEADER.pack_into(slot, 0, number, checksum, size_bytes, follow, flags)


def unpack(slot: memoryview, number: int) -> tuple[memoryview, int, Flag]:
    """Take a slot apart: its bytes, how many follow in this turn, and its flags.

    Raises:
        FerryError: it is not the one of this number, or not as it was sent.
    """
    told, checksum, size_bytes, follow, flags = _HEADER.unpack_from(slot)
    data = slot[_HEADER.size : _HEADER.size + size_bytes]
    if told != number or size_bytes > ROOM_BYTES or zlib.crc32(data) != checksum:
        raise FerryError(f"slot {number} did not come as it was sent: it says that it is slot {told}")
    return data, follow, Flag(flags)


class Shore:
    """The process that started this one: says what the other ferry says, and passes on what this one says.

    gone: called in a thread of its own once that process is there no longer.
    """

    def __init__(self, lines: BinaryIO, answers: BinaryIO, gone: Callable[[], None]) -> None:
        self.bell = 0
        self.wake_socket, self._waker = socket.socketpair()
        self._lines = lines
        self._answers = answers
        self._gone = gone
        self._gathered: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, line: str) -> None:
        """Tell something."""
        self._answers.write(line.encode() + b"\n")
        self._answers.flush()

    def gather(self, rank: int, own: bytes) -> bytes:
        """Give the other ferry as many bytes as it gives; return those of both, in the order of ranks.

        Raises:
            FerryError: it gave more or fewer.
        """
        self.say(f"gather {own.hex()}")
        other = self._gathered.get()
        if len(other) != len(own):
            raise FerryError(f"the other side gave {len(other)} bytes where this one gave {len(own)}")
        return own + other if rank == 0 else other + own

    def close(self) -> None:
        """Give back what wakes the ferry; it must have ended."""
        self.wake_socket.close()
        self._waker.close()

    def _listen(self) -> None:
        for line in self._lines:
            match line.split():
                case [b"gather", text]:
                    self._gathered.put(bytes.fromhex(text.decode()))
                case [b"bell", number]:
                    self.bell = int(number)
                    self._waker.send(b"b")
        self._gone()


GatherFactory = Callable[[int, int], Callable[[bytes, int], bytes]]


class Carrier(Protocol):
    """Moves one slot to the other process, or from there; waits as long as it takes."""

    def put(self, slot: memoryview) -> None:
        """Send a slot."""
        ...

    def take(self) -> memoryview:
        """Receive a slot."""
        ...


class Ferry:
    """Takes turns with the other ferry until either side ends.

    data: where bytes come from and go to. END is said once nothing more comes from there; and once the other
    side said it, nothing more goes there.
    """

    def __init__(self, carrier: Carrier, rank: int, data: socket.socket, shore: Shore) -> None:
        self._carrier = carrier
        self._is_first = rank == 0
        self._data = data
        self._shore = shore
        data.setblocking(False)
        self._memory = memoryview(bytearray(_MOST_SLOTS * SLOT_BYTES))
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._sent = self._received = self._awakenings = 0
        self._busy_until_s = 0.0
        self._heard = Flag(0)
        self._is_dry = False

    def run(self) -> None:
        """Carry until the end.

        Raises:
            FerryError, OSError, RuntimeError: something is lost.
        """
        while True:
            self._doze()
            while not (said := self._turn()) & (Flag.LAST | Flag.END):
                pass
            if said & Flag.END:
                break
        self._data.setblocking(True)
        for part in self._backlog:
            self._data.sendall(part)
        self._data.shutdown(socket.SHUT_WR)

    def _doze(self) -> None:
        """Wait for something to carry, here or there, and for the other side to wake as well."""
        is_needed = False
        while self._shore.bell <= self._awakenings and not (is_needed and not self._is_first):
            readable, _, _ = select.select(
                [self._shore.wake_socket, *([] if is_needed else [self._data])],
                [self._data] if self._backlog else [],
                [],
            )
            self._flush()
            if self._shore.wake_socket in readable:
                self._shore.wake_socket.recv(64)
            elif self._data in readable:
                is_needed = True
                if self._is_first:
                    self._shore.say(f"bell {self._awakenings + 1}")
        self._awakenings += 1
        if not self._is_first:
            # Who sends first does so once he hears that this side is about to receive.
            self._shore.say(f"bell {self._awakenings}")
        # The side that woke may have its bytes a moment later.
        self._busy_until_s = time.monotonic() + _SHORT_LINGER_S

    def _turn(self) -> Flag:
        """A turn of both; return what either said about the end of turns."""
        if self._is_first:
            if not self._heard & Flag.BUSY and not self._backlog:
                select.select([self._data], [], [], _PAUSE_S)
            said = self._speak()
            return said if said & Flag.END else said | self._hear()
        heard = self._hear()
        return heard if heard & Flag.END else heard | self._speak()

    def _speak(self) -> Flag:
        sizes_bytes = [] if self._heard & Flag.FULL else self._read()
        flags = Flag(0)
        if self._is_dry and not sizes_bytes:
            flags |= Flag.END
        if self._backlog_bytes > _MOST_BACKLOG_BYTES:
            flags |= Flag.FULL
        if self._backlog or time.monotonic() < self._busy_until_s:
            flags |= Flag.BUSY
        elif self._is_first and not self._heard & Flag.BUSY:
            flags |= Flag.LAST
        sizes_bytes = sizes_bytes or [0]
        for index, size_bytes in enumerate(sizes_bytes):
            slot = self._memory[index * SLOT_BYTES : (index + 1) * SLOT_BYTES]
            pack(slot, self._sent, size_bytes, len(sizes_bytes) - index - 1, flags)
            self._carrier.put(slot)
            self._sent = (self._sent + 1) & 0xFFFFFFFF
        return flags

    def _hear(self) -> Flag:
        follow = 1
        while follow:
            data, follow, self._heard = unpack(self._carrier.take(), self._received)
            self._received = (self._received + 1) & 0xFFFFFFFF
            if data:
                self._backlog.append(memoryview(bytes(data)))
                self._backlog_bytes += len(data)
        self._flush()
        return self._heard

    def _read(self) -> list[int]:
        """Take what lies in `data` into slots; return how many bytes are in each."""
        sizes_bytes: list[int] = []
        while len(sizes_bytes) < _MOST_SLOTS and not self._is_dry:
            begin = len(sizes_bytes) * SLOT_BYTES + _HEADER.size
            try:
                size_bytes = self._data.recv_into(self._memory[begin : begin + ROOM_BYTES])
            except BlockingIOError:
                break
            if size_bytes:
                sizes_bytes.append(size_bytes)
            self._is_dry = not size_bytes
        if sizes_bytes:
            linger_s = _SHORT_LINGER_S if sum(sizes_bytes) <= _SHORT_BYTES else _LINGER_S
            self._busy_until_s = max(self._busy_until_s, time.monotonic() + linger_s)
        return sizes_bytes

    def _flush(self) -> None:
        """Hand on what came, as far as it is taken."""
        while self._backlog:
            part = self._backlog[0]
            try:
                taken = self._data.send(part)
            except BlockingIOError:
                return
            self._backlog_bytes -= taken
            if taken < len(part):
                self._backlog[0] = part[taken:]
            else:
                self._backlog.popleft()


class GroupOfTwo:
    """A carrier over `mx.distributed`. It waits on the CPU: a GPU that waits is reset after some seconds.

    gather: as mlx's `all_gather_factory`.
    """

    def __init__(self, backend: str, rank: int, gather: GatherFactory) -> None:
        # Not before the environment says what group it is to be.
        import mlx.core as mx

        mx.set_default_device(mx.cpu)
        self._mx: Any = mx
        self._other = 1 - rank
        if backend == "jaccl":
            self._group = mx.distributed.init(strict=True, backend=backend, all_gather_factory=gather)
        else:
            self._group = mx.distributed.init(strict=True, backend=backend)

    def put(self, slot: memoryview) -> None:
        """Send a slot."""
        mx = self._mx
        mx.eval(mx.distributed.send(mx.array(slot), self._other, group=self._group, stream=mx.cpu))

    def take(self) -> memoryview:
        """Receive a slot."""
        mx = self._mx
        came = mx.distributed.recv((SLOT_BYTES,), mx.uint8, self._other, group=self._group, stream=mx.cpu)
        mx.eval(came)
        return memoryview(came)


def ring_environment(rank: int, endpoints: Sequence[str], folder: Path) -> dict[str, str]:
    """What mlx's ring wants to know: which process this is, and where each of them listens."""
    path = folder / "hosts.json"
    path.write_text(json.dumps([[endpoint] for endpoint in endpoints]))
    return {"MLX_RANK": str(rank), "MLX_HOSTFILE": str(path)}


def jaccl_environment(rank: int, devices: Sequence[str], folder: Path) -> dict[str, str]:
    """What mlx's jaccl wants to know: which process this is, and by which RDMA device each reaches which.

    devices: that of rank 0, and that of rank 1. A coordinator must be named and is never asked, since this
    process gathers by itself.
    """
    path = folder / "devices.json"
    path.write_text(json.dumps([[None, devices[0]], [devices[1], None]]))
    return {"MLX_RANK": str(rank), "MLX_IBV_DEVICES": str(path), "MLX_JACCL_COORDINATOR": "127.0.0.1:1"}


def _free_endpoint(host: str) -> str:
    with socket.create_server((host, 0)) as listener:
        return f"{host}:{listener.getsockname()[1]}"


def _join(options: argparse.Namespace, shore: Shore) -> GroupOfTwo:
    rank = int(options.rank)
    for name in [name for name in os.environ if name.startswith(("MLX_", "JACCL_"))]:
        del os.environ[name]  # somebody else's group
    with tempfile.TemporaryDirectory(prefix="meshinfer-ferry-") as folder:
        if options.backend == "jaccl":
            os.environ |= jaccl_environment(rank, options.device, Path(folder))
        else:
            both = shore.gather(rank, _free_endpoint(options.host).encode().ljust(_GATHER_BYTES))
            endpoints = [both[:_GATHER_BYTES].decode().strip(), both[_GATHER_BYTES:].decode().strip()]
            os.environ |= ring_environment(rank, endpoints, Path(folder))
        return GroupOfTwo(
            options.backend,
            rank,
            lambda rank, _: lambda own, size_bytes: shore.gather(rank, own[:size_bytes]),
        )


def _leave() -> None:
    """End this process though it may wait in mlx; not before it had time to end by itself."""
    time.sleep(_GRACE_S)
    os._exit(0)


def main() -> None:
    """Join the other process, say so, and carry."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=["ring", "jaccl"], required=True)
    parser.add_argument("--rank", type=int, choices=[0, 1], required=True)
    parser.add_argument("--host", help="for ring: an IPv4 address of this machine that the other one reaches")
    parser.add_argument("--device", action="append", default=[], help="for jaccl: of rank 0, then of rank 1")
    parser.add_argument("--data", type=int, required=True, help="a connected socket: its file descriptor")
    options = parser.parse_args()
    # What mlx prints is no line of this program.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    shore = Shore(sys.stdin.buffer, answers, _leave)
    carrier = _join(options, shore)
    shore.say("ready")
    Ferry(carrier, options.rank, socket.socket(fileno=options.data), shore).run()


if __name__ == "__main__":
    main()
