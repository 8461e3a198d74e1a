from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.handover import AskKey, GiveKey
from meshinfer.keys.handing import Asking, NotHandedOver, give
from meshinfer.keys.keyring import Change, Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.succession import begun, finished
from meshinfer.topology.ring import PeerId

A, B, C = (PeerId(letter * 32) for letter in "abc")
OLD, NEW, OTHER = MeshKey(b"o" * 32), MeshKey(b"n" * 32), MeshKey(b"x" * 32)
CHANGING = begun(Keyring(OLD), lambda: NEW)


def ask(asker: PeerId = A, giver: PeerId = B) -> Asking:
    return Asking(NEW.label, asker, giver)


def answer(asking: Asking, keyring: Keyring = CHANGING, asker: PeerId = A, giver: PeerId = B) -> GiveKey:
    given = give(keyring, asking.message, asker, giver)
    assert given is not None
    return given


def test_who_asks_gets_the_key_and_what_vouches_for_it() -> None:
    asking = ask()
    assert asking.taken(Keyring(OLD), answer(asking)) == CHANGING


def test_a_key_is_never_on_the_way_in_clear() -> None:
    given = answer(ask())
    shown = repr(given).encode() + given.sealed + given.public
    assert NEW.secret not in shown
    assert OLD.secret not in shown
    assert "sealed" not in repr(given)


def test_only_those_that_are_entitled_get_it() -> None:
    putting_out = begun(Keyring(OLD), lambda: NEW, (A, B))
    asking = ask()
    assert asking.taken(Keyring(OLD), answer(asking, putting_out)) == putting_out
    assert give(putting_out, ask(C).message, C, B) is None


@pytest.mark.parametrize("keyring", [Keyring(OLD), Keyring(NEW), finished(CHANGING)])
def test_without_a_change_nothing_is_given(keyring: Keyring) -> None:
    assert give(keyring, ask().message, A, B) is None


def test_another_key_than_the_newest_is_not_given() -> None:
    assert give(CHANGING, Asking(OLD.label, A, B).message, A, B) is None


@pytest.mark.parametrize(
    ("asking", "given"),
    [
        (ask(), answer(ask())),
        (first := ask(), answer(first, asker=C)),
        (second := ask(), answer(second, giver=C)),
        (third := ask(), replace(answer(third), sealed=b"")),
        (Asking(OTHER.label, A, B), answer(ask())),
    ],
    ids=["another's", "for another", "from another", "torn", "another key"],
)
def test_what_was_not_sealed_for_this_question_is_refused(asking: Asking, given: GiveKey) -> None:
    with pytest.raises(NotHandedOver):
        asking.taken(Keyring(OLD), given)


def test_who_has_not_got_the_former_key_can_neither_give_nor_take() -> None:
    asking = ask()
    with pytest.raises(NotHandedOver, match="not known here"):
        asking.taken(Keyring(OTHER), answer(asking))
    stranger = Keyring(NEW, Change(OTHER, b"p" * 32))
    with pytest.raises(NotHandedOver, match="not known here"):
        asking.taken(Keyring(OLD), answer(asking, stranger))


def test_a_member_that_gives_what_it_cannot_vouch_for_changes_nothing() -> None:
    asking = ask()
    assert asking.taken(Keyring(OLD), answer(asking, Keyring(NEW, Change(OLD, b"p" * 32)))) == Keyring(OLD)
    with pytest.raises(NotHandedOver, match="no key"):
        asking.taken(Keyring(OLD), answer(asking, Keyring(NEW, Change(OLD, b"short"))))


def test_an_x25519_key_that_is_none_is_refused_on_both_sides() -> None:
    nothing = bytes(32)
    with pytest.raises(NotHandedOver, match="X25519"):
        give(CHANGING, AskKey(NEW.label, nothing), A, B)
    asking = ask()
    with pytest.raises(NotHandedOver, match="X25519"):
        asking.taken(Keyring(OLD), GiveKey(NEW.label, nothing, b"sealed"))


@given(st.binary(max_size=300))
def test_what_a_member_makes_up_is_refused(sealed: bytes) -> None:
    with pytest.raises(NotHandedOver):
        ask().taken(Keyring(OLD), GiveKey(NEW.label, b"\x09" * 32, sealed))


@pytest.mark.parametrize(("label", "public"), [("", b"p" * 32), ("12345678", b"p"), ("123456789", b"p" * 32)])
def test_a_question_has_a_label_and_a_public_key(label: str, public: bytes) -> None:
    with pytest.raises(ValueError, match="8 characters"):
        AskKey(label, public)


def test_an_answer_has_a_limit() -> None:
    with pytest.raises(ValueError, match=r"17,000 bytes, limit 16,384"):
        GiveKey("12345678", b"p" * 32, bytes(17_000))
