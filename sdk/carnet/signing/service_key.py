"""A key that a KMS or an HSM keeps: it signs there, and the private part is never here.

Responsible for the way to it through securesystemslib, which is imported only when such a key is named, for a
limit on how long a call may take, and for verifying each signature with the public key before it is used: a
signature of another key never leaves this module. Only ECDSA on the NIST curves, with the hash that belongs
to the curve, and only the curves that the service can sign with so. Credentials are the service's own
affair, found by its library as it always finds them.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from carnet.errors import (
    CarnetError,
    InvalidInputError,
    PreconditionFailedError,
    SignatureInvalidError,
    UnavailableError,
)
from carnet.signing.keys import SigningKey
from carnet.signing.service_failures import describe_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.signing.keys import VerificationKey
    from carnet.signing.passphrase import Passphrase

T = TypeVar("T")
_SCHEMES = {"P-256": "ecdsa-sha2-nistp256", "P-384": "ecdsa-sha2-nistp384", "P-521": "ecdsa-sha2-nistp521"}


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of service that keeps keys.

    Attributes:
        name: What people call it.
        extra: The extra of this distribution that brings its library.
        curves: The curves that it signs on with the hash that belongs to them.
        calls: How many signatures may be under way at once.
        timeout_seconds: How long one may take.
        has_pin: Whether it asks for a PIN.
    """

    name: str
    extra: str
    curves: tuple[str, ...]
    calls: int = 8
    timeout_seconds: float = 20.0
    has_pin: bool = False


SERVICES = {
    "awskms": Service("AWS KMS", "aws", ("P-256", "P-384")),
    "gcpkms": Service("Google Cloud KMS", "gcp", ("P-256", "P-384")),
    "azurekms": Service("Azure Key Vault", "azure", ("P-256", "P-384", "P-521")),
    # Its signer asks Vault for SHA-256, whatever the key.
    "hv": Service("HashiCorp Vault", "vault", ("P-256",)),
    # One login at a time, and somebody may have to touch it.
    "hsm": Service("the HSM", "hsm", ("P-256", "P-384"), calls=1, timeout_seconds=60.0, has_pin=True),
}


def service_of(uri: str) -> Service:
    """Return the service that a key's URI is about.

    Raises:
        InvalidInputError: There is none of that scheme.
    """
    scheme, colon, rest = uri.partition(":")
    service = SERVICES.get(scheme)
    if service is None or not colon or not (rest or service.has_pin):
        raise InvalidInputError(
            f"{uri[:200]!r} names no key: write one of {', '.join(f'{each}:…' for each in SERVICES)}",
            metadata={"field": "uri"},
        )
    return service


