"""Signing as a job: with a new key each time, which an environment certifies for just that signature.

Responsible for making the key, for asking the environment's registry for its certificate at the address for
tokens (``IdentityService.IssueCertificate``), and for not believing the answer: the certificate must be by
the pinned authority, for this key and for these bytes. The key is forgotten once it has signed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.canonical import sha256_hex
from carnet.errors import SignatureInvalidError
from carnet.registry.v1 import identity_pb2
from carnet.signing.certificate import read_signing_certificate, require_payload
from carnet.signing.dsse import Signature
from carnet.signing.keys import SigningKey

if TYPE_CHECKING:
    from carnet.client.connection import RegistryConnection
    from carnet.signing.certificate import SigningAuthority

ISSUE_SECONDS = 30.0


class JobSigner:
    """Signs for whoever shows an OIDC token; made on the event loop, used on other threads.

    Args:
        registry: The connection to the environment's registry, by token.
        authority: The environment's signing authority, as it is pinned.
    """

    def __init__(self, registry: RegistryConnection, authority: SigningAuthority) -> None:
        self._registry = registry
        self._authority = authority
        self._loop = asyncio.get_running_loop()

    def sign_once(self, data: bytes) -> Signature:
        """Make a key, have it certified for these bytes, and sign them; see ``OneTimeSigner``.

        Args:
            data: The pre-authentication encoding of what is signed.

        Raises:
            SignatureInvalidError: The answer is no certificate by the pinned authority for this.
            CarnetError: The registry could not be asked, or refused; the class says how.
        """
        private = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        asked = identity_pb2.IssueCertificateRequest(
            certificate_request=request.sign(private, hashes.SHA256()).public_bytes(
                serialization.Encoding.DER
            ),
            payload_digest=sha256_hex(data),
        )
        answer = asyncio.run_coroutine_threadsafe(self._issue(asked), self._loop).result()
        key = SigningKey(private)
        certificate = read_signing_certificate(answer.certificate_chain)
        require_payload(certificate, data)
        if certificate.key != key.verification_key or not self._authority.issued(certificate):
            raise SignatureInvalidError(
                f"{self._registry.peer} answered with a certificate of another key, or by another authority "
                "than the pinned one: compare `signing_authority` in federation.yaml"
            )
        return Signature(key.key_id, key.sign(data), certificate.pem)

    async def _issue(
        self, request: identity_pb2.IssueCertificateRequest
    ) -> identity_pb2.IssueCertificateResponse:
        answer: identity_pb2.IssueCertificateResponse = await self._registry.call(
            self._registry.identity.IssueCertificate, request, deadline_seconds=ISSUE_SECONDS
        )
        return answer
