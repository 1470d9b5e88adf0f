"""A signing authority of an environment, and jobs that sign with one-time certificates of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carnet.canonical import sha256_hex
from carnet.signing.certificate import TokenFacts, issue_signing_certificate
from carnet.signing.dsse import Signature
from carnet.signing.keys import SigningKey

GITHUB = "https://token.actions.githubusercontent.com"
JOB = TokenFacts(
    "oidc:token.actions.githubusercontent.com:repo:acme/fraud:environment:prod",
    GITHUB,
    {"repository": ("acme/fraud",), "actor": ("alice-acme",), "ref": ("refs/heads/main",)},
)


class JobAuthority:
    """An authority; ``signer`` makes whoever signs as a job."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dev signing authority")])
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, key, digest, token=JOB, *, now=None, valid_for=timedelta(minutes=10)):
        return issue_signing_certificate(
            key,
            token,
            digest,
            authority=self.certificate,
            authority_key=self.key,
            now=now or self.now,
            valid_for=valid_for,
        )

    def signer(self, token=JOB, *, now=None):
        return JobSigner(self, token, now)


class JobSigner:
    """Signs as a job does: a new key each time, certified for just that."""

    def __init__(self, authority, token, now):
        self._authority, self._token, self._now = authority, token, now
        self.last = None

    def sign_once(self, data):
        key = SigningKey.generate()
        made = self._authority.issue(key.verification_key, sha256_hex(data), self._token, now=self._now)
        self.last = (key, made)
        return Signature(key.key_id, key.sign(data), made.pem)