class ServiceKey(SigningKey):
    """A key at a KMS or in an HSM; make one with ``connect``.

    It may be used from several threads.

    Attributes:
        uri: Where it is.
        signer: The library's own object for it.
    """

    __slots__ = ("_calls", "_service", "signer", "uri")

    def __init__(self, uri: str, verification_key: VerificationKey, signer: Any) -> None:
        # No private key is here, so that the other's constructor has nothing to do.
        self.uri = uri
        self.verification_key = verification_key
        self.authentication = "service"
        self.signer = signer
        self._service = service_of(uri)
        self._calls = threading.BoundedSemaphore(self._service.calls)

    @staticmethod
    def connect(uri: str, verification_key: VerificationKey, *, pin: Passphrase | None = None) -> ServiceKey:
        """Make ready to sign with a key that a service keeps; nothing is signed.

        Args:
            uri: The key, as securesystemslib names it: ``awskms:…``, ``gcpkms:…``, ``azurekms://…``,
                ``hv:NAME/VERSION``, ``hsm:[ID][?label=TOKEN]``.
            verification_key: Its public key.
            pin: The PIN of an HSM; no other service wants one.

        Raises:
            InvalidInputError: The URI is none, or the service cannot sign on the key's curve as it must.
            PreconditionFailedError: The service's library is not installed.
            UnauthenticatedError: There are no credentials for it, or an HSM's PIN is missing.
            UnavailableError: It does not answer.
        """
        service = service_of(uri)
        if verification_key.curve not in service.curves:
            raise InvalidInputError(
                f"{uri}: {service.name} cannot sign statements with a key on {verification_key.curve}: use "
                f"one on {' or '.join(service.curves)}",
                metadata={"field": "uri"},
            )
        signer = _within(
            service.timeout_seconds,
            lambda: _open(uri, service, verification_key, pin),
            what=f"{uri} cannot be used",
        )
        return ServiceKey(uri, verification_key, signer)

    def sign(self, data: bytes) -> bytes:
        """Have bytes signed; takes as long as the call, so not on an event loop.

        Args:
            data: The bytes; only their digest goes to a KMS, except to Vault, which hashes itself.

        Returns:
            The ECDSA signature in DER, verified.

        Raises:
            UnavailableError: The service cannot be reached, or does not answer in time.
            PermissionDeniedError: It refuses.
            UnauthenticatedError: It does not accept the credentials, or the PIN.
            NotFoundError: It has no such key.
            SignatureInvalidError: It signed with another key than the public key that is named.
            CarnetError: It failed otherwise; the class says how.
        """
        what = f"{self.uri} did not sign"
        if not self._calls.acquire(timeout=self._service.timeout_seconds):
            raise UnavailableError(
                f"{what}: {self._service.calls} calls are under way, and none ended in "
                f"{self._service.timeout_seconds:.0f} seconds"
            )

        def call() -> bytes:
            try:
                return bytes.fromhex(self.signer.sign(data).signature)
            finally:
                self._calls.release()

        signature = _within(self._service.timeout_seconds, call, what=what)
        try:
            self.verification_key.verify(data, signature)
        except SignatureInvalidError as error:
            raise SignatureInvalidError(
                f"{self.uri} signs with another key than the public key {self.key_id[:16]}… that is named "
                "with it: set public_key to that of the key at the service",
                metadata={"keyId": self.key_id},
            ) from error
        return signature

    def to_pem(self, *, passphrase: Passphrase | None = None) -> bytes:  # noqa: ARG002  the other's signature
        """Refuse: the private part is nowhere but at the service.

        Raises:
            PreconditionFailedError: Always.
        """
        raise PreconditionFailedError(f"{self.uri}: a key at {self._service.name} is never written to a file")

    def __repr__(self) -> str:
        return f"ServiceKey({self.uri}, {self.key_id[:16]}…)"


def _open(uri: str, service: Service, verification_key: VerificationKey, pin: Passphrase | None) -> Any:
    if service.has_pin and pin is None:
        raise PreconditionFailedError(f"{uri}: {service.name} needs a PIN, and none was given")
    try:
        library = importlib.import_module("securesystemslib.signer")
        missing = importlib.import_module("securesystemslib.exceptions").UnsupportedLibraryError
    except ImportError as error:
        raise _not_installed(uri, service) from error
    scheme = _SCHEMES[verification_key.curve]
    public = library.SSlibKey(verification_key.key_id, "ecdsa", scheme, {"public": verification_key.pem})
    try:
        return library.Signer.from_priv_key_uri(uri, public, (lambda _: pin.text) if pin else None)
    except missing as error:
        raise _not_installed(uri, service) from error


def _not_installed(uri: str, service: Service) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{uri} needs the library of {service.name}, which is not installed: pip install "
        f"'carnet[{service.extra}]'",
        metadata={"extra": service.extra},
    )


def _within(seconds: float, call: Callable[[], T], *, what: str) -> T:
    """Run a call in a thread of its own, and wait for it so long and no longer.

    The services' libraries wait for minutes by default, some without an end. A call that is given up ends
    with its thread, which keeps no process alive.
    """
    results: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001  the libraries have no class in common; it is raised below
            failures.append(error)

    thread = threading.Thread(target=run, name="carnet-key-service", daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if failures:
        if isinstance(failures[0], CarnetError):
            raise failures[0]
        raise describe_failure(failures[0], what=what) from failures[0]
    raise UnavailableError(f"{what}: no answer in {seconds:.0f} seconds")
