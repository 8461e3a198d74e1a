import itertools
from collections.abc import Sequence

from meshinfer.actors.cables import Cables
from meshinfer.transports.base import Address
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.path import Ends, Path
from meshinfer.transports.trunk import TrunkLimits
from tests.meshinfer.actors.mailbag import A, B

ETH = Interface("eth0", 2, ("10.0.0.1",), networks=("10.0.0.1/24",))
TB = Interface("tb1", 3, ("10.0.1.1", "fe80::1%tb1"), networks=("10.0.1.1/24", "fe80::1%tb1/64"))
NEAR, FAR, LOCAL = (Address(f"tcp://{host}:1") for host in ("10.0.0.7", "10.0.1.7", "[fe80::7%tb1]"))


def cables(*recorded: Address) -> Cables:
    made = Cables(TrunkLimits(retry_s=2.0))
    made.changed((ETH, TB))
    made.recorded({A: recorded})
    return made


def path(*hosts: str, scheme: str = "tcp", interface: str = "") -> Path:
    made = Path.__new__(Path)
    made.ends, made.interface = Ends(frozenset(hosts), scheme), interface
    return made


def untried(known: Cables, now_s: float = 0.0, paths: Sequence[Path] = ()) -> list[Address]:
    return [way.address for way in known.untried(A, paths, now_s)]


def test_all_addresses_of_a_peer_are_tried_those_seen_here_too() -> None:
    known = cables(NEAR, FAR)
    known.sighted(A, [LOCAL])
    assert sorted(untried(known)) == sorted([NEAR, FAR, LOCAL])
    assert known.untried(B, (), 0.0) == []


def test_a_way_by_which_a_path_leads_is_not_tried() -> None:
    assert untried(cables(NEAR, FAR), paths=[path("10.0.0.1", "10.0.0.7")]) == [FAR]


def test_a_way_by_which_a_clear_path_alone_leads_is_tried() -> None:
    assert untried(cables(NEAR), paths=[path("10.0.0.1", "10.0.0.7", scheme="clear")]) == [NEAR]


def test_the_ways_beside_a_path_join_the_same_hosts_by_the_same_interface() -> None:
    known = cables(NEAR, FAR)
    known.sighted(A, [LOCAL])
    far = path("10.0.1.1", "10.0.1.7", interface="tb1")
    assert [way.address for way in known.ways_beside(A, far)] == [FAR]
    local = path("fe80::1%tb1", "fe80::7%tb1", interface="tb1")
    assert [way.address for way in known.ways_beside(A, local)] == [LOCAL]
    assert known.ways_beside(A, path("10.0.1.1", "10.0.1.7", interface="eth0")) == []


def test_an_address_that_leads_nowhere_is_not_tried() -> None:
    assert untried(cables(Address("tcp://0.0.0.0:1"), Address("tcp://[::]:1"), Address("none"))) == []


def test_a_way_that_fails_is_tried_more_and_more_rarely() -> None:
    known, now_s, times = cables(NEAR), 0.0, list[float]()
    while now_s < 200.0:
        for way in known.untried(A, (), now_s):
            times.append(now_s)
            known.tried(A, way, now_s, is_reached=False)
        now_s += 1.0
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[:4] == [4.0, 8.0, 16.0, 30.0]
    assert set(gaps[4:]) == {30.0}


def test_after_a_cable_was_plugged_everything_is_tried_again_and_what_is_gone_is_named() -> None:
    known = cables(NEAR, FAR)
    for way in known.untried(A, (), 0.0):
        known.tried(A, way, 0.0, is_reached=False)
    assert untried(known) == []
    assert known.changed((ETH,)) == {"tb1"}
    assert NEAR in untried(known)


def test_an_untried_way_is_left_to_the_other_side_once() -> None:
    known = cables(NEAR)
    (way,) = known.untried(A, (), 0.0)
    assert known.put_off(A, way, 0.0)
    assert untried(known, 1.0) == []
    assert untried(known, 2.0) == [NEAR]
    assert not known.put_off(A, way, 2.0)


def test_peers_that_are_gone_are_forgotten() -> None:
    known = cables(NEAR)
    known.sighted(B, [FAR])
    known.recorded({A: (NEAR,)})
    assert known.untried(B, (), 0.0) == []
