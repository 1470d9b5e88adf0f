"""Every error has an exit code, and the codes are those that scripts rely on."""

from __future__ import annotations

import pytest

from carnet import errors
from carnet.cli.exit_codes import EXIT_CODES, ExitCode, exit_code_of, exit_code_of_reason
from carnet.client.status import every_error_class

PROMISED = {
    errors.InvalidInputError: 2,
    errors.DocumentInvalidError: 2,
    errors.FileUnreadableError: 2,
    errors.PathRefusedError: 2,
    errors.MessageTooLargeError: 2,
    errors.NotFoundError: 3,
    errors.UnauthenticatedError: 4,
    errors.CertificateExpiredError: 4,
    errors.PermissionDeniedError: 4,
    errors.GateRefusedError: 5,
    errors.GateAwaitingError: 5,
    errors.DigestMismatchError: 6,
    errors.SignatureInvalidError: 6,
    errors.KeyUntrustedError: 6,
    errors.ProofInvalidError: 6,
    errors.LogTamperedError: 6,
    errors.DataLossError: 6,
    errors.AlreadyExistsError: 7,
    errors.ConflictError: 7,
    errors.StaleEpochError: 7,
    errors.IllegalTransitionError: 7,
    errors.UnavailableError: 8,
    errors.StorageFullError: 8,
    errors.DeadlineExceededError: 8,
    errors.InternalError: 1,
}


@pytest.mark.parametrize(("family", "code"), PROMISED.items(), ids=lambda each: getattr(each, "reason", each))
def test_a_class_has_its_promised_code(family, code):
    assert exit_code_of(family) == code
    assert exit_code_of(family("x")) == code


def test_every_class_has_a_code_and_each_direct_subclass_is_in_the_table():
    for family in every_error_class():
        assert exit_code_of(family) in set(ExitCode) - {ExitCode.DONE}
        assert exit_code_of_reason(family.reason) == exit_code_of(family)
    assert set(errors.CarnetError.__subclasses__()) <= set(EXIT_CODES)


def test_an_unknown_reason_is_internal():
    assert exit_code_of_reason("FROM_THE_FUTURE") == ExitCode.INTERNAL
    assert exit_code_of_reason("") == ExitCode.INTERNAL
