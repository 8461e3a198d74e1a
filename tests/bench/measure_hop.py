"""What a token costs in software on its way through a ring of four, and where that goes.

    python -m tests.bench.measure_hop [--tokens 300] [--rounds 5]

A tiny model, whose compute is little, in four processes; one reader at the head. A hop's software time is the
time between two tokens, less what the stages computed, over four. Below, where a frame is on its way through
a stage, by notes of all peers in a second run; and what parts of it cost when they are repeated in one
process, whose caches are warm then. On fewer cores than processes the system's own switching between them is
in the first figures. Goal: 250 µs.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from meshinfer import wire
from meshinfer.actors.actor import Actor, Mailbox
from meshinfer.messages import Activation, Row, SessionId, StepDone, Stepped, Tensor, Token
from meshinfer.model.compute import ComputeThread
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Frame
from meshinfer.transports.tcp import TcpTransport
from tests.bench.stamped import PARTS, medians_us
from tests.mesh.processes import PeerProcess, json_of, ring
from tests.tiny import make_tiny_model

STAGES = 4
PEER = PeerId("0" * 32)
TARGET = Target(Epoch(1), Digest("d" * 32))
SESSION = SessionId(f"{PEER}-1-1.1")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tiny = make_tiny_model(Path(scratch) / "tiny", layers=STAGES)
        through_ring(tiny, Path(scratch), options.tokens, options.rounds)
        through_stage(tiny, Path(scratch), options.tokens, options.rounds)
    uvloop.run(parts())


def through_ring(tiny: Path, scratch: Path, tokens: int, rounds: int) -> None:
    """Print a token's time in a ring of four processes."""
    with ring(STAGES, tiny, scratch / "ring", is_quiet=True) as peers:
        head = _head_of(peers)
        medians = [_token_us(head, tokens) for _ in range(rounds)]
        time.sleep(1.5)  # what /health tells of the work is a second old
        work = json_of(head.get("/health"))["work"]
    token_us, compute_us = statistics.median(medians), work["compute_us"]
    print(f"a token, ring of {STAGES} processes: {token_us:.0f} µs (best round {min(medians):.0f})")
    print(f"  computed by the stages: {compute_us} µs")
    print(f"  software, a hop: {(token_us - compute_us) / STAGES:.0f} µs (goal 250)")
    print(f"  in the turn that waited least: {(work['turn_us'] - work['compute_us']) / STAGES:.0f} µs")


def through_stage(tiny: Path, scratch: Path, tokens: int, rounds: int) -> None:
    """Print where a frame spends its time between two stages' computing."""
    notes = scratch / "notes"
    notes.mkdir()
    stamped = (sys.executable, "-m", "tests.bench.stamped", str(notes))
    with ring(STAGES, tiny, scratch / "stamped", is_quiet=True, within=stamped) as peers:
        for _ in range(rounds):
            _token_us(_head_of(peers), tokens)
    medians = medians_us(notes)
    parts = [(what, medians[before, after]) for before, after, what in PARTS if what is not None]
    print(f"where a frame is between two stages' computing: {sum(us for _, us in parts):.0f} µs")
    for what, us in parts:
        print(f"  {what:<44}{us:>6.0f} µs")


def _head_of(peers: Sequence[PeerProcess]) -> PeerProcess:
    first = json_of(peers[0].get("/mesh"))["ring"][0]["name"]
    return next(peer for peer in peers if peer.name == first)


def _token_us(head: PeerProcess, tokens: int) -> float:
    """The mean time of a token; a piece of text may stand for several."""
    with head.stream("Once upon a time", tokens, ignore_eos=True) as pieces:
        arrivals = [time.perf_counter() for _ in pieces]
    return (arrivals[-1] - arrivals[1]) / (tokens - 2) * 1e6


async def parts() -> None:
    """Print what the steps of a hop cost one by one."""
    hidden = Tensor("hidden", "float32", (1, 1, 64), memoryview(bytearray(256)))
    row = Row(SESSION, PEER, 3, (4,), None, is_sampled=True)
    step = Activation(TARGET, (row,), 1, (hidden,))
    done = StepDone(TARGET, (Stepped(SESSION, 4, 9, None),), 1, 1)
    print("repeated in one process:")
    for name, message in (
        ("activation", step),
        ("step done", done),
        ("token", Token(SESSION, TARGET, 4, 9, None)),
    ):
        frame = wire.encode(message)
        came = replace(frame, payload=tuple(memoryview(bytearray(view)) for view in frame.payload))
        out_us, in_us = _each_us(partial(wire.encode, message)), _each_us(partial(wire.decode, came))
        print(f"  {name + ' as a frame, and back':<44}{out_us:>6.1f} + {in_us:.1f} µs")
    print(f"  {'from one actor to the next':<44}{await _handover_us():>6.1f} µs")
    print(f"  {'to the compute thread and back':<44}{await _thread_us():>6.1f} µs")
    print(f"  {'over a link on this machine, one way':<44}{await _link_us():>6.1f} µs")


def _each_us(call: Callable[[], object], times: int = 5000) -> float:
    rounds = []
    for _ in range(5):
        began_s = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - began_s) / times * 1e6)
    return statistics.median(rounds)


class _Echo(Actor[int]):
    """Passes each number on, less one, until it is none."""

    def __init__(self, mailbox: Mailbox[int]) -> None:
        super().__init__(mailbox)
        self.other = mailbox
        self.is_done = asyncio.Event()

    async def handle(self, message: int) -> None:
        if message == 0:
            self.is_done.set()
        else:
            await self.other.tell(message - 1)


async def _handover_us(times: int = 20_000) -> float:
    one, other = _Echo(Mailbox("one", 16)), _Echo(Mailbox("other", 16))
    one.other, other.other = other.mailbox, one.mailbox
    tasks = [asyncio.create_task(actor.run()) for actor in (one, other)]
    began_s = time.perf_counter()
    await one.mailbox.tell(times)
    await one.is_done.wait()
    took_s = time.perf_counter() - began_s
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return took_s / times * 1e6


async def _thread_us(times: int = 5000) -> float:
    compute = ComputeThread()
    await compute.run(int)
    began_s = time.perf_counter()
    for _ in range(times):
        await compute.submit(int)
    took_s = time.perf_counter() - began_s
    await compute.close()
    return took_s / times * 1e6


async def _link_us(times: int = 5000) -> float:
    listener = await TcpTransport().listen(Address("tcp://127.0.0.1:0"))
    near = await TcpTransport().dial(listener.address)
    far = await listener.accept()
    frame = Frame(b"h" * 280, (memoryview(bytearray(256)),))
    began_s = time.perf_counter()
    for _ in range(times):
        await near.send(frame)
        came = await far.receive()
        if came.buffer is not None:
            came.buffer.release()
    took_s = time.perf_counter() - began_s
    await asyncio.gather(near.close(), far.close())
    await listener.close()
    return took_s / times * 1e6


if __name__ == "__main__":
    main()
