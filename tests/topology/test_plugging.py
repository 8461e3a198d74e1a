from dataclasses import replace

from meshinfer.topology.equipment import Cable, Carrier, Equipment
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plugging import idle_cables
from meshinfer.topology.record import LinkMeasure, PeerRecord
from meshinfer.topology.ring import PeerId
from meshinfer.topology.snapshot import picture
from tests.topology.voices import ME, B, record

X, Y, Z = "a" * 32, "b" * 32, "c" * 32
HERE = Equipment(carriers=(Carrier((B,), "en0"),), cables=(Cable(X, Y, is_used=False),))
THERE = Equipment(carriers=(Carrier((ME,), "en0"),), cables=(Cable(Y, X, is_used=False),))


def idle(*records: PeerRecord, status: Status = Status.ALIVE) -> list[tuple[PeerId, PeerId]]:
    members = [Member(each, status) for each in records]
    return [(a.peer, b.peer) for a, b in idle_cables(picture("home", [], members, "").members)]


def told(here: Equipment, there: Equipment) -> list[tuple[PeerId, PeerId]]:
    return idle(record(0, equipment=here), record(1, equipment=there))


def test_a_cable_that_both_ends_name_and_no_link_uses_is_idle() -> None:
    assert told(HERE, THERE) == [(ME, B)]


def test_one_that_a_link_of_either_end_uses_is_not() -> None:
    used = replace(THERE, cables=(Cable(Y, X, is_used=True),))
    assert told(HERE, used) == told(used, HERE) == []


def test_of_two_cables_one_that_works_is_enough() -> None:
    two = (replace(HERE.cables[0], is_used=True), Cable(Z, Y, is_used=False))
    both = (*THERE.cables, Cable(Y, Z, is_used=False))
    assert told(replace(HERE, cables=two), replace(THERE, cables=both)) == []


def test_what_one_end_alone_tells_of_may_have_been_pulled() -> None:
    assert told(HERE, replace(THERE, cables=())) == []
    assert told(HERE, replace(THERE, cables=(Cable(Y, Z, is_used=False),))) == []


def test_two_that_need_no_link_may_do_without() -> None:
    silent = [replace(each, carriers=()) for each in (HERE, THERE)]
    assert told(*silent) == []
    down = record(0, equipment=silent[0], links=(LinkMeasure(B, 0, is_up=False),))
    assert idle(down, record(1, equipment=silent[1])) == [(ME, B)]


def test_nothing_is_said_of_who_is_gone() -> None:
    records = record(0, equipment=HERE), record(1, equipment=THERE)
    assert idle(*records, status=Status.DEAD) == []
