from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from meshinfer.keys.certificates import INTRODUCTION, Authority, NotAMember, PeerSecret, key_shown, peer_shown
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


def changing(secret: PeerSecret, key: MeshKey, former: MeshKey) -> bytes:
    minted = Authority(key).mint(secret, NOW, DAY, Authority(former))
    return x509.load_pem_x509_certificates(minted.certificate)[0].public_bytes(Encoding.DER)


def test_who_has_the_former_key_alone_believes_what_that_vouches_for() -> None:
    shown = changing(ANNA, FOREIGN, KEY)
    assert peer_shown(shown, (Authority(KEY),), NOW) == ANNA.peer
    assert peer_shown(shown, (Authority(FOREIGN),), NOW) == ANNA.peer
    assert key_shown(shown, (Authority(KEY),)) == ""
    assert key_shown(shown, (Authority(KEY), Authority(FOREIGN))) == FOREIGN.label


def test_a_key_does_not_vouch_for_the_one_before_it() -> None:
    with pytest.raises(NotAMember, match="another mesh's key"):
        peer_shown(der(ANNA, KEY), (Authority(FOREIGN),), NOW)
    with pytest.raises(NotAMember, match="another mesh's key"):
        peer_shown(changing(ANNA, FOREIGN, MeshKey(b"x" * 32)), (Authority(KEY),), NOW)


def test_a_member_vouches_for_nobody() -> None:
    """Its own certificate, in the place of an authority's that the mesh's key has made."""
    own = x509.load_der_x509_certificate(der(BERT))
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"meshinfer:peer:{ANNA.peer}")])
    between = x509.UnrecognizedExtension(INTRODUCTION, own.public_bytes(Encoding.DER))
    public = ANNA.private_key.public_key()
    forged = (
        x509.CertificateBuilder(own.subject, own.subject, public, 7, NOW - DAY, NOW + DAY)
        .add_extension(names, critical=False)
        .add_extension(between, critical=False)
        .sign(BERT.private_key, algorithm=None)
    )
    with pytest.raises(NotAMember, match="another mesh's key"):
        peer_shown(forged.public_bytes(Encoding.DER), (Authority(KEY),), NOW)


@pytest.mark.parametrize("between", [b"", b"\x30\x03\x02\x01"])
def test_a_torn_introduction_is_no_certificate_of_a_peer(between: bytes) -> None:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"meshinfer:peer:{ANNA.peer}")])
    nobody = x509.Name([])
    torn = (
        x509.CertificateBuilder(nobody, nobody, ANNA.private_key.public_key(), 7, NOW - DAY, NOW + DAY)
        .add_extension(names, critical=False)
        .add_extension(x509.UnrecognizedExtension(INTRODUCTION, between), critical=False)
        .sign(ANNA.private_key, algorithm=None)
    )
    with pytest.raises(NotAMember, match="no certificate of a peer"):
        peer_shown(torn.public_bytes(Encoding.DER), (Authority(KEY),), NOW)


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
