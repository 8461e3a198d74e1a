from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import ConfigError
from meshinfer.keys.keyring import MAX_ENTITLED, Change, Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.succession import begun, finished, is_better, is_later, lacking, moved_on, proof_of, taken
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import KeyWord, PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run

A, B, C = (PeerId(letter * 32) for letter in "abc")
KEYS = sorted((MeshKey(bytes([number]) * 32) for number in range(20)), key=lambda key: key.label)
OLD, LOW, HIGH, NEXT = KEYS[5], KEYS[8], KEYS[9], KEYS[2]
HOUR_MS = 3_600_000


def change(former: MeshKey, key: MeshKey, *entitled: PeerId) -> Keyring:
    return begun(Keyring(former), lambda: key, entitled)


def member(peer: PeerId, keyring: Keyring, status: Status = Status.ALIVE) -> Member:
    return Member(PeerRecord(peer, Run(1), Version(0), peer[0], "0.1", (), "", 1, keys=keyring.word), status)


def told(keyring: Keyring) -> KeyWord:
    return keyring.word


def given_to(keyring: Keyring, giver: Keyring) -> Keyring:
    """As one member asks another and takes what it gives."""
    if giver.change is None or not is_better(keyring, giver.word):
        return keyring
    return taken(keyring, giver.newest, giver.change)


TO_LOW, TO_HIGH = change(OLD, LOW), change(OLD, HIGH)
FURTHER = replace(TO_LOW, change=None)


@pytest.mark.parametrize(
    ("here", "there", "is_taken"),
    [
        (Keyring(OLD), TO_LOW, True),
        (TO_LOW, TO_HIGH, True),
        (TO_HIGH, TO_LOW, False),
        (TO_LOW, TO_LOW, False),
        (TO_LOW, change(LOW, NEXT), True),
        (FURTHER, change(LOW, NEXT), True),
        (Keyring(HIGH), TO_LOW, False),
        (FURTHER, TO_HIGH, False),
    ],
    ids=["new", "greater", "less", "same", "further", "later", "strange", "behind"],
)
def test_a_key_follows_the_one_that_is_known_and_of_two_the_greater_stays(
    here: Keyring, there: Keyring, is_taken: bool
) -> None:
    assert is_better(here, told(there)) is is_taken
    got = taken(here, there.newest, there.change or Change(OLD, b""))
    assert (got == there) is (is_taken or here == there)
    assert got == (there if is_taken else here)


def test_nobody_asks_for_what_is_over_or_for_nothing() -> None:
    assert not is_better(Keyring(OLD), told(finished(TO_LOW)))
    assert not is_better(Keyring(OLD), KeyWord())


def test_a_key_that_nobody_vouches_for_is_not_taken() -> None:
    assert TO_LOW.change is not None
    forged = replace(TO_LOW.change, proof=proof_of(HIGH, LOW, ()))
    widened = replace(TO_LOW.change, entitled=(A,))
    for wrong in (forged, widened):
        assert taken(Keyring(OLD), LOW, wrong) == Keyring(OLD)
    assert taken(Keyring(OLD), HIGH, TO_LOW.change) == Keyring(OLD)


def test_what_is_taken_is_not_in_use_yet() -> None:
    used = moved_on(TO_LOW, [member(A, TO_LOW)], 1, HOUR_MS)
    assert used.current == LOW
    assert given_to(Keyring(OLD), used).current == OLD


def test_a_change_that_is_begun_anew_overtakes_the_one_that_has_not_reached_all() -> None:
    draws = iter((OLD, NEXT, LOW, HIGH))
    overtaking = begun(TO_LOW, lambda: next(draws))
    assert (overtaking.newest, overtaking.change) == (HIGH, TO_HIGH.change)
    with pytest.raises(ConfigError, match="many times in a row"):
        begun(TO_HIGH, lambda: LOW)


def test_a_change_behind_one_that_has_reached_all_follows_it() -> None:
    used = moved_on(TO_LOW, [member(A, TO_LOW)], 1, HOUR_MS)
    assert begun(used, lambda: NEXT) == change(LOW, NEXT)


def test_a_change_cannot_name_more_peers_than_others_read() -> None:
    many = tuple(PeerId(f"{number:032x}") for number in range(MAX_ENTITLED + 1))
    with pytest.raises(ConfigError, match="257 peers are there"):
        begun(Keyring(OLD), lambda: LOW, many)


@pytest.mark.parametrize(
    ("others", "missing"),
    [
        ([member(B, TO_LOW)], []),
        ([member(B, Keyring(OLD))], [B]),
        ([member(B, Keyring(OLD), Status.SUSPECT)], [B]),
        ([member(B, Keyring(OLD), Status.DEAD), member(C, Keyring(OLD), Status.LEFT)], []),
        ([member(B, Keyring(LOW)), member(C, TO_HIGH)], [C]),
    ],
    ids=["has", "lacks", "suspect", "gone", "rival"],
)
def test_a_key_is_used_once_all_who_are_there_have_it(others: list[Member], missing: list[PeerId]) -> None:
    members = [member(A, TO_LOW), *others]
    assert [each.record.peer for each in lacking(TO_LOW, members)] == missing
    moved = moved_on(TO_LOW, members, 5, HOUR_MS)
    assert moved.current == (OLD if missing else LOW)
    assert moved.accepted == (LOW, OLD)


