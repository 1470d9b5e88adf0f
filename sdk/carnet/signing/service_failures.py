"""What went wrong at a KMS or HSM, in Carnet's words.

Responsible for one table over the errors of five services' libraries, which have no class in common. They are
told by the names of their classes and the codes that they carry, so that none of the libraries is imported
here. What is unknown counts as unavailable: nothing was signed, and trying again does no harm.
"""

from __future__ import annotations

from typing import Any

from carnet.errors import (
    CarnetError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)

MAX_TEXT = 300

# AWS says its own words at status 400; the classes are those of botocore, google.auth, azure.core, hvac and
# pkcs11.
_BY_NAME: dict[str, type[CarnetError]] = {
    "AccessDeniedException": PermissionDeniedError,
    "NotFoundException": NotFoundError,
    "DisabledException": PreconditionFailedError,
    "KMSInvalidStateException": PreconditionFailedError,
    "InvalidKeyUsageException": PreconditionFailedError,
    "ValidationException": InvalidInputError,
    "UnrecognizedClientException": UnauthenticatedError,
    "InvalidClientTokenId": UnauthenticatedError,
    "InvalidSignatureException": UnauthenticatedError,
    "ExpiredTokenException": UnauthenticatedError,
    "IncompleteSignature": UnauthenticatedError,
    "MissingAuthenticationToken": UnauthenticatedError,
    "ThrottlingException": ResourceExhaustedError,
    "LimitExceededException": ResourceExhaustedError,
    "KMSInternalException": UnavailableError,
    "DependencyTimeoutException": UnavailableError,
    "KeyUnavailableException": UnavailableError,
    "NoCredentialsError": UnauthenticatedError,
    "PartialCredentialsError": UnauthenticatedError,
    "CredentialRetrievalError": UnauthenticatedError,
    "ProfileNotFound": InvalidInputError,
    "NoRegionError": InvalidInputError,
    "InvalidRegionError": InvalidInputError,
    "ParamValidationError": InvalidInputError,
    "DefaultCredentialsError": UnauthenticatedError,
    "RefreshError": UnauthenticatedError,
    "ClientAuthenticationError": UnauthenticatedError,
    "CredentialUnavailableError": UnauthenticatedError,
    "Forbidden": PermissionDeniedError,
    "Unauthorized": UnauthenticatedError,
    "InvalidPath": NotFoundError,
    "InvalidRequest": InvalidInputError,
    "PinIncorrect": UnauthenticatedError,
    "PinInvalid": UnauthenticatedError,
    "PinLenRange": UnauthenticatedError,
    "PinLocked": PermissionDeniedError,
    "PinExpired": PermissionDeniedError,
    "UserNotLoggedIn": UnauthenticatedError,
    "KeyFunctionNotPermitted": PermissionDeniedError,
    "TokenNotPresent": UnavailableError,
    "DeviceRemoved": UnavailableError,
    "UnsupportedAlgorithmError": InvalidInputError,
    "UnsupportedKeyType": InvalidInputError,
}
_BY_STATUS: dict[int, type[CarnetError]] = {
    400: InvalidInputError,
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: PreconditionFailedError,
    429: ResourceExhaustedError,
}


def describe_failure(error: Exception, *, what: str) -> CarnetError:
    """Return the typed error for what a service's library raised.

    Args:
        error: What it raised.
        what: What was wanted of which key, for the message: ``awskms:alias/prod did not sign``.

    Returns:
        The error; the service's own words are in its message, on one line and cut to 300 characters.
    """
    words = " ".join(str(error).split())[:MAX_TEXT]
    name = _code_of(error) or type(error).__name__
    return _kind_of(error)(
        f"{what}: {name}{f': {words}' if words else ''}", metadata={"service": "kms", "code": name}
    )


def _kind_of(error: Exception) -> type[CarnetError]:
    code = _code_of(error)
    if code in _BY_NAME:
        return _BY_NAME[code]
    for each in type(error).__mro__:
        if each.__name__ in _BY_NAME:
            return _BY_NAME[each.__name__]
    status = _status_of(error)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # securesystemslib says with ValueError that a URI, a key's kind or a token is not what it can use.
    return InvalidInputError if type(error) is ValueError else UnavailableError


def _code_of(error: Exception) -> str:
    """Return the code of an AWS error; empty for another's."""
    response: Any = getattr(error, "response", None)
    found = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return found if isinstance(found, str) else ""


def _status_of(error: Exception) -> int:
    """Return the HTTP status that an error carries; 0 for none."""
    for name in ("status_code", "code"):
        found: Any = getattr(error, name, None)
        if isinstance(found, int):
            return int(found)
    return 0
