"""A peer's record as bytes, as it rides in packets; and which records are small enough for that."""

from functools import lru_cache

from .codec import Malformed, Reader, Writer
from .equipment import MAX_CABLES, MAX_CARRIED, MAX_CARRIERS, MAX_WORDS, Cable, Carrier, Equipment
from .record import (
    MAX_ADDRESSES,
    MAX_FOLLOWS,
    MAX_LINKS,
    MAX_MODELS,
    MAX_ON_DISK,
    MAX_STORED,
    MAX_TEXT,
    MAX_USES,
    NO_KEYS,
    DiskModel,
    Follow,
    KeyWord,
    LinkMeasure,
    ModelUse,
    PeerLoad,
    PeerRecord,
    Phase,
    Resident,
    Version,
)
from .ring import Run
from .target import Digest, Epoch, Target

MAX_GOSSIP_BYTES = 1000
"""A longer record is announced by its version, and pulled over a link."""

_LAYOUT = 5
_PHASES = tuple(Phase)
_MOST_U16 = (1 << 16) - 1
_MOST_U32 = (1 << 32) - 1


@lru_cache(maxsize=2048)
def encode_record(record: PeerRecord) -> bytes:
    """Write a record. Whoever passes it on gets the same bytes.

    Raises:
        ValueError: it holds an id that is none, or a number that no record of ours would.
    """
    out = Writer()
    out.number(_LAYOUT, 1)
    out.id(record.peer)
    out.number(record.run, 8)
    out.number(record.version, 4)
    for text in (record.name, record.release, record.api, record.fault, record.activity):
        out.text(text)
    out.number(record.memory_bytes, 8)
    out.number(record.planner, 2)
    out.number(min(record.ns_per_mib, _MOST_U32), 4)
    out.number(min(record.disk_mb_s, _MOST_U32), 4)
    out.number(min(record.flap_level, 0xFF), 1)
    out.number(
        record.is_eligible
        | record.is_leaving << 1
        | bool(record.started_with) << 2
        | record.is_drained << 3
        | (record.keys != NO_KEYS) << 4,
        1,
    )
    if record.started_with:
        out.id(record.started_with)
    out.number(len(record.addresses), 1)
    for address in record.addresses:
        out.text(address)
    out.number(len(record.models), 1)
    for model in record.models:
        out.id(model)
    out.number(len(record.resident), 1)
    for resident in record.resident:
        out.id(resident.fingerprint)
        out.number(resident.first_layer, 2)
        out.number(resident.end_layer, 2)
    out.number(len(record.links), 1)
    for link in record.links:
        out.id(link.peer)
        out.number(min(link.rtt_us, _MOST_U32), 4)
        out.number(min(link.mb_s, _MOST_U32), 4)
        out.number(link.is_up, 1)
    out.number(len(record.follows), 1)
    for follow in record.follows:
        out.id(follow.fingerprint)
        out.number(follow.target.epoch, 8)
        out.id(follow.target.digest)
        out.number(_PHASES.index(follow.phase), 1)
        out.number(follow.kv_tokens, 8)
        out.number(follow.need_bytes, 8)
    out.number(len(record.on_disk), 1)
    for on_disk in record.on_disk:
        out.text(on_disk.name)
        out.text(on_disk.source)
        out.number(on_disk.size_bytes, 8)
    out.number(len(record.uses), 1)
    for use in record.uses:
        out.id(use.fingerprint)
        out.number(use.used_ms, 6)
        out.number(use.is_busy, 1)
        out.number(min(use.token_us, _MOST_U32), 4)
    out.number(len(record.stored), 1)
    for stored in record.stored:
        out.id(stored.fingerprint)
        out.number(stored.first_layer, 2)
        out.number(stored.end_layer, 2)
    out.number(min(record.load.answers, _MOST_U16), 2)
    out.number(min(record.load.tokens_per_s, _MOST_U32), 4)
    if record.keys != NO_KEYS:
        out.text(record.keys.newest)
        out.text(record.keys.former)
        out.number(record.keys.is_over, 1)
    _write_equipment(out, record.equipment)
    return out.bytes()


@lru_cache(maxsize=2048)
def decode_record(data: bytes) -> PeerRecord:
    """Read a record. Equal bytes give the very same object: what everybody passes on is kept once.

    Raises:
        Malformed: it is none.
    """
    read = Reader(data)
    layout = read.number(1)
    if layout != _LAYOUT:
        raise Malformed(f"a record is of layout {layout}, this release reads {_LAYOUT}")
    try:
        record = _read(read)
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"a record is not valid: {error}") from error
    if not read.is_at_end:
        raise Malformed("a record has bytes behind its end")
    return record


