"""Channels over TLS, and calls on them with typed errors and retries.

Responsible for one way to dial (certificate or token, server name, message sizes, keepalive) and one way to
call (deadline, retries with jitter on UNAVAILABLE for calls that may be repeated). A refused handshake looks
like a dead peer to gRPC, so the caller's own certificate is looked at before dialling.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc
import grpc.aio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from carnet.client.status import error_of
from carnet.documents import read_file
from carnet.errors import CarnetError, CertificateExpiredError, DocumentInvalidError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

MAX_MESSAGE_BYTES = 4 << 20
# How far a sender may run ahead of its receiver. gRPC's own probing lets it be so much on a fast link that a
# large blob costs some 90 MiB of memory at its receiver; 4 MiB keep 40 MB/s over a round trip of 100 ms.
FLOW_CONTROL = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 4 << 20))
DEFAULT_DEADLINE_SECONDS = 30.0
_ATTEMPTS = 6
_FIRST_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 2.0

Request_contra = TypeVar("Request_contra", contravariant=True)
Response_co = TypeVar("Response_co", covariant=True)
Response = TypeVar("Response")
Request = TypeVar("Request")


class UnaryMethod(Protocol[Request_contra, Response_co]):
    """A stub's method that takes one message and answers with one."""

    def __call__(self, request: Request_contra, *, timeout: float | None = None) -> Any:
        """Start the call."""


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """What a party shows of itself, and whom it believes.

    Attributes:
        certificate: Its certificate chain, PEM.
        private_key: The certificate's key, PEM.
        ca: The certificates of the authorities that it believes, PEM.
        files: Where they were read, in this order, so that renewed ones are found; None for nowhere.
    """

    certificate: bytes
    private_key: bytes = field(repr=False)
    ca: bytes
    files: tuple[Path, Path, Path] | None = field(default=None, compare=False)

    @classmethod
    def load(cls, certificate: Path, private_key: Path, ca: Path) -> TlsIdentity:
        """Read the three files.

        Raises:
            FileUnreadableError: One is missing or cannot be read.
        """
        return cls(
            read_file(certificate, what="certificate"),
            read_file(private_key, what="private key"),
            read_file(ca, what="CA certificate"),
            (certificate, private_key, ca),
        )

    def check(self, now: datetime | None = None) -> None:
        """Refuse what could not be used: a certificate that is not valid, a key of another, no authorities.

        Raises:
            DocumentInvalidError: A part is not PEM, or the key is not the certificate's.
            CertificateExpiredError: The certificate has ended or not begun.
        """
        self.check_dates(now)
        try:
            held = load_pem_private_key(self.private_key, password=None).public_key()
            certified = x509.load_pem_x509_certificate(self.certificate).public_key()
            x509.load_pem_x509_certificates(self.ca)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise DocumentInvalidError(f"the TLS key or the CA certificates are not PEM: {error}") from error
        if held != certified:
            raise DocumentInvalidError("the TLS key is not the one that the certificate is for")

    def check_dates(self, now: datetime | None = None) -> None:
        """Refuse a certificate that is not valid at this time.

        Raises:
            DocumentInvalidError: It is not a PEM certificate.
            CertificateExpiredError: It has ended or not begun.
        """
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate)
        except ValueError as error:
            raise DocumentInvalidError(f"the client certificate is not PEM X.509: {error}") from error
        now = now or datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise CertificateExpiredError(
                f"this identity's certificate ({certificate.subject.rfc4514_string()}) is valid from "
                f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC only: get a new one"
            )


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """What a party shows that has an OIDC token instead of a certificate, and whom it believes.

    Attributes:
        ca: The certificates of the authorities that it believes, PEM.
        read_token: Returns the token; called for each call, so that a token that is renewed is found.
    """

    ca: bytes
    read_token: Callable[[], str] = field(repr=False)


