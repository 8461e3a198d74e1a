"""Certificates: each peer mints its own, under an authority that is derived from the mesh's key.

Whoever has the key can make the authority's own private key (Ed25519, RFC 8032), and so a certificate for
any public key; nobody else can. But a peer's id is the hash of its public key: a member that shows somebody
else's id would need that one's private key, which never leaves its machine.

While a mesh changes its key, the former authority vouches for the new one, in a certificate that each peer
shows beside its own, and inside it: so who has either key accepts it. It does not hold the other way round.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshinfer.topology.ring import PeerId

from .mesh_key import MeshKey

# Fixed, so that every machine derives the same authority, byte for byte.
_BEGAN, _ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2126, 1, 1, tzinfo=UTC)

_SLACK = timedelta(days=2)
"""Clocks of machines that have just been unpacked may be wrong by a day."""

_URI = "meshinfer:peer:"

INTRODUCTION = x509.ObjectIdentifier("2.25.206915731158318206271263172164103423101")
"""In a peer's certificate: how another authority vouches for the one that made it. Of a UUID, so nobody's."""

SEED_BYTES = 32


class NotAMember(Exception):
    """A certificate that proves no membership; the text says why."""


@dataclass(frozen=True, slots=True)
class PeerSecret:
    """A peer's own key pair; its id follows from it. seed: 32 bytes that never leave this machine."""

    seed: bytes = field(repr=False)

    @classmethod
    def draw(cls) -> "PeerSecret":
        """Make a new peer."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """What signs."""
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def peer(self) -> PeerId:
        """The peer's id."""
        return peer_of(self.private_key.public_key())


def peer_of(public: Ed25519PublicKey) -> PeerId:
    """The id of who holds the private key to this: 16 bytes of its SHA-256, in hex."""
    return PeerId(hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:16].hex())


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a peer shows: PEM of its certificate, and of the key to it."""

    certificate: bytes
    private_key: bytes = field(repr=False)


class Authority:
    """Mints and checks the certificates of one mesh key. label: of that key."""

    def __init__(self, key: MeshKey) -> None:
        self.label = key.label
        self._signer = Ed25519PrivateKey.from_private_bytes(key.derive("authority"))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"meshinfer {key.label}")])
        identity = x509.SubjectKeyIdentifier.from_public_key(self._signer.public_key())
        self._own = (
            x509.CertificateBuilder(name, name, self._signer.public_key(), 1, _BEGAN, _ENDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(signs_others=True), critical=True)
            .add_extension(identity, critical=False)
            .sign(self._signer, algorithm=None)
        )

    @property
    def pem(self) -> bytes:
        """The authority's own certificate: the same wherever the key is."""
        return self._own.public_bytes(Encoding.PEM)

    def mint(
        self, secret: PeerSecret, now: datetime, lifetime: timedelta, former: "Authority | None" = None
    ) -> Credentials:
        """Make a peer's certificate, for links in both directions. now: with its zone.

        former: whoever accepts this authority accepts the certificate too.
        """
        public = secret.private_key.public_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, secret.peer)])
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = (
            x509.CertificateBuilder(
                self._own.subject, subject, public, x509.random_serial_number(), now - _SLACK, now + lifetime
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_others=False), critical=True)
            .add_extension(uses, critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_URI + secret.peer)]),
                critical=False,
            )
            .add_extension(self._identifier, critical=False)
        )
        chain = b""
        if former is not None:
            introduction = former._introduce(self)
            chain = introduction.public_bytes(Encoding.PEM)
            shown = x509.UnrecognizedExtension(INTRODUCTION, introduction.public_bytes(Encoding.DER))
            builder = builder.add_extension(shown, critical=False)
        certificate = builder.sign(self._signer, algorithm=None)
        private = secret.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Credentials(certificate.public_bytes(Encoding.PEM) + chain, private)

    def vouches_for(self, certificate: x509.Certificate) -> bool:
        """Whether this authority has made a certificate, or vouches for the one that did."""
        return self.has_signed(certificate) or (
            (between := _introduction(certificate)) is not None
            and self.has_signed(between)
            and between.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            and certificate.issuer == between.subject
            and _is_signed_by(certificate, between.public_key())
        )

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Whether this authority has made a certificate."""
        return certificate.issuer == self._own.subject and _is_signed_by(
            certificate, self._signer.public_key()
        )

    @property
    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        identity = x509.SubjectKeyIdentifier.from_public_key(self._signer.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity)

    def _introduce(self, heir: "Authority") -> x509.Certificate:
        """Vouch for the authority of the key that takes the place of this one's."""
        public = heir._signer.public_key()
        serial = x509.random_serial_number()
        return (
            x509.CertificateBuilder(self._own.subject, heir._own.subject, public, serial, _BEGAN, _ENDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_others=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(self._identifier, critical=False)
            .sign(self._signer, algorithm=None)
        )


def peer_shown(der: bytes, authorities: tuple[Authority, ...], now: datetime) -> PeerId:
    """Whom a certificate proves: the id of who showed it in a handshake, and so holds its private key.

    TLS checks chain and dates as well; this does not depend on how it was set up.

    Raises:
        NotAMember: it proves nobody; the text says why.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        public = certificate.public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        is_vouched_for = any(authority.vouches_for(certificate) for authority in authorities)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise NotAMember(f"it shows no certificate of a peer: {error}") from error
    if not is_vouched_for:
        raise NotAMember("its certificate was made with another mesh's key")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise NotAMember(
            f"its certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, not now: is a clock wrong?"
        )
    if not isinstance(public, Ed25519PublicKey):
        raise NotAMember("its certificate is of another kind of key than peers have")
    if uris != [_URI + (peer := peer_of(public))]:
        raise NotAMember("its certificate names another peer than its key belongs to")
    return peer


def key_shown(der: bytes, authorities: tuple[Authority, ...]) -> str:
    """The label of the key under which a certificate, that proves somebody, was made; empty: of none here."""
    certificate = x509.load_der_x509_certificate(der)
    return next((each.label for each in authorities if each.has_signed(certificate)), "")


def _introduction(certificate: x509.Certificate) -> x509.Certificate | None:
    try:
        shown = certificate.extensions.get_extension_for_oid(INTRODUCTION).value
    except x509.ExtensionNotFound:
        return None
    assert isinstance(shown, x509.UnrecognizedExtension)
    return x509.load_der_x509_certificate(shown.value)


def _is_signed_by(certificate: x509.Certificate, public: object) -> bool:
    if not isinstance(public, Ed25519PublicKey):
        return False
    try:
        public.verify(certificate.signature, certificate.tbs_certificate_bytes)
    except InvalidSignature:
        return False
    return True


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        key_cert_sign=signs_others,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