def _read(read: Reader) -> PeerRecord:
    peer, run, version = read.peer(), Run(read.number(8)), Version(read.number(4))
    name, release, api, fault, activity = (read.text(4 * MAX_TEXT) for _ in range(5))
    memory_bytes, planner = read.number(8), read.number(2)
    ns_per_mib, disk_mb_s, flap_level, flags = read.number(4), read.number(4), read.number(1), read.number(1)
    started_with = read.id() if flags & 4 else ""
    return PeerRecord(
        peer=peer,
        run=run,
        version=version,
        name=name,
        release=release,
        api=api,
        fault=fault,
        activity=activity,
        memory_bytes=memory_bytes,
        planner=planner,
        ns_per_mib=ns_per_mib,
        disk_mb_s=disk_mb_s,
        flap_level=flap_level,
        is_eligible=bool(flags & 1),
        is_leaving=bool(flags & 2),
        is_drained=bool(flags & 8),
        started_with=started_with,
        addresses=tuple(read.text(4 * MAX_TEXT) for _ in range(read.count(MAX_ADDRESSES))),
        models=tuple(read.id() for _ in range(read.count(MAX_MODELS))),
        resident=tuple(
            Resident(read.id(), read.number(2), read.number(2)) for _ in range(read.count(MAX_FOLLOWS))
        ),
        links=tuple(
            LinkMeasure(read.peer(), read.number(4), read.number(4), bool(read.number(1)))
            for _ in range(read.count(MAX_LINKS))
        ),
        follows=tuple(_follow(read) for _ in range(read.count(MAX_FOLLOWS))),
        on_disk=tuple(
            DiskModel(read.text(4 * MAX_TEXT), read.text(4 * MAX_TEXT), read.number(8))
            for _ in range(read.count(MAX_ON_DISK))
        ),
        uses=tuple(
            ModelUse(read.id(), read.number(6), bool(read.number(1)), read.number(4))
            for _ in range(read.count(MAX_USES))
        ),
        stored=tuple(
            Resident(read.id(), read.number(2), read.number(2)) for _ in range(read.count(MAX_STORED))
        ),
        load=PeerLoad(read.number(2), read.number(4)),
        keys=_keys(read) if flags & 16 else NO_KEYS,
        equipment=_equipment(read),
    )


def _keys(read: Reader) -> KeyWord:
    return KeyWord(read.text(4 * MAX_TEXT), read.text(4 * MAX_TEXT), bool(read.number(1)))


def _follow(read: Reader) -> Follow:
    fingerprint, epoch, digest = read.id(), Epoch(read.number(8)), Digest(read.id())
    phase = read.count(len(_PHASES) - 1)
    return Follow(fingerprint, Target(epoch, digest), _PHASES[phase], read.number(8), read.number(8))


def _write_equipment(out: Writer, equipment: Equipment) -> None:
    out.text(equipment.rdma)
    out.number(min(equipment.milliwatts, _MOST_U32), 4)
    out.number(len(equipment.carriers), 1)
    for carrier in equipment.carriers:
        out.number(len(carrier.peers), 1)
        for peer in carrier.peers:
            out.id(peer)
        for text in (carrier.interface, carrier.kind, carrier.fabric):
            out.text(text)
    out.number(len(equipment.cables), 1)
    for cable in equipment.cables:
        out.id(cable.domain)
        out.id(cable.far_domain)
        out.number(cable.is_used, 1)


def _equipment(read: Reader) -> Equipment:
    return Equipment(
        rdma=read.text(4 * MAX_WORDS),
        milliwatts=read.number(4),
        carriers=tuple(_carrier(read) for _ in range(read.count(MAX_CARRIERS))),
        cables=tuple(
            Cable(read.id(), read.id(), bool(read.number(1))) for _ in range(read.count(MAX_CABLES))
        ),
    )


def _carrier(read: Reader) -> Carrier:
    peers = tuple(read.peer() for _ in range(read.count(MAX_CARRIED)))
    interface, kind, fabric = (read.text(4 * MAX_WORDS) for _ in range(3))
    return Carrier(peers, interface, kind, fabric)