class _Bearer(grpc.AuthMetadataPlugin):
    """Puts the token into the metadata of each call (RFC 6750, section 2.1)."""

    def __init__(self, read_token: Callable[[], str]) -> None:
        self._read_token = read_token

    def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            metadata = (("authorization", f"Bearer {self._read_token()}"),)
        except CarnetError as error:
            callback((), error)
        else:
            callback(metadata, None)


def _credentials(identity: TlsIdentity | TokenIdentity) -> grpc.ChannelCredentials:
    if isinstance(identity, TokenIdentity):
        return grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(root_certificates=identity.ca),
            grpc.metadata_call_credentials(_Bearer(identity.read_token)),
        )
    identity.check_dates()
    return grpc.ssl_channel_credentials(
        root_certificates=identity.ca,
        private_key=identity.private_key,
        certificate_chain=identity.certificate,
    )


def open_channel(
    endpoint: str, *, server_name: str, identity: TlsIdentity | TokenIdentity
) -> grpc.aio.Channel:
    """Open a channel over TLS; nothing is dialled before the first call.

    Args:
        endpoint: ``host:port``.
        server_name: The DNS name that the server's certificate must have: what pins who is at that address.
        identity: The caller's certificate and key, or its token, and the authorities that it believes.

    Returns:
        The channel; the caller closes it.

    Raises:
        CertificateExpiredError: The caller's own certificate is not valid now.
    """
    credentials = _credentials(identity)
    options: list[tuple[str, Any]] = [
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # An error's status travels in headers; gRPC's own bound is too near to what a long message takes.
        ("grpc.max_metadata_size", 32 << 10),
        ("grpc.absolute_max_metadata_size", 64 << 10),
        *FLOW_CONTROL,
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        # Shorter than the pauses of `call` together: a peer that came back is found by its last attempt.
        ("grpc.max_reconnect_backoff_ms", 400),
    ]
    return grpc.aio.secure_channel(endpoint, credentials, options=options)


@contextlib.contextmanager
def typed_errors(peer: str) -> Iterator[None]:
    """Turn gRPC's errors into Carnet's within a block.

    Args:
        peer: Who is called, for messages.

    Raises:
        CarnetError: The call failed; the class says how.
    """
    try:
        yield
    except grpc.RpcError as failure:
        raise error_of(failure, peer=peer) from failure


async def call(
    method: Any,
    request: Any,
    *,
    peer: str,
    deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    idempotent: bool = True,
) -> Any:
    """Make a unary call.

    Args:
        method: The stub's method.
        request: Its request.
        peer: Who is called, for messages.
        deadline_seconds: The limit for all attempts together.
        idempotent: Whether the call may be repeated when the peer was not there.

    Returns:
        The response.

    Raises:
        CarnetError: The call failed; the class says how.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_seconds
    backoff = _FIRST_BACKOFF_SECONDS
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with typed_errors(peer):
                return await method(request, timeout=max(end - loop.time(), 0.001))
        except UnavailableError:
            pause = backoff * random.uniform(0.5, 1.5)  # noqa: S311  jitter
            if not idempotent or attempt == _ATTEMPTS or loop.time() + pause >= end:
                raise
            await asyncio.sleep(pause)
            backoff = min(backoff * 2, _MAX_BACKOFF_SECONDS)
    raise AssertionError("unreachable")


async def stream(
    method: Any, request: Any, *, peer: str, deadline_seconds: float | None = None
) -> AsyncIterator[Any]:
    """Make a server-streaming call; it is cancelled when the iteration stops early.

    Args:
        method: The stub's method.
        request: Its request.
        peer: Who is called, for messages.
        deadline_seconds: The limit for the whole stream; None for none.

    Yields:
        The responses.

    Raises:
        CarnetError: The call failed; the class says how.
    """
    started = method(request, timeout=deadline_seconds)
    try:
        with typed_errors(peer):
            async for response in started:
                yield response
    finally:
        started.cancel()
