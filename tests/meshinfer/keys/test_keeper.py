from pathlib import Path

import pytest

from meshinfer.errors import ConfigError
from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keeper import KeyKeeper
from meshinfer.keys.keyring import Keyring, KeyStore
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.sealing import DatagramSeal
from meshinfer.keys.security import MeshSecurity
from meshinfer.keys.succession import begun, finished
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run

SECRET = PeerSecret(b"a" * 32)
A, B, C = SECRET.peer, PeerId("b" * 32), PeerId("c" * 32)
OLD, NEW = MeshKey(b"o" * 32), MeshKey(b"n" * 32)
CHANGING = begun(Keyring(OLD), lambda: NEW)


def keeper(tmp_path: Path, keyring: Keyring = Keyring(OLD), peer: PeerId = A) -> KeyKeeper:  # noqa: B008
    security, seal = MeshSecurity(SECRET, keyring), DatagramSeal(keyring)
    return KeyKeeper(peer, "home", KeyStore(tmp_path), keyring, security, seal, grace_s=3600)


def member(peer: PeerId, name: str, keyring: Keyring, status: Status = Status.ALIVE) -> Member:
    return Member(PeerRecord(peer, Run(1), Version(0), name, "0.1", (), "", 1, keys=keyring.word), status)


def change_to(keeper: KeyKeeper, keyring: Keyring) -> None:
    keeper.keep(keyring)
    keeper.use(keyring)


def test_who_tells_a_better_key_is_asked_and_asked_again_after_a_while(tmp_path: Path) -> None:
    here, there = keeper(tmp_path / "a"), keeper(tmp_path / "b", CHANGING, B)
    here.members = (
        member(A, "desk", Keyring(OLD)),
        member(B, "mini", CHANGING),
        member(C, "old", Keyring(OLD)),
    )
    ((peer, asked),) = here.questions(now_s=0.0)
    assert (peer, asked.label) == (B, NEW.label)
    assert here.questions(now_s=4.9) == []
    ((_, again),) = here.questions(now_s=5.0)

    late, given = there.answer(asked, A), there.answer(again, A)
    assert late is not None
    assert given is not None
    assert here.given(given, B) == CHANGING
    # What was not asked for (any more) is nothing.
    assert here.given(late, B) == here.given(given, C) == Keyring(OLD)


def test_a_keyring_is_kept_before_it_is_used(tmp_path: Path) -> None:
    here = keeper(tmp_path)
    here.keep(CHANGING)
    assert (here.keyring, KeyStore(tmp_path).read("home")) == (Keyring(OLD), CHANGING)
    here.use(CHANGING)
    assert here.word.newest == NEW.label


@pytest.mark.parametrize(
    ("word", "is_out"),
    [(CHANGING, False), (Keyring(NEW), False), (Keyring(OLD), True)],
    ids=["has", "new", "not"],
)
def test_who_has_not_got_the_new_key_is_out_once_the_change_is_over(
    tmp_path: Path, word: Keyring, is_out: bool
) -> None:
    here = keeper(tmp_path, CHANGING)
    here.members = (member(A, "desk", CHANGING), member(B, "mini", word))
    assert here.out([B], 0.0) == []
    change_to(here, finished(CHANGING))
    # It may have got the key from somebody else, and told so a moment ago.
    assert here.out([B], 1.0) == here.out([B], 2.4) == []
    assert here.out([B], 2.5) == ([B] if is_out else [])
    here.members = (member(A, "desk", CHANGING), member(B, "mini", CHANGING))
    assert here.out([B], 3.0) == []


def test_who_is_put_out_is_out_whatever_it_tells(tmp_path: Path) -> None:
    putting_out = begun(Keyring(OLD), lambda: NEW, (A, B))
    here = keeper(tmp_path, putting_out)
    here.members = (member(B, "mini", putting_out), member(C, "oldmac", putting_out))
    change_to(here, finished(putting_out))
    assert here.out([B, C], 0.0) == here.out([B, C], 2.0) == [C]
    here.members = ()
    assert here.out([B], 1.0) == []
    assert here.out([B], 2.0) == [B]


def test_those_that_stay_are_named_by_who_is_there(tmp_path: Path) -> None:
    here, away = keeper(tmp_path), PeerId("d" * 32)
    here.members = (
        *(member(A, "desk", Keyring(OLD)), member(B, "mini", Keyring(OLD)), member(C, "mac", Keyring(OLD))),
        member(away, "away", Keyring(OLD), Status.DEAD),
    )
    for without in (["mac"], [C]):
        change = here.begun(without).change
        assert change is not None
        assert set(change.entitled) == {A, B}
    anybody = here.begun(()).change
    assert anybody is not None
    assert anybody.entitled == ()
    here.members = (*here.members, member(PeerId("e" * 32), "mac", Keyring(OLD)))
    with pytest.raises(ConfigError, match="2 peers are called mac: give the id of one"):
        here.begun(["mac"])


def test_nothing_is_finished_before_all_have_it(tmp_path: Path) -> None:
    here = keeper(tmp_path, CHANGING)
    here.members = (member(A, "desk", CHANGING), member(B, "mini", Keyring(OLD)))
    with pytest.raises(
        ConfigError, match="mini has not got the new key: wait a moment, stop it, or put it out"
    ):
        here.finished()
    here.members = (member(A, "desk", CHANGING), member(B, "mini", Keyring(OLD), Status.DEAD))
    assert here.finished() == finished(CHANGING)


def test_who_was_begun_anew_in_a_change_waits_for_those_that_it_has_not_met(tmp_path: Path) -> None:
    here = keeper(tmp_path, CHANGING)
    assert here.moved_on(now_ms=1) == CHANGING
    here.members = (member(A, "desk", CHANGING),)
    assert here.moved_on(now_ms=20_000) == here.moved_on(now_ms=29_999) == CHANGING
    assert here.moved_on(now_ms=30_000).current == NEW


def test_how_a_change_is_is_told_by_labels_and_names(tmp_path: Path) -> None:
    here = keeper(tmp_path, begun(Keyring(OLD), lambda: NEW, (A, B)))
    here.members = (
        *(member(A, "desk", CHANGING), member(B, "mini", Keyring(OLD)), member(C, "mac", Keyring(OLD))),
    )
    state = here.state(now_ms=5)
    assert (state.label, state.former, state.lacking, state.put_out) == (
        NEW.label,
        OLD.label,
        ("mini",),
        ("mac",),
    )
    assert (state.is_used, state.left_s) == (False, 0)
    used = keeper(tmp_path, CHANGING)
    used.members = (member(A, "desk", CHANGING),)
    change_to(used, CHANGING)
    change_to(used, used.moved_on(now_ms=1000))
    state = used.state(now_ms=601_000)
    assert (state.is_used, state.left_s, state.lacking) == (True, 3000, ())
