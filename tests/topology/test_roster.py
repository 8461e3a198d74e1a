from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from meshinfer.topology.knobs import MembershipKnobs, lan
from meshinfer.topology.member import Status
from meshinfer.topology.roster import Entry, Roster
from tests.topology.voices import B, C, D, claim, peer, record

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT


def roster(indices: Iterable[int] = (), knobs: MembershipKnobs | None = None, seed: int = 0) -> Roster:
    known = Roster(knobs or lan(), Random(seed).random)
    for index in indices:
        put(known, index).record = record(index)
    return known


def put(known: Roster, index: int, status: Status = ALIVE, now_s: float = 0.0, run: int = 1) -> Entry:
    entry = known.put(claim(index, status, run=run), now_s)
    assert entry is not None
    return entry


def draws(*values: float) -> Callable[[], float]:
    rest = iter(values)
    return lambda: next(rest)


def test_everybody_is_probed_once_a_round_and_each_round_in_another_order() -> None:
    known = roster(range(1, 9))
    rounds = [[known.next_target() for _ in range(8)] for _ in range(6)]
    assert all(sorted(map(str, targets)) == [peer(index) for index in range(1, 9)] for targets in rounds)
    assert len({tuple(targets) for targets in rounds}) > 3


def test_two_probes_of_one_peer_lie_at_most_two_rounds_apart() -> None:
    known = roster(range(1, 9))
    targets = [known.next_target() for _ in range(400)]
    for index in range(1, 9):
        at = [turn for turn, target in enumerate(targets) if target == peer(index)]
        assert max(later - earlier for earlier, later in pairwise(at)) <= 15


@pytest.mark.parametrize("seed", range(20))
def test_who_comes_in_between_costs_nobody_a_turn_and_gives_nobody_two(seed: int) -> None:
    known = roster(range(1, 9), seed=seed)
    known.next_target()
    first = [known.next_target() for _ in range(3)]
    put(known, 9)
    rest = [known.next_target() for _ in range(4)]
    targets = [target for target in (*first, *rest) if target != peer(9)]
    assert len(targets) == len(set(targets)) >= 6


def test_nobody_is_probed_where_nobody_is() -> None:
    assert roster().next_target() is None
    assert roster().size == 1


@pytest.mark.parametrize("seed", range(20))
def test_who_dies_in_between_costs_nobody_else_a_turn(seed: int) -> None:
    known = roster(range(1, 9), seed=seed)
    first = [known.next_target() for _ in range(4)]
    victim = known.order[seed % 8]
    put(known, int(victim, 16) - 1, DEAD)
    rest = [known.next_target() for _ in range(8 - 4 - (victim not in first))]
    assert sorted({*map(str, first), *map(str, rest), victim}) == [peer(index) for index in range(1, 9)]


def test_the_dead_are_not_probed_and_come_back_with_a_new_life() -> None:
    known = roster([1, 2])
    put(known, 1, DEAD, 1.0)
    assert known.order == [C]
    assert known.gone(DEAD) == [B]
    put(known, 1, ALIVE, 2.0, run=2)
    assert sorted(known.order) == [B, C]
    assert known.gone(DEAD) == []


def test_the_gone_are_listed_by_how_they_went_and_since_when() -> None:
    known = roster(range(1, 6))
    put(known, 1, DEAD, 1.0)
    put(known, 2, LEFT, 2.0)
    put(known, 3, DEAD, 3.0)
    assert known.gone(DEAD) == [D, B]
    assert known.gone(DEAD, since_s=2.0) == [D]
    put(known, 1, LEFT, 4.0)
    assert known.gone(LEFT, since_s=3.0) == [B]
    assert known.gone(DEAD) == [D]


def test_a_new_life_begins_with_a_new_window_and_unknown_ways() -> None:
    known = roster([1])
    entry = known.at(B)
    assert entry.window.take(5)
    entry.heard_from, entry.is_deaf = "udp://elsewhere:1", True
    put(known, 1, SUSPECT)
    assert entry.heard_from
    put(known, 1, ALIVE, run=2)
    assert entry.window.take(5)
    assert (entry.address, entry.is_deaf) == (record(1).addresses[0], False)


def test_a_peer_is_spoken_to_where_it_was_heard_last() -> None:
    entry = Entry(claim(1, ALIVE), 0.0)
    assert entry.address == ""
    entry.record = record(1)
    assert entry.address == record(1).addresses[0]
    entry.heard_from = "udp://moved:1"
    assert entry.address == "udp://moved:1"


def test_peers_beyond_the_limit_are_not_taken_in() -> None:
    known = roster(range(1, 4), replace(lan(), max_members=3))
    assert known.put(claim(4, ALIVE), 0.0) is None
    assert known.put(claim(4, DEAD), 0.0) is not None
    put(known, 1, DEAD)
    assert known.put(claim(5, ALIVE), 0.0) is not None


def test_of_too_many_tombstones_the_oldest_go_at_once() -> None:
    known = roster(range(1, 9), replace(lan(), max_tombstones=3))
    for index in range(1, 9):
        put(known, index, DEAD, now_s=index)
    assert [entry for entry, _ in known] == [peer(6), peer(7), peer(8)]


def test_the_dead_are_shown_for_a_while_remembered_for_longer_and_tried_where_they_were() -> None:
    known = roster([1])
    put(known, 1, DEAD, 0.0)
    assert not known.forget(lan().forget_s)
    assert [member.status for member in known.members()] == [DEAD]
    assert known.forget(lan().forget_s + 1)
    assert list(known.members()) == []
    assert known.at(B).addresses == record(1).addresses
    assert not known.forget(lan().tombstone_s)
    assert known.forget(lan().tombstone_s + 1)
    assert B not in known


def test_a_new_life_shows_once_its_own_record_came() -> None:
    known = roster([1])
    put(known, 1, ALIVE, run=2)
    assert list(known.members()) == []
    known.at(B).record = record(1, run=2)
    assert [member.record.run for member in known.members()] == [2]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 11, 12, 13, 100])
def test_some_are_different_and_never_the_one_left_out(count: int) -> None:
    known = roster(range(1, count + 1))
    for _ in range(50):
        chosen = known.some(3, known.order, but=B)
        assert len(chosen) == len(set(chosen)) == min(3, max(0, count - 1))
        assert B not in chosen


def test_all_are_chosen_alike() -> None:
    known = roster(range(1, 21))
    counts = dict.fromkeys(known.order, 0)
    for _ in range(2000):
        for chosen in known.some(3, known.order):
            counts[chosen] += 1
    assert 200 < min(counts.values()) <= max(counts.values()) < 400
