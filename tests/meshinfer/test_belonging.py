from pathlib import Path

import pytest

from meshinfer.belonging import belong
from meshinfer.config import PeerConfig
from meshinfer.errors import ConfigError
from meshinfer.guard import Guard
from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.invitation import Invitation
from meshinfer.keys.keyring import Change, Keyring, KeyStore
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.succession import finished
from meshinfer.transports.base import Address

KEY, OTHER = MeshKey(b"k" * 32), MeshKey(b"o" * 32)
INVITE = Invitation("home", KEY, ("10.0.0.2:52414",)).to_text()


def test_the_first_join_makes_the_key_and_later_ones_find_it(tmp_path: Path) -> None:
    first, second = belong(PeerConfig(config_dir=tmp_path)), belong(PeerConfig(config_dir=tmp_path))
    assert (first.is_new, second.is_new) == (True, False)
    assert first.keyring == second.keyring
    assert first.label == second.label != "open"


def test_an_invitation_brings_the_mesh_its_key_and_where_peers_are(tmp_path: Path) -> None:
    found = belong(PeerConfig(config_dir=tmp_path, invite=INVITE, peers=("10.0.0.1:1",)))
    assert found.config.mesh == "home"
    assert found.config.peers == ("10.0.0.1:1", "10.0.0.2:52414")
    assert (found.keyring, found.former) == (Keyring(KEY), "")
    # Pasted once is enough.
    assert belong(PeerConfig(config_dir=tmp_path, mesh="home")).keyring == Keyring(KEY)


def test_an_invitation_takes_the_place_of_another_key_and_names_it(tmp_path: Path) -> None:
    KeyStore(tmp_path).write("home", Keyring(OTHER))
    found = belong(PeerConfig(config_dir=tmp_path, invite=INVITE))
    assert (found.keyring, found.former) == (Keyring(KEY), OTHER.label)


def test_an_invitation_with_a_key_that_is_accepted_changes_nothing(tmp_path: Path) -> None:
    changing = Keyring(OTHER, Change(KEY, b"proof"))
    KeyStore(tmp_path).write("home", changing)
    assert belong(PeerConfig(config_dir=tmp_path, invite=INVITE)).keyring == changing


def test_an_invitation_to_another_mesh_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to the mesh 'home': leave out --mesh office"):
        belong(PeerConfig(config_dir=tmp_path, invite=INVITE, mesh="office"))


def test_an_open_mesh_has_no_key_and_leaves_none(tmp_path: Path) -> None:
    found = belong(PeerConfig(config_dir=tmp_path, is_open=True))
    assert (found.keyring, found.label, found.invitation(())) == (None, "open", "")
    assert list(tmp_path.iterdir()) == []


def test_what_is_pasted_on_the_next_machine_leads_here(tmp_path: Path) -> None:
    found = belong(PeerConfig(config_dir=tmp_path, mesh="home"))
    read = Invitation.from_text(found.invitation((Address("tcp://[fe80::1%en5]:7"),)))
    assert found.keyring is not None
    assert read == Invitation("home", found.keyring.current, ("[fe80::1%en5]:7",))


def test_a_key_and_none_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match="--open runs without a key, and --invite brings one"):
        PeerConfig(is_open=True, invite=INVITE)


def test_an_invitation_to_a_namesake_outlasts_the_peer_that_runs_beside(tmp_path: Path) -> None:
    running = Guard(PeerConfig(config_dir=tmp_path, mesh="home"), PeerSecret.draw()).keeper
    assert running is not None
    begun = running.begun(())
    running.keep(begun)
    running.use(begun)
    invited = belong(PeerConfig(config_dir=tmp_path, invite=INVITE))
    assert (invited.keyring, invited.former) == (Keyring(KEY), begun.newest.label)

    running.keep(finished(begun))
    assert belong(PeerConfig(config_dir=tmp_path, mesh="home")).keyring == Keyring(KEY)
    # And the mesh that was joined changes its key as any other.
    joined = Guard(PeerConfig(config_dir=tmp_path, mesh="home"), PeerSecret.draw()).keeper
    assert joined is not None
    begun = joined.begun(())
    joined.keep(begun)
    assert KeyStore(tmp_path).read("home") == begun
