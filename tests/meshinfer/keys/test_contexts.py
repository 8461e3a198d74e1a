"""Handshakes in memory: both ends as TLS objects, with what one sends handed to the other."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.contexts import MeshTls
from meshinfer.keys.keyring import Change, Keyring
from meshinfer.keys.mesh_key import MeshKey

KEY, OTHER = MeshKey(b"k" * 32), MeshKey(b"o" * 32)
ANNA, BERT = PeerSecret(b"a" * 32), PeerSecret(b"b" * 32)


def shake_hands(
    client_context: ssl.SSLContext, server_context: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends, once each has proved itself.

    Raises:
        ssl.SSLError: one of them refuses the other.
    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(8):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    # In TLS 1.3 the client hears last that it was refused.
    server.write(b"hello")
    assert client.read(5) == b"hello"
    return client, server


def test_both_ends_know_whom_they_speak_with() -> None:
    anna, bert = MeshTls(ANNA, Keyring(KEY)), MeshTls(BERT, Keyring(KEY))
    client, server = shake_hands(anna.client, bert.server)
    assert anna.peer_of(client) == (BERT.peer, KEY.label)
    assert bert.peer_of(server) == (ANNA.peer, KEY.label)
    assert client.version() == server.version() == "TLSv1.3"
    assert client.selected_alpn_protocol() == "meshinfer/1"


@pytest.mark.parametrize("is_dialled_by_the_stranger", [True, False])
def test_another_meshs_key_opens_nothing(is_dialled_by_the_stranger: bool) -> None:
    ours, theirs = MeshTls(ANNA, Keyring(KEY)), MeshTls(BERT, Keyring(OTHER))
    dialling, listening = (theirs, ours) if is_dialled_by_the_stranger else (ours, theirs)
    with pytest.raises(ssl.SSLError):
        shake_hands(dialling.client, listening.server)


CHANGING = Keyring(OTHER, Change(KEY, b""))
"""From KEY to OTHER."""


@pytest.mark.parametrize("there", [Keyring(KEY), CHANGING, Keyring(OTHER)], ids=["away", "same", "invited"])
def test_while_the_key_is_changed_who_has_either_is_taken(there: Keyring) -> None:
    here, other = MeshTls(ANNA, CHANGING), MeshTls(BERT, there)
    client, server = shake_hands(here.client, other.server)
    assert here.peer_of(client) == (BERT.peer, there.newest.label)
    knows_it = OTHER in there.accepted
    assert other.peer_of(server) == (ANNA.peer, OTHER.label if knows_it else "")
    client, server = shake_hands(other.client, here.server)
    assert (other.peer_of(client)[0], here.peer_of(server)[0]) == (ANNA.peer, BERT.peer)


def test_once_it_is_changed_the_former_key_opens_nothing() -> None:
    changed = MeshTls(ANNA, Keyring(OTHER, retired=KEY.label))
    # Who is put out kept all that it could: the key, and the change that the former authority vouches for.
    for out in (Keyring(KEY), Keyring(MeshKey(b"x" * 32), Change(KEY, b""))):
        for one, other in [(changed, MeshTls(BERT, out)), (MeshTls(BERT, out), changed)]:
            with pytest.raises(ssl.SSLError):
                shake_hands(one.client, other.server)


def test_an_expired_certificate_opens_nothing() -> None:
    long_ago = datetime.now(UTC) - timedelta(days=60)
    with pytest.raises(ssl.SSLError, match="expired"):
        shake_hands(MeshTls(ANNA, Keyring(KEY)).client, MeshTls(BERT, Keyring(KEY), long_ago).server)


def test_no_older_protocol_is_spoken() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(old, MeshTls(BERT, Keyring(KEY)).server)


def test_who_shows_no_certificate_is_refused() -> None:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError):
        shake_hands(nobody, MeshTls(BERT, Keyring(KEY)).server)


def test_certificates_are_renewed_long_before_they_end() -> None:
    now = datetime.now(UTC)
    tls = MeshTls(ANNA, Keyring(KEY), now)
    assert not tls.is_due(now + timedelta(days=1))
    assert tls.is_due(now + timedelta(days=8))
