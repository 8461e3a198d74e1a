"""A member that breaks every rule it can, beside a real peer whose reader gets the answer all the same."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from meshinfer import Peer, PeerConfig, freight, wire
from meshinfer import messages as m
from meshinfer.belonging import belong
from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.security import MeshSecurity
from meshinfer.release import RELEASE
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Frame, LinkLimits
from meshinfer.transports.buffers import PooledBuffers
from meshinfer.transports.errors import LinkError
from meshinfer.transports.registry import transport_for
from tests.meshinfer.actors.member import ScriptedMember
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

T = TypeVar("T")

OTHER = PeerId("f" * 32)
MESH = "mesh"
PROMPT = "Hello world, this"
FOREIGN = Target(Epoch(99), Digest("d" * 32))
OPENING = m.Opening(m.Sampling(), 3, 1 << 40, ())
PAYLOAD = m.Tensor("hidden", "float32", (4,), memoryview(bytes(16)))


def offences(peer: PeerId, bad: PeerId, target: Target) -> Iterator[wire.Message | Frame]:
    """What `bad` may say to `peer`, which serves a ring under `target`."""
    session = m.SessionId(f"{peer}-1-1.1")
    hello = m.Hello(OTHER, 1, "other", "mesh", RELEASE, "tcp://10.0.0.9:1")
    row = m.Row(session, peer, 0, (1 << 40,), OPENING, is_sampled=True)
    # Frames that are no messages.
    yield Frame(b"")
    yield Frame(b"\x93\xa1\xff\x80\x90")
    yield Frame(msgspec.msgpack.encode([999, {}, []]))
    yield Frame(wire.encode(m.AskTimes(session)).head, (memoryview(bytes(4096)),))
    # In the name of others, and over others that are not there.
    yield m.Relayed(peer, hello, 3, b"garbage", (PAYLOAD,))
    yield m.Relayed(peer, replace(hello, peer=peer), 3, wire.encode(m.Cancel(session, target)).head)
    yield m.Relayed(OTHER, hello, 3, b"", ())
    # About sessions of others.
    yield m.Token(session, target, 5, 7, None)
    yield m.StepDone(target, (m.Stepped(session, 1 << 50, 7, None),), -5, -5)
    yield m.Cancel(session, target)
    yield m.Release(session, target)
    yield m.Failed(session, target, peer, "x" * 10_000, is_retryable=False)
    yield m.Recalled(session, target, (m.Holding(peer, -5, 1 << 40, -1, True, 1 << 60),))
    yield m.Rebuilt(session, target)
    yield m.WrongEpoch(session, target, FOREIGN)
    yield m.Refused(session, target, "no", True)
    # What nobody can compute.
    yield m.Submit(session, target, peer, (1, 2, 3), OPENING)
    yield m.Submit(m.SessionId("a.1"), target, bad, (1,) * 100_000, OPENING)
    submit = m.Submit(m.SessionId("b.1"), target, bad, (1, 2), replace(OPENING, max_tokens=4))
    for prompt in ((-1, 2), (1, 1 << 60), (1, 1 << 63), (1, (1 << 64) - 1)):
        yield forged(submit, prompt=prompt)
    for field in ("max_tokens", "prompt_tokens", "answered_tokens"):
        yield replace(submit, opening=forged(OPENING, **{field: -(1 << 60)}))
    yield replace(submit, session=m.SessionId(""))
    yield m.Activation(target, (row,), 1 << 40, (PAYLOAD,))
    yield m.Activation(FOREIGN, (row,), -1, (PAYLOAD,) * 16, until_layer=-1)
    yield m.Recall(session, target, peer)
    yield m.Rebuild(session, target, peer, (1,), OPENING, (m.Fill(0, 1 << 40, peer),))
    # About the mesh.
    lie = PeerRecord(bad, Run(1), Version(9), "bad", RELEASE, ("tcp://10.0.0.9:1", "no address"), "", 1 << 62)
    yield SyncDelta(records=(lie, replace(lie, peer=PeerId("../../etc"), name="x" * 512)))
    yield SyncDelta(lines=tuple((f"{n:032x}", 1, 0, 0, 1, 9) for n in range(2000)))
    yield SyncDigest(tuple((f"{n:032x}", 1 << 62, 0, 3, 1, 9) for n in range(100)), ())
    yield SyncDelta(wanted=(peer, OTHER) * 1000, wanted_plans=(FOREIGN,) * 1000)
    yield SyncDelta(desired=tuple(_desired(bad, number) for number in range(500)))
    yield Parcel(b"\x00" * 2048)
    # About files.
    yield freight.AskBlueprint("../../etc/passwd", 1 << 60)
    yield freight.AskHeld("f" * 32, ("../../etc/passwd",) * 1024)
    yield freight.AskPiece("f" * 32, "/etc/passwd", 0, 1 << 20)
    yield freight.BlueprintPart("f" * 32, 0, 1 << 60, (replace(PAYLOAD, dtype="uint8", shape=(16,)),))
    yield freight.Held("f" * 32, ("a",), ("0" * 64,))
    yield freight.PieceOf("f" * 32, "a", -1, (PAYLOAD,))
    yield m.AskTimes(session)


def forged(said: T, **fields: object) -> T:
    """The same with fields that it would not take: who lies has no such scruples."""
    made = copy(said)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def _desired(bad: PeerId, number: int) -> DesiredModel:
    # Taken back already, or the peer would have to see whether it has their files.
    return DesiredModel(1, number, bad, f"../{number}", "dir:/etc", "e" * 32, -1, is_wanted=False)


async def say(peer: Peer, secret: PeerSecret, keyring: Keyring, told: wire.Message | Frame) -> None:
    """As a member, say something until it was heard: a question behind it is answered, or the link ends."""
    address = Address(peer.address)
    transport = transport_for(address, LinkLimits(), PooledBuffers(), MeshSecurity(secret, keyring))
    who = m.Hello(secret.peer, 1, "bad", MESH, RELEASE, "tcp://127.0.0.1:1")
    member = await ScriptedMember.linked(transport, address, who)
    try:
        await member.say(told)
        await member.say(m.AskTimes(m.SessionId("behind")))
        async with asyncio.timeout(60):
            while not isinstance(await member.hear(), m.Times | m.Farewell):
                pass
    except LinkError:
        pass
    await member.link.close()


async def answer(peer: Peer) -> str:
    async with asyncio.timeout(60):
        return "".join([piece.text async for piece in peer.generate(PROMPT, max_tokens=8)])


async def test_whatever_a_member_says_readers_get_their_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=2)
    config = PeerConfig(
        model=str(tiny),
        mesh=MESH,
        is_mdns_on=False,
        cache_dir=tmp_path / "cache",
        config_dir=tmp_path / "config",
        memory_bytes=100_000_000,
    )
    caplog.set_level(logging.WARNING, "meshinfer")
    expected = greedy_text(tiny, PROMPT, 8)
    async with Peer(config) as peer:
        async with asyncio.timeout(60):
            await peer.until_live()
        plan = peer.snapshot().mesh.plan
        assert plan is not None
        keyring = belong(config).keyring
        assert keyring is not None
        count = len(list(offences(peer.snapshot().peer, OTHER, plan.target)))
        for number in range(count):
            # Each by another one, or they would be cut off before they have said it all.
            bad = PeerSecret(number.to_bytes(32))
            told = list(offences(peer.snapshot().peer, bad.peer, plan.target))[number]
            await say(peer, bad, keyring, told)
            if number % 5 == 0:
                assert await answer(peer) == expected
        assert await answer(peer) == expected
        counts = Counter[str]()
        for (_, offence), times in peer.numbers.offences.items():
            counts[offence] += times
        assert peer.snapshot().mesh.is_live
    assert counts["protocol"] >= 4
    assert counts["foreign"] >= 5
    assert not [record.getMessage() for record in caplog.records if "started anew" in record.getMessage()]
