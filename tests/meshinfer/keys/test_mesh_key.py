import pytest

from meshinfer.keys.mesh_key import MeshKey


def test_what_is_derived_depends_on_key_and_purpose_alone() -> None:
    key = MeshKey(bytes(32))
    assert key.derive("links") == MeshKey(bytes(32)).derive("links")
    assert len({key.derive("links"), key.derive("datagrams"), MeshKey.draw().derive("links")}) == 3


def test_a_key_does_not_show_itself() -> None:
    key = MeshKey(b"\x07" * 32)
    assert "7" not in repr(key)
    assert len(key.label) == 8
    assert key.label not in key.secret.hex()


def test_a_key_has_one_length() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        MeshKey(bytes(31))
