"""Every error that Carnet raises on purpose.

Responsible for the vocabulary of failure: a class per family, a stable ``reason`` per class, and metadata
for machines. The transport's table (``carnet.client.status``) maps the families to gRPC codes and back; the
command line's table maps them to exit codes. Nothing here knows either.

Invariants: ``reason`` is UPPER_SNAKE_CASE, unique, and never changes once released; a message says what was
wrong, with which value, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class CarnetError(Exception):
    """The root of all errors that Carnet raises on purpose.

    Args:
        message: What was wrong, with which value, and what to do about it.
        metadata: Facts for machines, as lowerCamelCase keys to strings (AIP-193 ``ErrorInfo.metadata``).
    """

    reason: ClassVar[str] = "CARNET_ERROR"

    def __init__(self, message: str, *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})


# --- what the caller sent ---------------------------------------------------------------------------------


class InvalidInputError(CarnetError):
    """The input is malformed, whatever the state of the system. ``metadata["field"]`` names the field."""

    reason = "INVALID_INPUT"


class DocumentInvalidError(InvalidInputError):
    """A YAML document (``carnet.yaml``, a policy, a configuration) breaks its schema.

    The message starts with ``file:line:column:`` where known.
    """

    reason = "DOCUMENT_INVALID"


class PathRefusedError(InvalidInputError):
    """A path in a bundle is absolute, climbs, is a symlink, or collides with another."""

    reason = "PATH_REFUSED"


class ReferenceInvalidError(InvalidInputError):
    """A reference or resource name is not of the form that is wanted."""

    reason = "REFERENCE_INVALID"


class FileUnreadableError(InvalidInputError):
    """A local file that was named is missing or cannot be read."""

    reason = "FILE_UNREADABLE"


class MessageTooLargeError(InvalidInputError):
    """A message is over the size that the server takes."""

    reason = "MESSAGE_TOO_LARGE"


class OffsetOutOfRangeError(CarnetError):
    """An offset lies outside the blob, or is not where the upload stands (``metadata["committedBytes"]``)."""

    reason = "OFFSET_OUT_OF_RANGE"


# --- integrity --------------------------------------------------------------------------------------------


class IntegrityError(CarnetError):
    """Bytes, a signature or a proof are not what they claim to be."""

    reason = "INTEGRITY"


class DigestMismatchError(IntegrityError):
    """The SHA-256 of the bytes is not the digest that was stated for them."""

    reason = "DIGEST_MISMATCH"


class SignatureInvalidError(IntegrityError):
    """A signature is malformed, over other bytes, or does not verify."""

    reason = "SIGNATURE_INVALID"


class KeyUntrustedError(IntegrityError):
    """A signature is by a key that is unknown here, or not trusted for this purpose."""

    reason = "KEY_UNTRUSTED"


class StatementInvalidError(IntegrityError):
    """A signed statement is well signed but says something else than it must."""

    reason = "STATEMENT_INVALID"


class ProofInvalidError(IntegrityError):
    """A Merkle proof, checkpoint or receipt does not verify."""

    reason = "PROOF_INVALID"


class LogTamperedError(IntegrityError):
    """A log's bytes contradict its signed tree head or another signed statement."""

    reason = "LOG_TAMPERED"


class DataLossError(CarnetError):
    """Bytes that are stored are not the bytes that were written, or are gone."""

    reason = "DATA_LOSS"


# --- who is asking ----------------------------------------------------------------------------------------


class UnauthenticatedError(CarnetError):
    """The caller showed no identity that this environment accepts."""

    reason = "UNAUTHENTICATED"


class CertificateExpiredError(UnauthenticatedError):
    """The caller's own certificate is not valid at this time; found before dialling."""

    reason = "CERTIFICATE_EXPIRED"


class PermissionDeniedError(CarnetError):
    """The caller is known and may not do this; says nothing of whether the thing exists."""

    reason = "PERMISSION_DENIED"


# --- the state of the system ------------------------------------------------------------------------------


class NotFoundError(CarnetError):
    """The named resource does not exist here."""

    reason = "NOT_FOUND"


class AlreadyExistsError(CarnetError):
    """The name is taken by something else."""

    reason = "ALREADY_EXISTS"


class ConflictError(CarnetError):
    """The resource changed between the caller's read and write; read again and decide anew."""

    reason = "CONFLICT"


class StaleEpochError(ConflictError):
    """Another worker took this promotion over; this one must stop."""

    reason = "STALE_EPOCH"


class PreconditionFailedError(CarnetError):
    """The request is well formed and not possible in the present state."""

    reason = "PRECONDITION_FAILED"


class IllegalTransitionError(PreconditionFailedError):
    """The resource's state does not allow the step; the message names the legal ones."""

    reason = "ILLEGAL_TRANSITION"


class BlobsMissingError(PreconditionFailedError):
    """A version names blobs that this namespace has not been given (``metadata["digests"]``)."""

    reason = "BLOBS_MISSING"


class PurgedError(PreconditionFailedError):
    """The version's files were purged; what is left of it are its manifest and its log entries.

    ``metadata["subject"]`` names the version, and ``metadata["purgeTime"]`` says when.
    """

    reason = "PURGED"


class ErasedError(PreconditionFailedError):
    """The document was erased for good; it is not stored a second time.

    ``metadata["digest"]`` names the document, and ``metadata["log_index"]`` the entry that erased it.
    """

    reason = "ERASED"


class MustBeKeptError(PreconditionFailedError):
    """The document may not be erased, or not yet.

    ``metadata["digest"]`` names the document, and ``metadata["because"]`` says why, as a code: ``kind``,
    ``policy``, ``window``, ``hold``, ``promotion``, ``review`` or ``rollout``.
    """

    reason = "MUST_BE_KEPT"


class ContractBrokenError(PreconditionFailedError):
    """A semantic version promises more than the version keeps.

    ``metadata["field"]`` names what breaks it, and ``metadata["nextSemanticVersion"]`` the number to take.
    """

    reason = "CONTRACT_BROKEN"


class GateRefusedError(PreconditionFailedError):
    """A policy said no; the message names each rule that failed."""

    reason = "GATE_REFUSED"


class GateAwaitingError(PreconditionFailedError):
    """A policy has not said yes so far; the message names what is awaited."""

    reason = "GATE_AWAITING"


class ResourceExhaustedError(CarnetError):
    """A quota or a limit is used up."""

    reason = "RESOURCE_EXHAUSTED"


class StorageFullError(ResourceExhaustedError):
    """The disk or store that holds blobs or metadata is full; nothing was stored."""

    reason = "STORAGE_FULL"


class UnavailableError(CarnetError):
    """A peer, database or store cannot be reached now; ``retry_after_seconds`` says when to try again."""

    reason = "UNAVAILABLE"

    def __init__(
        self, message: str, *, metadata: Mapping[str, str] | None = None, retry_after_seconds: float = 1.0
    ) -> None:
        super().__init__(message, metadata=metadata)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceededError(CarnetError):
    """The call or the wait did not end in the time that was given."""

    reason = "DEADLINE_EXCEEDED"


class CancelledError(CarnetError):
    """The call was cancelled by the caller."""

    reason = "CANCELLED"


class UnimplementedError(CarnetError):
    """The server is older than this client, or is another service."""

    reason = "UNIMPLEMENTED"


class InternalError(CarnetError):
    """A defect; the cause is in the server's log, not in the answer."""

    reason = "INTERNAL"
