"""Errors cross the wire and come back as the same class, with the same facts."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from carnet import errors
from carnet.client.status import (
    CODES,
    ERROR_DOMAIN,
    STATUS_DETAILS_KEY,
    code_of,
    error_of,
    every_error_class,
    status_of,
)

PEER = "the prod registry at 127.0.0.1:7403"
ERRORS = sorted(
    (family for family in every_error_class() if family.__module__ == "carnet.errors"),
    key=lambda family: family.__name__,
)
METADATA = {"field": "files[0].path", "subject": "versions/3"}


def raised(code: grpc.StatusCode, details: str | None = "", trailing=()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=details, debug_error_string=""
    )


def sent(error: errors.CarnetError) -> grpc.aio.AioRpcError:
    """What a client's gRPC raises when a server aborted with an error."""
    status = status_of(error)
    return raised(code_of(error), error.message, [(STATUS_DETAILS_KEY, status.SerializeToString())])


def details_of(status: status_pb2.Status, kind):
    found = []
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    return found


@pytest.mark.parametrize("family", ERRORS, ids=lambda family: family.__name__)
def test_every_error_comes_back_as_itself(family):
    error = error_of(sent(family("what was wrong", metadata=METADATA)), peer=PEER)
    assert type(error) is family
    assert error.message == "what was wrong"
    assert error.metadata == METADATA


@pytest.mark.parametrize("family", ERRORS, ids=lambda family: family.__name__)
def test_every_error_has_one_code_and_exactly_one_error_info(family):
    error = family("what was wrong", metadata=METADATA)
    status = status_of(error)
    (info,) = details_of(status, error_details_pb2.ErrorInfo)
    assert status.code == code_of(error).value[0]
    assert status.message == "what was wrong"
    assert (info.reason, info.domain, dict(info.metadata)) == (family.reason, ERROR_DOMAIN, METADATA)


@pytest.mark.parametrize("family", ERRORS, ids=lambda family: family.__name__)
def test_details_are_those_that_the_family_calls_for(family):
    status = status_of(family("what was wrong", metadata=METADATA))
    malformed = details_of(status, error_details_pb2.BadRequest)
    unmet = details_of(status, error_details_pb2.PreconditionFailure)
    retry = details_of(status, error_details_pb2.RetryInfo)
    assert len(malformed) == issubclass(family, errors.InvalidInputError)
    assert len(unmet) == issubclass(family, errors.PreconditionFailedError)
    assert len(retry) == issubclass(family, errors.UnavailableError)
    for each in malformed:
        (violation,) = each.field_violations
        assert (violation.field, violation.description) == ("files[0].path", "what was wrong")
    for each in unmet:
        (violation,) = each.violations
        assert (violation.type, violation.subject) == (family.reason, "versions/3")


@pytest.mark.parametrize(
    ("family", "code"),
    [
        (errors.DocumentInvalidError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.DigestMismatchError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.OffsetOutOfRangeError, grpc.StatusCode.OUT_OF_RANGE),
        (errors.DataLossError, grpc.StatusCode.DATA_LOSS),
        (errors.CertificateExpiredError, grpc.StatusCode.UNAUTHENTICATED),
        (errors.PermissionDeniedError, grpc.StatusCode.PERMISSION_DENIED),
        (errors.NotFoundError, grpc.StatusCode.NOT_FOUND),
        (errors.AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
        (errors.StaleEpochError, grpc.StatusCode.ABORTED),
        (errors.GateRefusedError, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.StorageFullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.UnavailableError, grpc.StatusCode.UNAVAILABLE),
        (errors.InternalError, grpc.StatusCode.INTERNAL),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_codes_are_those_of_the_contract(family, code):
    assert code_of(family("x")) is code


def test_every_family_is_in_the_table():
    direct = {family for family in ERRORS if family.__base__ is errors.CarnetError}
    assert direct <= set(CODES)


def test_unavailable_brings_back_when_to_try_again():
    error = error_of(sent(errors.UnavailableError("later", retry_after_seconds=2.5)), peer=PEER)
    assert error.retry_after_seconds == 2.5


@pytest.mark.parametrize(
    ("code", "family"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidInputError),
        (grpc.StatusCode.OUT_OF_RANGE, errors.OffsetOutOfRangeError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.UnauthenticatedError),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDeniedError),
        (grpc.StatusCode.NOT_FOUND, errors.NotFoundError),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExistsError),
        (grpc.StatusCode.ABORTED, errors.ConflictError),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.PreconditionFailedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhaustedError),
        (grpc.StatusCode.DATA_LOSS, errors.DataLossError),
        (grpc.StatusCode.UNAVAILABLE, errors.UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceededError),
        (grpc.StatusCode.CANCELLED, errors.CancelledError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.UnimplementedError),
        (grpc.StatusCode.INTERNAL, errors.InternalError),
        (grpc.StatusCode.UNKNOWN, errors.InternalError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("details", ["raised by gRPC itself", "", None])
def test_an_error_of_grpc_itself_gets_its_class_from_the_code(code, family, details):
    error = error_of(raised(code, details), peer=PEER)
    assert type(error) is family
    assert error.message


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_no_code_is_left_untyped(code):
    assert isinstance(error_of(raised(code, "x"), peer=PEER), errors.CarnetError)


@pytest.mark.parametrize(
    "text",
    [
        "Received message larger than max (5000000 vs. 4194304)",
        "CLIENT: Sent message larger than max (5000000 vs. 4194304)",
    ],
)
def test_a_message_over_the_limit_is_told_from_a_quota(text):
    error = error_of(raised(grpc.StatusCode.RESOURCE_EXHAUSTED, text), peer=PEER)
    assert type(error) is errors.MessageTooLargeError
    assert PEER in error.message


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_whoever_does_not_answer_is_named(code):
    assert PEER in error_of(raised(code, "failed to connect"), peer=PEER).message


def packed(*messages) -> bytes:
    status = status_pb2.Status(code=5, message="other words")
    for message in messages:
        detail = any_pb2.Any()
        detail.Pack(message)
        status.details.append(detail)
    return status.SerializeToString()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff not a status",
        b"",
        packed(),
        packed(error_details_pb2.RetryInfo()),
        packed(error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="example.org")),
    ],
    ids=["garbage", "empty", "no details", "no ErrorInfo", "somebody else's domain"],
)
def test_details_that_are_not_ours_are_left_aside(data):
    error = error_of(raised(grpc.StatusCode.PERMISSION_DENIED, "no", [(STATUS_DETAILS_KEY, data)]), peer=PEER)
    assert type(error) is errors.PermissionDeniedError
    assert error.message == "no"


def test_a_reason_of_a_later_release_is_still_an_error_with_its_message():
    data = packed(error_details_pb2.ErrorInfo(reason="NOT_INVENTED_YET", domain=ERROR_DOMAIN))
    error = error_of(raised(grpc.StatusCode.NOT_FOUND, "x", [(STATUS_DETAILS_KEY, data)]), peer=PEER)
    assert isinstance(error, errors.CarnetError)
    assert error.message == "other words"


def test_a_long_message_is_cut_so_that_it_fits_into_the_headers():
    error = errors.GateRefusedError("€" * 10_000, metadata={"rules": "€" * 10_000})
    data = status_of(error).SerializeToString()
    assert len(data) < 8 << 10
    back = error_of(raised(code_of(error), "", [(STATUS_DETAILS_KEY, data)]), peer=PEER)
    assert type(back) is errors.GateRefusedError
    assert back.message.startswith("€€€")
    assert back.message.endswith("…")
