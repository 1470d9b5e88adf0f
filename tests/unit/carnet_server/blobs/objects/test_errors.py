"""What an object store says, in one short line without secrets."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from carnet.errors import InvalidInputError, StorageFullError, UnavailableError
from carnet_server.blobs.objects.errors import read_failure, typed_errors, typed_start_errors

SECRET = "sig=c2VjcmV0"
ANSWER = (
    f"Generic S3 error: Error performing PUT https://host/bucket/a?{SECRET} in 1ms, after 5 retries - Server returned "
    "non-2xx status code: {status} {reason}: <Error><Code>{code}</Code><Message>long</Message></Error>\n\n"
    "Debug source:\nGeneric {{\n url: " + SECRET + "\n}}"
)


def answer(status: int, code: str = "", reason: str = "") -> GenericError:
    return GenericError(ANSWER.format(status=status, code=code, reason=reason))


def no_answer(cause: str) -> GenericError:
    return GenericError(
        f"Generic S3 error: Error performing GET https://host/b?{SECRET} in 1ms - HTTP error: error sending request\n\n"
        f"Debug source:\nGeneric {{ {cause} {SECRET} }}"
    )


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answer(503, "SlowDown"), UnavailableError, "it answered 503 SlowDown"),
        (answer(500), UnavailableError, "it answered 500"),
        (answer(403, "SignatureDoesNotMatch"), UnavailableError, "403 SignatureDoesNotMatch"),
        (answer(507), StorageFullError, "full"),
        (answer(403, "QuotaExceeded"), StorageFullError, "full"),
        (answer(500, "XMinioStorageFull"), StorageFullError, "full"),
        (no_answer("ConnectionRefused"), UnavailableError, "connection refused"),
        (no_answer("kind: Timeout"), UnavailableError, "timed out"),
        (no_answer("something else"), UnavailableError, "error sending request"),
        (GenericError(f"what is this? {SECRET}"), UnavailableError, "GenericError"),
        (ValueError(SECRET), UnavailableError, "ValueError"),
        (FileNotFoundError(SECRET), UnavailableError, "FileNotFoundError"),
    ],
)
def test_failures_are_typed_and_told_in_one_harmless_line(error, kind, words):
    with pytest.raises(kind, match=words) as caught, typed_errors("s3://bucket"):
        raise error
    assert "s3://bucket" in caught.value.message
    assert SECRET not in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answer(404, "NoSuchBucket"), InvalidInputError, "does not exist.*create the bucket"),
        (answer(404, "ContainerNotFound"), InvalidInputError, "does not exist.*create"),
        (answer(404), InvalidInputError, "does not exist.*create"),
        (answer(403, "InvalidAccessKeyId"), InvalidInputError, "InvalidAccessKeyId.*check THE_KEY"),
        (answer(401), InvalidInputError, "check THE_KEY"),
        (PermissionDeniedError("short"), InvalidInputError, "check THE_KEY"),
        (
            GenericError("DeleteObjects request failed for key a: No. (code: AccessDenied)"),
            InvalidInputError,
            "check THE_KEY",
        ),
        (answer(301, "PermanentRedirect"), InvalidInputError, "region="),
        (answer(400, "AuthorizationHeaderMalformed"), InvalidInputError, "region="),
        (
            GenericError(
                "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s"
            ),
            InvalidInputError,
            "no credentials.*set THE_KEY",
        ),
        (answer(507), StorageFullError, "full"),
        (answer(503), UnavailableError, "cannot be used.*503"),
        (no_answer("dns error"), UnavailableError, "host name is not known.*endpoint"),
        (no_answer("UnknownIssuer"), UnavailableError, "unknown authority"),
    ],
)
def test_what_is_wrong_at_the_start_names_the_key_and_what_to_do(error, kind, words):
    with pytest.raises(kind, match=words) as caught, typed_start_errors("s3://bucket", credentials="THE_KEY"):
        raise error
    assert SECRET not in caught.value.message
    if kind is not StorageFullError:
        assert caught.value.message.startswith("blobs: ")
        assert caught.value.metadata == {"field": "blobs"}


def test_a_code_that_is_in_json_is_read_too():
    assert read_failure(GenericError('status code: 409 Conflict: {"code": "conflict"}')).code == "conflict"
