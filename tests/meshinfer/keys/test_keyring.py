import stat
from pathlib import Path

import pytest

from meshinfer.config import default_config_dir
from meshinfer.errors import ConfigError
from meshinfer.keys.keyring import Keyring, KeyStore
from meshinfer.keys.mesh_key import MeshKey

OLD, NEW = MeshKey(b"o" * 32), MeshKey(b"n" * 32)


def test_a_change_of_key_never_shows_what_others_do_not_accept() -> None:
    before = Keyring(OLD)
    offered = before.offered(NEW)
    turned = offered.turned()
    assert [ring.current for ring in (offered, turned, turned.retired())] == [OLD, NEW, NEW]
    for one, other in [(before, offered), (offered, turned), (turned, turned.retired())]:
        assert one.current in other.accepted or one is before
        assert other.current in one.accepted
    assert turned.retired().accepted == (NEW,)


def test_a_key_that_is_offered_twice_is_offered_once() -> None:
    offered = Keyring(OLD).offered(NEW)
    assert offered.offered(NEW) == offered
    assert offered.offered(OLD) == offered


def test_the_first_join_makes_a_key_that_nobody_else_can_read(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    made, is_new = store.read_or_make("home")
    assert is_new
    assert store.read_or_make("home") == (made, False)
    assert stat.S_IMODE(store.path("home").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path("home").parent.stat().st_mode) == 0o700


def test_both_keys_of_a_change_are_kept(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.write("home", Keyring(OLD, NEW))
    assert store.read("home") == Keyring(OLD, NEW)
    assert store.read("office") is None


def test_a_key_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.write("home", Keyring(OLD))
    store.path("home").chmod(0o640)
    with pytest.raises(ConfigError, match=r"mode 0640.*chmod 600"):
        store.read("home")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"current": "AAAA"}', '{"current": 7}', "\xff"])
def test_a_torn_file_is_no_new_key(tmp_path: Path, content: str) -> None:
    store = KeyStore(tmp_path)
    store.write("home", Keyring(OLD))
    store.path("home").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="holds no mesh key"):
        store.read_or_make("home")


@pytest.mark.parametrize("mesh", ["../other", "", "a/b", "-a"])
def test_a_name_does_not_lead_out_of_the_directory(tmp_path: Path, mesh: str) -> None:
    with pytest.raises(ConfigError, match="mesh name"):
        KeyStore(tmp_path).path(mesh)


def test_the_directory_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/there")
    assert default_config_dir() == Path("/there/meshinfer")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert default_config_dir() == Path.home() / ".config" / "meshinfer"
