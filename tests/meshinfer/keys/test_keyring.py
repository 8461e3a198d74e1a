import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest

from meshinfer.config import default_config_dir
from meshinfer.errors import ConfigError
from meshinfer.keys.keyring import Change, Keyring, KeyStore
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.topology.record import KeyWord
from meshinfer.topology.ring import PeerId
from tests.transports.patience import PATIENCE_S

OLD, NEW = MeshKey(b"o" * 32), MeshKey(b"n" * 32)


CHANGING = Keyring(NEW, Change(OLD, b"p" * 32, (PeerId("a" * 32),)))
CHANGED = Keyring(NEW, Change(OLD, b"p" * 32, (), turned_ms=1_800_000_000_000))


def test_datagrams_are_sealed_with_the_new_key_once_all_have_it() -> None:
    rings = (Keyring(OLD), CHANGING, CHANGED, Keyring(NEW, retired=OLD.label))
    assert [ring.current for ring in rings] == [OLD, OLD, NEW, NEW]
    assert [ring.accepted for ring in rings] == [(OLD,), (NEW, OLD), (NEW, OLD), (NEW,)]


def test_others_are_told_labels_alone() -> None:
    assert Keyring(OLD).word == KeyWord(OLD.label)
    assert CHANGING.word == CHANGED.word == KeyWord(NEW.label, OLD.label)
    assert Keyring(NEW, retired=OLD.label).word == KeyWord(NEW.label, OLD.label, is_over=True)


def test_no_key_shows_itself() -> None:
    assert not any(secret in repr(CHANGED) for secret in ("nnn", "ooo", "ppp"))


def test_the_first_join_makes_a_key_that_nobody_else_can_read(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    made, is_new = store.read_or_make("home")
    assert is_new
    assert store.read_or_make("home") == (made, False)
    assert stat.S_IMODE(store.path("home").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path("home").parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("keyring", [CHANGING, CHANGED, Keyring(NEW, retired=OLD.label)])
def test_a_change_goes_on_where_it_was_after_a_restart(tmp_path: Path, keyring: Keyring) -> None:
    store = KeyStore(tmp_path)
    store.write("home", keyring)
    assert store.read("home") == keyring
    assert stat.S_IMODE(store.path("home").stat().st_mode) == 0o600
    assert [path.name for path in store.path("home").parent.iterdir()] == ["home.json"]
    assert KeyStore(tmp_path).read("office") is None


def test_a_key_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.write("home", Keyring(OLD))
    store.path("home").chmod(0o640)
    with pytest.raises(ConfigError, match=r"mode 0640.*chmod 600"):
        store.read("home")


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"current": "AAAA"}', '{"current": null, "former": 1}', '{"current": 7}', "\xff"],
)
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


def test_who_holds_the_lock_keeps_others_that_take_it_out(tmp_path: Path) -> None:
    store, order = KeyStore(tmp_path), Queue[str]()

    def make() -> None:
        order.put("waits")
        store.read_or_make("home")
        order.put("done")

    with ThreadPoolExecutor(1) as pool:
        with store.locked("home"):
            made = pool.submit(make)
            assert order.get(timeout=PATIENCE_S) == "waits"
            store.write("home", Keyring(OLD))
            assert store.found("home") == Keyring(OLD)
        made.result(PATIENCE_S)
    assert store.read("home") == Keyring(OLD)


def test_keys_that_cannot_be_locked_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no directory")
    with (
        pytest.raises(ConfigError, match=r"cannot be kept in .*home\.json"),
        KeyStore(tmp_path).locked("home"),
    ):
        pass
