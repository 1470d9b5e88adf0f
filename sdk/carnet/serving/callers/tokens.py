"""Verifying OIDC bearer tokens.

Responsible for what makes a token good here (RFC 7519, OpenID Connect Core 1.0, section 3.1.3.7): an issuer
that is known here, its audience, one of its algorithms, a signature by a key that it
publishes, and times, give or take a minute. No part of a token is ever in a message or a log but its issuer,
and the names of what it lacks. Says nothing of what whoever shows it may do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from carnet.errors import UnauthenticatedError
from carnet.serving.callers.claims import Token, claim_values
from carnet.serving.callers.issuer_keys import IssuerKeys
from carnet.serving.callers.subjects import SUBJECT_MAX_LENGTH, oidc_subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.serving.callers.issuers import IssuerDocument

CLOCK_SKEW_SECONDS = 60
TOKEN_MAX_LENGTH = 7 << 10
_KEY_ID_MAX_LENGTH = 256
_REQUIRED = ["iss", "aud", "exp", "iat"]
_REFUSALS: tuple[tuple[type[PyJWTError], str], ...] = (
    (ExpiredSignatureError, "has ended: fetch a new one"),
    (ImmatureSignatureError, "is not valid yet: is a clock wrong?"),
    (InvalidIssuedAtError, "has an issuing time that is none"),
    (InvalidSignatureError, "is not signed by its issuer"),
)


class KnownIssuers(Protocol):
    """Whoever knows the issuers whose tokens are taken, such as an environment's trust document."""

    def issuer(self, url: str) -> IssuerDocument | None:
        """Return the issuer of a URL; None for one whose tokens are not taken here."""


class TokenVerifier:
    """Verifies the tokens of known issuers; used on one event loop.

    Args:
        make_keys: Makes what keeps the keys of an issuer.
    """

    def __init__(self, make_keys: Callable[[str], IssuerKeys] = IssuerKeys) -> None:
        self._make_keys = make_keys
        self._keys: dict[str, IssuerKeys] = {}

    async def verify(self, text: str, known: KnownIssuers) -> Token:
        """Verify a token.

        Args:
            text: The token, a JWS in its compact form.
            known: The issuers whose tokens are taken.

        Returns:
            What it says.

        Raises:
            UnauthenticatedError: It is not a good one.
            UnavailableError: Its issuer's keys cannot be fetched now.
        """
        header, issuer = _read_unverified(text, known)
        keys = self._keys.get(issuer.issuer)
        if keys is None:
            keys = self._keys[issuer.issuer] = self._make_keys(issuer.issuer)
        key = await keys.key(header["kid"], header["alg"])
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=[header["alg"]],
                audience=issuer.audience,
                issuer=issuer.issuer,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": [*_REQUIRED, *issuer.subject_claims]},
            )
        except PyJWTError as error:
            raise _refused(error, issuer) from None
        return _token(claims, issuer)


def _read_unverified(text: str, known: KnownIssuers) -> tuple[dict[str, str], IssuerDocument]:
    """Return what says how to verify a token, none of it believed yet."""
    if len(text) > TOKEN_MAX_LENGTH:
        raise UnauthenticatedError(
            f"the token has {len(text)} characters; at most {TOKEN_MAX_LENGTH} are taken"
        )
    try:
        parts = jwt.decode_complete(text, options={"verify_signature": False})
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise UnauthenticatedError("the bearer token is not a signed JWT") from None
    named = parts["payload"].get("iss")
    issuer = known.issuer(named) if isinstance(named, str) else None
    if issuer is None:
        raise UnauthenticatedError("the token's issuer is unknown here: an administrator adds it to `oidc`")
    if issuer.valid_until is not None and issuer.valid_until <= datetime.now(UTC):
        raise UnauthenticatedError(
            f"tokens of {issuer.issuer} were taken here until {issuer.valid_until:%Y-%m-%d %H:%M} UTC"
        )
    header = parts["header"]
    key_id, algorithm = header.get("kid"), header.get("alg")
    if algorithm not in issuer.algorithms:
        raise UnauthenticatedError(
            f"tokens of {issuer.issuer} must be signed with {' or '.join(issuer.algorithms)}"
        )
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _KEY_ID_MAX_LENGTH:
        raise UnauthenticatedError(f"the token of {issuer.issuer} does not name the key that signed it (kid)")
    return {"kid": key_id, "alg": str(algorithm)}, issuer


def _refused(error: PyJWTError, issuer: IssuerDocument) -> UnauthenticatedError:
    if isinstance(error, InvalidAudienceError):
        why = f"is not for the audience {issuer.audience!r}: ask the issuer for one that is"
    elif isinstance(error, MissingRequiredClaimError):
        why = f"has no claim {error.claim!r}"
    else:
        why = next((text for kind, text in _REFUSALS if isinstance(error, kind)), "is not valid")
    return UnauthenticatedError(f"the token of {issuer.issuer} {why}", metadata={"issuer": issuer.issuer})


def _token(claims: dict[str, Any], issuer: IssuerDocument) -> Token:
    values = claim_values(claims)
    parts: list[tuple[str, str]] = []
    for name in issuer.subject_claims:
        found = values.get(name, ())
        if len(found) != 1 or not found[0]:
            raise UnauthenticatedError(
                f"the token of {issuer.issuer} has no single value of the claim {name!r}"
            )
        parts.append((name, found[0]))
    named = (
        parts[0][1]
        if issuer.subject_claims == ("sub",)
        else ";".join(f"{name}={quote(value, safe='/:@._~-')}" for name, value in parts)
    )
    subject = oidc_subject(issuer.issuer, named)
    if len(subject) > SUBJECT_MAX_LENGTH:
        raise UnauthenticatedError(
            f"the subject of the token of {issuer.issuer} is longer than {SUBJECT_MAX_LENGTH} characters"
        )
    return Token(subject, issuer.issuer, values, float(claims["exp"]))
