import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.keys.keyring import Change, Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.sealing import OVERHEAD_BYTES, DatagramSeal, NotSealed

OLD, NEW = MeshKey(b"o" * 32), MeshKey(b"n" * 32)
CHANGING, CHANGED = (Keyring(NEW, Change(OLD, b"", (), turned_ms)) for turned_ms in (0, 1))


@given(st.binary(max_size=1400))
def test_members_read_what_members_seal(content: bytes) -> None:
    sealed = DatagramSeal(Keyring(OLD)).seal(content)
    assert len(sealed) == len(content) + OVERHEAD_BYTES
    assert content not in sealed or len(content) < 4
    assert DatagramSeal(Keyring(OLD)).open(sealed) == content


@given(place=st.integers(0, 60), flip=st.integers(1, 255))
def test_what_was_changed_on_its_way_is_refused(place: int, flip: int) -> None:
    sealed = bytearray(DatagramSeal(Keyring(OLD)).seal(b"who is here, and since when"))
    sealed[place] ^= flip
    with pytest.raises(NotSealed):
        DatagramSeal(Keyring(OLD)).open(bytes(sealed))


@given(st.binary(max_size=200))
def test_what_strangers_send_is_refused(data: bytes) -> None:
    with pytest.raises(NotSealed):
        DatagramSeal(Keyring(OLD)).open(data)


def test_nothing_is_sealed_alike_twice() -> None:
    seal = DatagramSeal(Keyring(OLD))
    others = [DatagramSeal(Keyring(OLD)).seal(b"same") for _ in range(3)]
    assert len({seal.seal(b"same"), seal.seal(b"same"), *others}) == 5


def test_a_mesh_changes_its_key_without_losing_a_datagram() -> None:
    here, there = DatagramSeal(Keyring(OLD)), DatagramSeal(Keyring(OLD))
    for change in (CHANGING, CHANGED, Keyring(NEW)):
        here.change_to(change)
        assert there.open(here.seal(b"to")) == b"to"
        assert here.open(there.seal(b"back")) == b"back"
        there.change_to(change)
    with pytest.raises(NotSealed):
        here.open(DatagramSeal(Keyring(OLD)).seal(b"late"))


def test_a_life_keeps_its_counter_through_a_change() -> None:
    seal = DatagramSeal(Keyring(OLD))
    first = seal.seal(b"same")
    seal.change_to(CHANGING)
    assert seal.seal(b"same") != first
