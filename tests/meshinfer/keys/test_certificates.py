from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from meshinfer.keys.certificates import Authority, NotAMember, PeerSecret, peer_shown
from meshinfer.keys.mesh_key import MeshKey

KEY, FOREIGN = MeshKey(b"k" * 32), MeshKey(b"f" * 32)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAY = timedelta(days=1)
ANNA, BERT = PeerSecret(b"a" * 32), PeerSecret(b"b" * 32)


def der(secret: PeerSecret, key: MeshKey = KEY, now: datetime = NOW) -> bytes:
    minted = Authority(key).mint(secret, now, DAY)
    return x509.load_pem_x509_certificate(minted.certificate).public_bytes(Encoding.DER)


def test_all_machines_derive_the_same_authority() -> None:
    assert Authority(KEY).pem == Authority(KEY).pem
    assert Authority(KEY).pem != Authority(FOREIGN).pem


def test_a_certificate_proves_the_peer_to_whom_its_key_belongs() -> None:
    assert peer_shown(der(ANNA), (Authority(KEY),), NOW) == ANNA.peer
    assert ANNA.peer != BERT.peer
    assert len(ANNA.peer) == 32


def test_while_a_key_is_changed_both_prove_it() -> None:
    both = (Authority(FOREIGN), Authority(KEY))
    assert [peer_shown(der(ANNA, key), both, NOW) for key in (KEY, FOREIGN)] == [ANNA.peer] * 2


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (der(ANNA, FOREIGN), "another mesh's key"),
        (der(ANNA, now=NOW - 9 * DAY), "not now"),
        (der(ANNA, now=NOW + 9 * DAY), "not now"),
        (b"\x30\x03\x02\x01", "no certificate"),
        (x509.load_pem_x509_certificate(Authority(KEY).pem).public_bytes(Encoding.DER), "no certificate"),
    ],
    ids=["foreign", "expired", "early", "torn", "authority"],
)
def test_what_proves_nobody_is_refused_with_the_reason(shown: bytes, why: str) -> None:
    with pytest.raises(NotAMember, match=why):
        peer_shown(shown, (Authority(KEY),), NOW)


def test_a_member_cannot_speak_as_another_one() -> None:
    """It has the mesh's key, so it can have the authority sign anything; not the other one's private key."""
    signer = Ed25519PrivateKey.from_private_bytes(KEY.derive("authority"))
    authority = x509.load_pem_x509_certificate(Authority(KEY).pem)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"meshinfer:peer:{ANNA.peer}")])
    forged = (
        x509.CertificateBuilder(
            authority.subject, authority.subject, BERT.private_key.public_key(), 7, NOW - DAY, NOW + DAY
        )
        .add_extension(names, critical=False)
        .sign(signer, algorithm=None)
    )
    with pytest.raises(NotAMember, match="another peer than its key belongs to"):
        peer_shown(forged.public_bytes(Encoding.DER), (Authority(KEY),), NOW)


def test_a_secret_does_not_show_itself() -> None:
    assert "seed" not in repr(ANNA)
    assert "private_key" not in repr(Authority(KEY).mint(ANNA, NOW, DAY))
