"""A small private certificate authority with SPIFFE identities, and the signing authority of an environment.

Responsible for the certificates that ``carnet init`` makes: ECDSA P-256, one SPIFFE URI in each leaf, a DNS
name too in those of servers. Does not revoke, and renews only signing authorities.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carnet_server.local.files import write_new_file

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY_VALID_FOR = timedelta(days=3650)
LEAF_VALID_FOR = timedelta(days=397)
CLOCK_SKEW = timedelta(minutes=5)
SIGNING_AUTHORITY_VALID_FOR = timedelta(days=365)
SIGNING_AUTHORITY_FILE = "signing-authority.pem"
SIGNING_AUTHORITY_KEY_FILE = "signing-authority-key.pem"


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass(frozen=True)
class Authority:
    """A certificate authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, trust_domain: str, *, now: datetime | None = None) -> Authority:
        """Make an authority for a SPIFFE trust domain.

        Args:
            trust_domain: Such as ``carnet.internal``; the authority signs for no other.
            now: When it begins to be valid.
        """
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Carnet authority of {trust_domain}")
        builder = _self_issued(
            name, key, begins=now - CLOCK_SKEW, ends=now + AUTHORITY_VALID_FOR
        ).add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]),
            critical=False,
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def create_for_signing(cls, environment: str, *, now: datetime | None = None) -> Authority:
        """Make the signing authority of an environment, which certifies keys of jobs and no callers.

        Args:
            environment: The environment.
            now: When it begins to be valid.
        """
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Carnet signing authority of {environment}")
        builder = _self_issued(name, key, begins=now - CLOCK_SKEW, ends=now + SIGNING_AUTHORITY_VALID_FOR)
        return cls(builder.sign(key, hashes.SHA256()), key)

    def renewed(self, *, now: datetime | None = None) -> Authority:
        """Return this signing authority with a later end.

        Name, key and begin stay, so that what it certified before is still by it.

        Args:
            now: From when on it is valid for another year.
        """
        now = now or datetime.now(UTC)
        builder = _self_issued(
            self.certificate.subject,
            self.key,
            begins=self.certificate.not_valid_before_utc,
            ends=now + SIGNING_AUTHORITY_VALID_FOR,
        )
        return Authority(builder.sign(self.key, hashes.SHA256()), self.key)

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Read an authority from its folder."""
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Write the certificate and its key into a folder."""
        write_new_file(folder / "ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))
        write_new_file(folder / "ca-key.pem", _key_pem(self.key), secret=True)

    def save_for_signing(self, folder: Path) -> None:
        """Write a signing authority and its key into an environment's folder."""
        write_new_file(folder / SIGNING_AUTHORITY_FILE, self.pem.encode())
        write_new_file(folder / SIGNING_AUTHORITY_KEY_FILE, _key_pem(self.key), secret=True)

    def issue(
        self,
        folder: Path,
        *,
        spiffe_id: str,
        server_name: str = "",
        now: datetime | None = None,
        valid_for: timedelta = LEAF_VALID_FOR,
    ) -> None:
        """Issue a certificate, and write it as ``tls.pem`` and ``tls-key.pem`` into a folder.

        Args:
            folder: Where to write.
            spiffe_id: The identity, the one URI in the certificate (SPIFFE X509-SVID, section 2).
            server_name: The DNS name of a server; empty for a client.
            now: When it begins to be valid.
            valid_for: How long it is valid.
        """
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(spiffe_id)]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if server_name:
            names.append(x509.DNSName(server_name))
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(spiffe_id.removeprefix("spiffe://").partition("/")[2][:64]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + valid_for)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        write_new_file(folder / "tls.pem", certificate.public_bytes(serialization.Encoding.PEM))
        write_new_file(folder / "tls-key.pem", _key_pem(key), secret=True)


def _self_issued(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, *, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    """Return what an authority's own certificate says (RFC 5280, section 4.2.1.9)."""
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
