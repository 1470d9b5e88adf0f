"""What an object store says, in Carnet's errors.

Responsible for one short line of it: obstore's own text goes over many lines and has URLs in it, which can
carry signatures. So the line is put together from the parts that are known to be harmless, and obstore's
exception is not shown as the cause.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError, UnauthenticatedError

from carnet.errors import CarnetError, InvalidInputError, StorageFullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_CREDENTIALS = "no credentials were found"
OBSTORE_ERRORS = (BaseError, OSError, ValueError)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>|\"(?:code|reason)\": ?\"(\w{1,64})\"|\(code: (\w{1,64})\)")
_HTTP_PROBLEM = re.compile(r"HTTP error: ([a-z ]{1,80})")
_CAUSES = (
    ("BadScheme", "its endpoint is http://, which is used only where ?endpoint= says so"),
    ("UnknownIssuer", "its certificate is by an unknown authority"),
    ("InvalidCertificate", "its certificate is not valid"),
    ("InvalidContentType", "it does not speak TLS"),
    ("ConnectionRefused", "connection refused"),
    ("dns error", "its host name is not known"),
    ("ConnectionReset", "connection reset"),
    ("IncompleteMessage", "connection closed"),
    ("UnexpectedEof", "connection closed"),
    ("TimedOut", "timed out"),
    ("kind: Timeout", "timed out"),
)
# Where a machine asks for its own credentials: an answer from there is not the store's.
_IDENTITY = re.compile(r"169\.254\.|metadata\.google|token request|AssumeRole|redential")
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "StorageFull"})
_REFUSED = frozenset({"AccessDenied", "AllAccessDisabled"})
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"})
_WRONG_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a request that failed.

    Attributes:
        status: The HTTP status; 0 where there was no answer.
        code: The store's own word for it; empty where it has none.
        problem: What went wrong, short.
    """

    status: int
    code: str
    problem: str

    @property
    def no_bucket(self) -> bool:
        """Whether the bucket is not there."""
        return self.code in _NO_BUCKET

    @property
    def refused(self) -> bool:
        """Whether the credentials are wrong or may not do this."""
        return self.status in (401, 403) or self.code in _REFUSED

    @property
    def no_credentials(self) -> bool:
        """Whether none were found to sign the request with."""
        return self.problem == _NO_CREDENTIALS

    @property
    def no_condition(self) -> bool:
        """Whether the store cannot put on a condition."""
        return self.status == 501


def read_failure(error: BaseException) -> Failure:
    """Take obstore's exception apart."""
    text = str(error)
    first_line = text.partition("\n")[0]
    if _IDENTITY.search(first_line):
        return Failure(0, "", _NO_CREDENTIALS)
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    if not status and isinstance(error, PermissionDeniedError | UnauthenticatedError):
        status = 403
    if not status and isinstance(error, NotSupportedError):
        status = 501
    found = _CODE.search(text)
    code = next(filter(None, found.groups())) if found else ""
    if not status and code:  # an error inside an answer that has status 200
        return Failure(0, code, f"it answered {code}")
    if status:
        return Failure(status, code, f"it answered {status}{f' {code}' if code else ''}")
    for mark, cause in _CAUSES:
        if mark in text:
            return Failure(0, code, cause)
    found = _HTTP_PROBLEM.search(first_line)
    if found:
        return Failure(0, code, found[1].strip())
    return Failure(0, code, type(error).__name__)


def store_error(name: str, error: BaseException) -> CarnetError:
    """Return the typed error of a request that failed.

    Args:
        name: The store's, as a person knows it.
        error: obstore's exception.
    """
    failure = read_failure(error)
    if failure.status == 507 or failure.code in _FULL:
        return StorageFullError(
            f"the object store {name} is full ({failure.problem}): free some room and try again"
        )
    return UnavailableError(f"the object store {name} failed: {failure.problem}")


@contextlib.contextmanager
def typed_errors(name: str) -> Iterator[None]:
    """Turn obstore's exceptions within a block into Carnet's errors.

    Args:
        name: The store's, as a person knows it.

    Raises:
        StorageFullError: The store has no room.
        UnavailableError: It failed otherwise.
    """
    try:
        yield
    except OBSTORE_ERRORS as error:
        raise store_error(name, error) from None


@contextlib.contextmanager
def typed_start_errors(name: str, *, credentials: str) -> Iterator[None]:
    """Turn what goes wrong with a store's first use into errors that say what to do.

    Args:
        name: The store's, as a person knows it.
        credentials: Where its credentials come from.

    Raises:
        InvalidInputError: The bucket is not there, or the credentials are wrong.
        StorageFullError: The store has no room.
        UnavailableError: It cannot be reached.
    """
    try:
        yield
    except OBSTORE_ERRORS as error:
        raise _start_error(name, credentials, error) from None


def _start_error(name: str, credentials: str, error: BaseException) -> CarnetError:
    failure = read_failure(error)
    problem = failure.problem
    field = {"field": "blobs"}
    if failure.code in _WRONG_REGION or failure.status in (301, 307, 308):
        return InvalidInputError(
            f"blobs: {name} is in another region or at another endpoint ({problem}): set ?region= and "
            "?endpoint= to its own",
            metadata=field,
        )
    if failure.no_bucket or (failure.status == 404 and not failure.code):
        return InvalidInputError(
            f"blobs: {name} does not exist ({problem}): create the bucket, or name one that is there",
            metadata=field,
        )
    if failure.refused:
        return InvalidInputError(
            f"blobs: {name} refused the credentials, or they may not read, write, list and delete there "
            f"({problem}): check {credentials}",
            metadata=field,
        )
    if failure.no_credentials:
        return InvalidInputError(
            f"blobs: no credentials for {name} were found: set {credentials}", metadata=field
        )
    full = store_error(name, error)
    if isinstance(full, StorageFullError):
        return full
    return UnavailableError(
        f"blobs: {name} cannot be used: {problem}; check that it runs, that this machine reaches it, and the "
        "endpoint in the URL",
        metadata=field,
    )
