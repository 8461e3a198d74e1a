import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from meshinfer.cli.app import app
from meshinfer.config import PeerConfig
from meshinfer.guard import Guard
from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.invitation import Invitation
from meshinfer.keys.keyring import Change, Keyring, KeyStore
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.succession import finished

KEY = MeshKey(b"k" * 32)
NOBODY = "http://127.0.0.1:1"


def run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["key", *arguments, "--config-dir", str(tmp_path)])


def test_what_is_shown_can_be_pasted_and_nothing_else_is_on_standard_output(tmp_path: Path) -> None:
    KeyStore(tmp_path).write("home", Keyring(KEY))
    shown = run(tmp_path, "show", "--mesh", "home", "--url", NOBODY)
    assert shown.exit_code == 0
    assert Invitation.from_text(shown.stdout) == Invitation("home", KEY)
    assert len(shown.stdout.splitlines()) == 1
    assert "this line names none, so they look for peers by mDNS, or need --peer" in shown.stderr


def test_without_a_key_it_says_how_to_make_one(tmp_path: Path) -> None:
    shown = run(tmp_path, "show", "--url", NOBODY)
    assert shown.exit_code == 1
    assert "there is no key of the mesh meshinfer" in shown.stderr
    assert "`meshinfer join` makes it, or `meshinfer key new`" in shown.stderr


def test_a_new_key_is_for_its_user_alone_and_never_shown(tmp_path: Path) -> None:
    made = run(tmp_path, "new")
    keyring = KeyStore(tmp_path).read("meshinfer")
    assert made.exit_code == 0
    assert keyring is not None
    assert keyring.current.label in made.stdout
    assert stat.S_IMODE(KeyStore(tmp_path).path("meshinfer").stat().st_mode) == 0o600


@pytest.mark.parametrize("is_forced", [False, True])
def test_a_key_is_forgotten_only_by_force(tmp_path: Path, is_forced: bool) -> None:
    KeyStore(tmp_path).write("meshinfer", Keyring(KEY))
    again = run(tmp_path, "new", *(["--force"] if is_forced else []))
    assert again.exit_code == (0 if is_forced else 1)
    assert is_forced or "--force forgets it" in again.stderr
    assert (KeyStore(tmp_path).read("meshinfer") == Keyring(KEY)) is not is_forced
    assert ("that run now keep the former key" in again.stderr) is is_forced


def test_an_invitation_of_a_mesh_that_changes_its_key_holds_the_new_one(tmp_path: Path) -> None:
    new = MeshKey(b"n" * 32)
    KeyStore(tmp_path).write("home", Keyring(new, Change(KEY, b"proof")))
    shown = run(tmp_path, "show", "--mesh", "home", "--url", NOBODY)
    assert Invitation.from_text(shown.stdout).key == new
    assert f"the mesh is changing its key: this line holds the new one (label {new.label})" in shown.stderr


def test_a_key_that_was_made_by_force_outlasts_the_peers_that_run(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    running = Guard(PeerConfig(config_dir=tmp_path), PeerSecret.draw()).keeper
    assert running is not None
    begun = running.begun(())
    running.keep(begun)
    running.use(begun)
    assert run(tmp_path, "new", "--force").exit_code == 0
    made = store.read("meshinfer")
    assert made not in (None, begun)

    running.keep(finished(begun))
    assert store.read("meshinfer") == made
