"""The vocabulary of failure: every class has its own reason, message, metadata and exit code."""

from __future__ import annotations

import re

import pytest

from carnet import errors
from carnet.cli.exit_codes import EXIT_CODES, ExitCode, exit_code_of, exit_code_of_reason

ERRORS = sorted(
    (
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.CarnetError)
    ),
    key=lambda family: family.__name__,
)


def test_every_reason_is_its_classs_own():
    reasons = [family.reason for family in ERRORS]
    assert len(set(reasons)) == len(reasons) > 30
    assert all("reason" in vars(family) for family in ERRORS)


@pytest.mark.parametrize("family", ERRORS, ids=lambda family: family.__name__)
def test_a_reason_is_the_classs_name_in_upper_case(family):
    name = family.__name__ if family is errors.CarnetError else family.__name__.removesuffix("Error")
    assert family.reason == re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


@pytest.mark.parametrize("family", ERRORS, ids=lambda family: family.__name__)
def test_an_error_keeps_its_message_and_its_own_copy_of_the_metadata(family):
    metadata = {"field": "files[0].path"}
    error = family("what was wrong", metadata=metadata)
    metadata["field"] = "changed afterwards"
    assert str(error) == error.message == "what was wrong"
    assert error.metadata == {"field": "files[0].path"}
    assert family("again").metadata == {}


def test_an_error_is_found_by_what_it_is_a_case_of():
    assert issubclass(errors.DocumentInvalidError, errors.InvalidInputError)
    assert issubclass(errors.GateRefusedError, errors.PreconditionFailedError)
    assert issubclass(errors.KeyUntrustedError, errors.IntegrityError)
    assert issubclass(errors.StorageFullError, errors.ResourceExhaustedError)
    assert issubclass(errors.CertificateExpiredError, errors.UnauthenticatedError)


def test_unavailable_says_when_to_try_again():
    assert errors.UnavailableError("gone").retry_after_seconds == 1.0
    assert errors.UnavailableError("gone", retry_after_seconds=0.25).retry_after_seconds == 0.25


@pytest.mark.parametrize(
    ("family", "code"),
    [
        (errors.InternalError, 1),
        (errors.InvalidInputError, 2),
        (errors.DocumentInvalidError, 2),
        (errors.PathRefusedError, 2),
        (errors.ReferenceInvalidError, 2),
        (errors.FileUnreadableError, 2),
        (errors.MessageTooLargeError, 2),
        (errors.OffsetOutOfRangeError, 2),
        (errors.NotFoundError, 3),
        (errors.UnauthenticatedError, 4),
        (errors.CertificateExpiredError, 4),
        (errors.PermissionDeniedError, 4),
        (errors.GateRefusedError, 5),
        (errors.GateAwaitingError, 5),
        (errors.DigestMismatchError, 6),
        (errors.SignatureInvalidError, 6),
        (errors.KeyUntrustedError, 6),
        (errors.LogTamperedError, 6),
        (errors.DataLossError, 6),
        (errors.AlreadyExistsError, 7),
        (errors.ConflictError, 7),
        (errors.StaleEpochError, 7),
        (errors.IllegalTransitionError, 7),
        (errors.UnavailableError, 8),
        (errors.StorageFullError, 8),
        (errors.DeadlineExceededError, 8),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_scripts_rely_on_these_exit_codes(family, code):
    assert exit_code_of(family) == exit_code_of(family("x")) == exit_code_of_reason(family.reason) == code


def test_every_family_is_in_the_table_of_exit_codes():
    direct = {family for family in ERRORS if family.__base__ is errors.CarnetError}
    assert direct <= set(EXIT_CODES)
    assert {exit_code_of(family) for family in ERRORS} == set(ExitCode) - {ExitCode.DONE}


def test_an_unknown_reason_is_an_internal_error():
    assert exit_code_of_reason("FROM_A_LATER_RELEASE") is ExitCode.INTERNAL
