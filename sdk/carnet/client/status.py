"""The one table between Carnet's errors and gRPC's, used by servers to answer and by clients to understand.

Responsible for ``google.rpc.Status`` with exactly one ``ErrorInfo`` (AIP-193) in both directions. A client
learns the class from ``ErrorInfo.reason``; errors that gRPC itself makes carry none, and get theirs from the
code. Does not retry and does not log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from carnet import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

ERROR_DOMAIN = "carnet"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
# A status travels in HTTP/2 headers, which gRPC bounds at 8 KiB, and non-ASCII text is percent-encoded there.
MAX_MESSAGE_CHARACTERS = 1500
MAX_DETAIL_CHARACTERS = 500
INTERNAL_MESSAGE = "internal error: it is in the server's log under the same time"

CODES: dict[type[errors.CarnetError], grpc.StatusCode] = {
    errors.CarnetError: grpc.StatusCode.INTERNAL,
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.IntegrityError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.OffsetOutOfRangeError: grpc.StatusCode.OUT_OF_RANGE,
    errors.DataLossError: grpc.StatusCode.DATA_LOSS,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.ConflictError: grpc.StatusCode.ABORTED,
    errors.PreconditionFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.CancelledError: grpc.StatusCode.CANCELLED,
    errors.UnimplementedError: grpc.StatusCode.UNIMPLEMENTED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}
_CLASS_OF_CODE = {code: family for family, code in CODES.items() if family is not errors.CarnetError} | {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInputError,
    grpc.StatusCode.UNKNOWN: errors.InternalError,
}


def every_error_class() -> Iterator[type[errors.CarnetError]]:
    """Yield ``CarnetError`` and all its subclasses."""
    pending: list[type[errors.CarnetError]] = [errors.CarnetError]
    while pending:
        family = pending.pop()
        yield family
        pending.extend(family.__subclasses__())


CLASS_OF_REASON = {family.reason: family for family in every_error_class()}


def code_of(error: errors.CarnetError) -> grpc.StatusCode:
    """Return the gRPC code of an error: that of the nearest class in the table."""
    return next(CODES[family] for family in type(error).__mro__ if family in CODES)


def status_of(error: errors.CarnetError) -> status_pb2.Status:
    """Return an error as a rich status: one ``ErrorInfo``, and the details that its family calls for."""
    code, _ = code_of(error).value
    text = _shortened(error.message, MAX_MESSAGE_CHARACTERS)
    summary = _shortened(error.message, MAX_DETAIL_CHARACTERS)
    metadata = {key: _shortened(value, MAX_DETAIL_CHARACTERS) for key, value in error.metadata.items()}
    status = status_pb2.Status(code=code, message=text)
    details: list[any_pb2.Any] = []
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    details.append(_packed(info))
    if isinstance(error, errors.InvalidInputError):
        request = error_details_pb2.BadRequest()
        request.field_violations.add(field=metadata.get("field", ""), description=summary)
        details.append(_packed(request))
    elif isinstance(error, errors.PreconditionFailedError):
        failure = error_details_pb2.PreconditionFailure()
        failure.violations.add(type=error.reason, subject=metadata.get("subject", ""), description=summary)
        details.append(_packed(failure))
    elif isinstance(error, errors.UnavailableError):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    status.details.extend(details)
    return status


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def error_of(failure: grpc.RpcError, *, peer: str) -> errors.CarnetError:
    """Return the typed error of a failed call.

    Args:
        failure: What the gRPC library raised (of ``grpc`` or ``grpc.aio``).
        peer: Who was called, for messages about not being answered.

    Returns:
        The error of ``ErrorInfo.reason`` where the status has one of our domain, else that of the code.
    """
    call: Any = failure
    code = call.code()
    text = call.details() or ""
    for key, value in call.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY:
            error = _error_of_status(value)
            if error is not None:
                return error
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than" in text:
        return errors.MessageTooLargeError(f"{peer}: {text}")
    family = _CLASS_OF_CODE.get(code, errors.InternalError)
    if family is errors.UnavailableError:
        text = f"{peer} cannot be reached: {text or 'no answer'}; is it running, and is the address right?"
    elif family is errors.DeadlineExceededError:
        text = f"{peer} did not answer in time"
    return family(text or f"{peer}: {code.name}")


def _error_of_status(data: bytes) -> errors.CarnetError | None:
    status = status_pb2.Status()
    try:
        status.ParseFromString(data)
    except Exception:  # noqa: BLE001  the parser's own errors differ by implementation
        return None
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    found = False
    for detail in status.details:
        found = detail.Unpack(info) or found
        detail.Unpack(retry)
    if not found or info.domain != ERROR_DOMAIN:
        return None
    family = CLASS_OF_REASON.get(info.reason, errors.InternalError)
    error = family(status.message, metadata=dict(info.metadata))
    if isinstance(error, errors.UnavailableError) and retry.HasField("retry_delay"):
        error.retry_after_seconds = retry.retry_delay.ToMilliseconds() / 1000
    return error
