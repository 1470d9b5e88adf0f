"""The one table from errors to exit codes, on which scripts rely.

Responsible for what a number means: 0 done · 1 internal · 2 usage or malformed input · 3 not found ·
4 not authenticated or not allowed · 5 a gate said no, or is still waiting · 6 integrity · 7 conflict ·
8 unavailable.
"""

from __future__ import annotations

from enum import IntEnum

from carnet import errors


class ExitCode(IntEnum):
    """What a number means to a script."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    GATE = 5
    INTEGRITY = 6
    CONFLICT = 7
    UNAVAILABLE = 8


EXIT_CODES: dict[type[errors.CarnetError], ExitCode] = {
    errors.CarnetError: ExitCode.INTERNAL,
    errors.InvalidInputError: ExitCode.USAGE,
    errors.OffsetOutOfRangeError: ExitCode.USAGE,
    errors.IntegrityError: ExitCode.INTEGRITY,
    errors.DataLossError: ExitCode.INTEGRITY,
    errors.UnauthenticatedError: ExitCode.NOT_ALLOWED,
    errors.PermissionDeniedError: ExitCode.NOT_ALLOWED,
    errors.NotFoundError: ExitCode.NOT_FOUND,
    errors.AlreadyExistsError: ExitCode.CONFLICT,
    errors.ConflictError: ExitCode.CONFLICT,
    errors.PreconditionFailedError: ExitCode.CONFLICT,
    errors.GateRefusedError: ExitCode.GATE,
    errors.GateAwaitingError: ExitCode.GATE,
    errors.ResourceExhaustedError: ExitCode.UNAVAILABLE,
    errors.UnavailableError: ExitCode.UNAVAILABLE,
    errors.DeadlineExceededError: ExitCode.UNAVAILABLE,
    errors.UnimplementedError: ExitCode.UNAVAILABLE,
    errors.CancelledError: ExitCode.INTERNAL,
    errors.InternalError: ExitCode.INTERNAL,
}


def exit_code_of(error: errors.CarnetError | type[errors.CarnetError]) -> ExitCode:
    """Return the exit code of an error, or of its class: that of the nearest class in the table."""
    family = error if isinstance(error, type) else type(error)
    return next(EXIT_CODES[each] for each in family.__mro__ if each in EXIT_CODES)


def exit_code_of_reason(reason: str) -> ExitCode:
    """Return the exit code of an error that is known by its ``reason`` only; internal for an unknown one."""
    pending: list[type[errors.CarnetError]] = [errors.CarnetError]
    while pending:
        family = pending.pop()
        if family.reason == reason:
            return exit_code_of(family)
        pending.extend(family.__subclasses__())
    return ExitCode.INTERNAL