def test_the_former_key_is_accepted_for_the_grace_time() -> None:
    members = [member(A, TO_LOW)]
    used = moved_on(TO_LOW, members, 7, HOUR_MS)
    assert moved_on(used, members, HOUR_MS, HOUR_MS) == used
    over = moved_on(used, members, 7 + HOUR_MS, HOUR_MS)
    assert (over.accepted, over.retired) == ((LOW,), OLD.label)
    assert moved_on(over, members, 9 * HOUR_MS, HOUR_MS) == over


def test_a_clock_that_was_set_back_does_not_keep_the_former_key() -> None:
    used = moved_on(TO_LOW, [member(A, TO_LOW)], 5 * HOUR_MS, HOUR_MS)
    assert moved_on(used, [], HOUR_MS, HOUR_MS).change is None


def test_who_comes_back_in_the_grace_time_does_not_undo_the_change() -> None:
    used = moved_on(TO_LOW, [member(A, TO_LOW)], 7, HOUR_MS)
    assert moved_on(used, [member(A, used), member(B, Keyring(OLD))], 8, HOUR_MS) == used


def test_the_former_key_is_forgotten_where_another_member_has() -> None:
    over = finished(TO_LOW)
    assert moved_on(TO_LOW, [member(A, TO_LOW), member(B, over)], 1, HOUR_MS) == over
    gone = member(B, over, Status.DEAD)
    assert moved_on(TO_LOW, [member(A, TO_LOW), gone], 1, HOUR_MS).change is not None


def test_who_was_invited_with_the_new_key_ends_no_change() -> None:
    moved = moved_on(TO_LOW, [member(A, TO_LOW), member(B, Keyring(LOW))], 1, HOUR_MS)
    assert moved.accepted == (LOW, OLD)


def test_where_somebody_is_put_out_the_former_key_is_over_once_the_others_have_the_new_one() -> None:
    putting_out = change(OLD, LOW, A, B)
    ours, out = member(A, putting_out), member(C, Keyring(OLD))
    assert moved_on(putting_out, [ours, member(B, Keyring(OLD)), out], 1, HOUR_MS) == putting_out
    assert moved_on(putting_out, [ours, member(B, putting_out), out], 1, HOUR_MS) == finished(putting_out)


@given(
    begins=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 19)), max_size=4),
    talks=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30),
)
def test_members_that_talk_long_enough_have_one_key(
    begins: Sequence[tuple[int, int]], talks: Sequence[tuple[int, int]]
) -> None:
    """Whoever changes it at once with others, and however they happen to talk."""
    rings = [Keyring(OLD)] * 5
    for place, number in begins:
        if rings[place].change is None and KEYS[number] != OLD:
            rings[place] = change(OLD, KEYS[number])
    for one, other in talks:
        rings[one] = given_to(rings[one], rings[other])
    assert all(OLD in ring.accepted for ring in rings)
    for _ in range(2):
        for one in range(5):
            for other in range(5):
                rings[one] = given_to(rings[one], rings[other])
    assert len({ring.newest for ring in rings}) == 1
    wanted = {KEYS[number].label for _, number in begins} - {OLD.label}
    assert rings[0].newest.label in wanted or not wanted
    members = [member(PeerId(f"{place:032x}"), ring) for place, ring in enumerate(rings)]
    used = {moved_on(ring, members, 1, HOUR_MS) for ring in rings}
    assert {ring.current for ring in used} == {rings[0].newest}


def used(keyring: Keyring) -> Keyring:
    assert keyring.change is not None
    return replace(keyring, change=replace(keyring.change, turned_ms=1))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (Keyring(OLD), TO_LOW),
        (TO_LOW, used(TO_LOW)),
        (used(TO_LOW), finished(TO_LOW)),
        (Keyring(OLD), finished(TO_LOW)),
        (finished(TO_LOW), change(LOW, NEXT)),
        (used(TO_LOW), change(LOW, NEXT)),
        (TO_LOW, TO_HIGH),
        (TO_HIGH, used(TO_LOW)),
        (TO_HIGH, finished(TO_LOW)),
    ],
    ids=["begun", "used", "over", "known", "next", "early", "greater", "used rival", "rival over"],
)
def test_of_two_keyrings_of_a_mesh_one_is_later(earlier: Keyring, later: Keyring) -> None:
    assert is_later(later, earlier)
    assert not is_later(earlier, later)
    assert is_later(later, later)


@pytest.mark.parametrize("strange", [Keyring(NEXT), change(NEXT, HIGH), finished(change(NEXT, HIGH))])
@pytest.mark.parametrize("here", [Keyring(OLD), TO_LOW, used(TO_LOW), finished(TO_LOW)])
def test_a_keyring_of_another_mesh_is_neither_earlier_nor_later(here: Keyring, strange: Keyring) -> None:
    assert not is_later(here, strange)
    assert not is_later(strange, here)
