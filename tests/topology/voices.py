"""One membership core under test, and the voices of others that speak to it in packets."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

from meshinfer.topology.claim import NOBODY, Claim
from meshinfer.topology.knobs import MembershipKnobs, lan
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, SendOnLink, SendPacket
from meshinfer.topology.packet import Kind, Packet, Sealer, Unsealed, claim_update, record_update
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.record_codec import encode_record
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.sync import Parcel

MESH = "test"
KEY = b"key"


def peer(index: int) -> PeerId:
    return PeerId(f"{index + 1:032x}")


ME, B, C, D, E = (peer(index) for index in range(5))


def address(index: int) -> str:
    return f"tcp://10.0.0.{index}:1"


def record(index: int, run: int = 1, version: int = 1, **changes: Any) -> PeerRecord:
    own = PeerRecord(
        peer(index), Run(run), Version(version), f"p{index}", "0.1", (address(index),), "", 1 << 30
    )
    return replace(own, **changes)


def claim(index: int, status: Status, incarnation: int = 0, run: int = 1) -> Claim:
    return Claim(peer(index), Run(run), incarnation, status)


def member_of(count: int, knobs: MembershipKnobs | None = None, seed: int = 0) -> Membership:
    """The first of `count` peers that know each other."""
    return Membership(
        record(0),
        knobs or lan(),
        mesh=MESH,
        key=KEY,
        draw=Random(seed).random,
        now_s=0.0,
        known=[record(index) for index in range(1, count)],
    )


_NUMBERS = count(0, 1000)


class Voice:
    """Another peer, as far as it is heard. A later voice of the same peer is no replay of an earlier one."""

    def __init__(self, index: int, run: int = 1) -> None:
        self.peer = peer(index)
        self.address = address(index)
        self.sealer = Sealer(MESH, KEY, self.peer, Run(run))
        self.sealer._number = next(_NUMBERS)

    def gossip(self, *told: Claim | PeerRecord, accuser: PeerId | None = None) -> bytes:
        return self._seal(self.sealer.gossip(), told, accuser or self.peer)

    def ping(self, target: PeerId = ME, run: int = 1, *told: Claim | PeerRecord, probe: int = 7) -> bytes:
        return self._seal(self.sealer.ping(probe, target, Run(run)), told, self.peer)

    def answer(self, kind: Kind, probe: int, *told: Claim | PeerRecord) -> bytes:
        return self._seal(self.sealer.answer(kind, probe), told, self.peer)

    def ask(self, target: int, probe: int = 9, budget_ms: int = 200) -> bytes:
        request = self.sealer.ping_request(probe, peer(target), Run(1), address(target), budget_ms)
        return self._seal(request, (), NOBODY)

    def _seal(self, packet: Unsealed, told: Sequence[Claim | PeerRecord], accuser: PeerId) -> bytes:
        for item in told:
            if isinstance(item, Claim):
                assert packet.add(claim_update(item, accuser))
            else:
                update = record_update(encode_record(item), item.peer, item.run, item.version)
                assert packet.add(update)
        return self.sealer.seal(packet)


_READER = Sealer(MESH, KEY, NOBODY, Run(0))


def packets(effects: Sequence[Effect], *kinds: Kind) -> list[tuple[str, Packet]]:
    """Where datagrams went and what they said; of some kinds only, if any are given."""
    sent = [(e.address, _READER.open(e.data)) for e in effects if isinstance(e, SendPacket)]
    return [(where, packet) for where, packet in sent if not kinds or packet.kind in kinds]


def parcels(effects: Sequence[Effect]) -> list[tuple[PeerId, Packet]]:
    """What went over links as packets."""
    return [
        (e.peer, _READER.open(e.message.packet))
        for e in effects
        if isinstance(e, SendOnLink) and isinstance(e.message, Parcel)
    ]


def wait(core: Membership, until_s: float, answering: Sequence[int] = ()) -> list[Effect]:
    """Let time pass; all that the core says meanwhile.

    Whoever is `answering` answers probes, as target and as relay.
    """
    said: list[Effect] = []
    voices = {address(index): Voice(index) for index in answering}
    # What is due already is done now: time does not run backwards.
    while (now_s := max(core.wake_s, core._clock_s)) <= until_s:
        batch = core.tick(now_s)
        said += batch
        for where, packet in packets(batch, Kind.PING, Kind.PING_REQUEST):
            if voice := voices.get(where):
                is_heard = packet.target in {other.peer for other in voices.values()}
                answer = voice.answer(Kind.ACK if is_heard else Kind.NACK, packet.probe)
                said += core.packet(where, answer, now_s)
    return said


def status(core: Membership, index: int) -> Status | None:
    held = core.claim(peer(index))
    return held.status if held else None
