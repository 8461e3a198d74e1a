from math import inf

from meshinfer.actors.sightings import MAX_ADDRESSES, MAX_PEERS, Sightings
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address
from tests.meshinfer.actors.mailbag import A, B

HERE, THERE = Address("tcp://10.0.0.7:1"), Address("tcp://10.0.0.8:1")


def nobody(_: PeerId) -> bool:
    return False


def made_up(number: int) -> PeerId:
    return PeerId(f"{number:032x}")


def hole(number: int) -> Address:
    return Address(f"tcp://10.66.{number // 256}.{number % 256}:1")


def test_only_what_is_new_is_told_as_new() -> None:
    seen = Sightings(60.0, nobody)
    assert seen.saw(A, (HERE, THERE), now_s=0.0)
    assert not seen.saw(A, (THERE,), now_s=1.0)
    assert seen.addresses(A) == (HERE, THERE)
    assert seen.addresses(B) == ()


def test_who_is_not_seen_for_too_long_is_forgotten_unless_it_is_linked() -> None:
    seen = Sightings(60.0, lambda peer: peer == B)
    seen.saw(A, (HERE,), now_s=0.0)
    seen.saw(B, (THERE,), now_s=0.0)
    seen.forget_old(now_s=59.0)
    assert list(seen) == [A, B]
    seen.forget_old(now_s=60.0)
    assert list(seen) == [B]


def test_an_address_that_is_not_seen_for_too_long_is_forgotten() -> None:
    seen = Sightings(60.0, nobody)
    seen.saw(A, (HERE,), now_s=0.0)
    seen.saw(A, (THERE,), now_s=50.0)
    seen.saw(A, (THERE,), now_s=100.0)
    assert seen.addresses(A) == (THERE,)


def test_what_tells_who_vanishes_is_believed_until_then() -> None:
    seen = Sightings(inf, nobody)
    seen.saw(A, (HERE,), now_s=0.0)
    seen.forget_old(now_s=1e9)
    assert list(seen) == [A]
    seen.vanished(A)
    seen.vanished(B)
    assert list(seen) == []


def test_of_too_many_peers_the_one_goes_that_was_not_seen_for_the_longest_and_is_not_linked() -> None:
    seen = Sightings(60.0, lambda peer: peer == A)
    seen.saw(A, (HERE,), now_s=0.0)
    for number in range(MAX_PEERS - 1):
        seen.saw(made_up(number), (HERE,), now_s=1.0)
    seen.saw(made_up(0), (HERE,), now_s=2.0)
    seen.saw(B, (THERE,), now_s=3.0)
    assert len(seen) == MAX_PEERS
    assert {A, B, made_up(0)} < set(seen)
    assert made_up(1) not in set(seen)


def test_where_all_are_linked_there_is_room_all_the_same() -> None:
    seen = Sightings(60.0, lambda _: True)
    for number in range(MAX_PEERS + 10):
        assert seen.saw(made_up(number), (HERE,), now_s=1.0)
    assert len(seen) == MAX_PEERS


def test_what_strangers_say_of_a_peer_does_not_drive_out_where_it_was_first() -> None:
    seen = Sightings(60.0, nobody)
    seen.saw(A, (HERE, THERE), now_s=0.0)
    for number in range(1000):
        seen.saw(A, (hole(number),), now_s=1.0)
    assert len(seen.addresses(A)) == MAX_ADDRESSES
    assert {HERE, THERE} < set(seen.addresses(A))


def test_what_strangers_said_of_a_peer_before_does_not_keep_out_where_it_is() -> None:
    seen = Sightings(60.0, nobody)
    seen.saw(A, tuple(map(hole, range(MAX_ADDRESSES))), now_s=0.0)
    assert seen.saw(A, (HERE,), now_s=1.0)
    assert seen.addresses(A)[0] == HERE
