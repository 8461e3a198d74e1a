from dataclasses import replace
from functools import partial
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
OLD, NEW, STRANGE = MeshKey(b"o" * 32), MeshKey(b"n" * 32), MeshKey(b"s" * 32)
CHANGING = begun(Keyring(OLD), lambda: NEW)
assert CHANGING.change is not None
USED = replace(CHANGING, change=replace(CHANGING.change, turned_ms=1))


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


@pytest.mark.parametrize("replaced", [Keyring(STRANGE), begun(Keyring(STRANGE), MeshKey.draw)])
def test_a_key_that_the_user_put_in_its_place_stays_on_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, replaced: Keyring
) -> None:
    store, here = KeyStore(tmp_path), keeper(tmp_path)
    change_to(here, CHANGING)
    change_to(here, USED)
    store.write("home", replaced)
    for keyring in (finished(USED), begun(finished(USED), MeshKey.draw)):
        change_to(here, keyring)
        # It goes on with what it has, until it is restarted.
        assert (here.keyring, store.read("home")) == (keyring, replaced)
        (warning,) = caplog.messages
        assert f"was replaced (label {replaced.newest.label})" in warning
        assert "restart this peer to use it, or stop this peer" in warning
        assert repr(replaced.newest.secret) not in warning
        caplog.clear()


@pytest.mark.parametrize("leaders", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (1, 0, 1, 0)])
def test_two_peers_of_one_machine_change_one_file_whichever_is_ahead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, leaders: tuple[int, ...]
) -> None:
    peers = keeper(tmp_path), keeper(tmp_path, peer=B)
    once_more = begun(finished(USED), MeshKey.draw)
    steps = [CHANGING, USED, finished(USED), once_more]
    for earlier, later, leader in zip([Keyring(OLD), *steps], steps, leaders, strict=False):
        change_to(peers[leader], later)
        # The other one comes a step behind.
        change_to(peers[1 - leader], earlier)
        assert KeyStore(tmp_path).read("home") == later
    for peer in peers:
        change_to(peer, once_more)
    assert KeyStore(tmp_path).read("home") == once_more
    assert caplog.messages == []


def test_two_peers_of_one_machine_that_begin_at_once_keep_the_greater_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    less, greater = sorted((NEW, STRANGE), key=lambda key: key.label)
    to_less, to_greater = (begun(Keyring(OLD), partial(MeshKey, key.secret)) for key in (less, greater))
    for order in ((to_less, to_greater), (to_greater, to_less)):
        KeyStore(tmp_path).write("home", Keyring(OLD))
        for peer, keyring in zip((keeper(tmp_path), keeper(tmp_path, peer=B)), order, strict=True):
            change_to(peer, keyring)
        assert KeyStore(tmp_path).read("home") == to_greater
    assert caplog.messages == []


def test_a_peer_takes_back_what_it_wrote_and_could_not_use(tmp_path: Path) -> None:
    here = keeper(tmp_path)
    rival = begun(Keyring(OLD), lambda: STRANGE)
    less, greater = sorted((CHANGING, rival), key=lambda keyring: keyring.newest.label)
    for keyring in (less, greater, less):
        here.keep(keyring)
    assert KeyStore(tmp_path).read("home") == less


def test_a_torn_file_and_none_are_written_anew(tmp_path: Path) -> None:
    store, here = KeyStore(tmp_path), keeper(tmp_path)
    change_to(here, CHANGING)
    store.path("home").write_bytes(b"torn")
    change_to(here, USED)
    assert store.read("home") == USED
    store.path("home").unlink()
    change_to(here, finished(USED))
    assert store.read("home") == finished(USED)
