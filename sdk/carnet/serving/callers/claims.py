"""Claims of a verified OIDC token, and which tokens a part of the trust document means.

Responsible for comparing claims: a pattern is a value, or the beginning of values before ``*``. Claims are
compared as text, with case; a claim that is a list has each of its values. What is not in the token matches
nothing. Verifies no token (``carnet.serving.callers.tokens``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from carnet.serving.callers.subjects import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

IssuerUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=500)]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./:-]{1,100}$")]
ClaimPattern = Annotated[str, StringConstraints(pattern=r"^[^*]*\*?$", min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says; never the token itself.

    Attributes:
        subject: Its subject in the stable form, ``oidc:ISSUER:SUBJECT``.
        issuer: The issuer's URL.
        claims: The values of each claim, as text.
        expires_at: When it ends, seconds since the epoch.
    """

    subject: str
    issuer: str
    claims: Mapping[str, tuple[str, ...]] = field(repr=False)
    expires_at: float = 0.0


class TokenPattern(Strict):
    """Tokens of one issuer, by their claims; all that are named must match."""

    issuer: IssuerUrl
    claims: dict[ClaimName, ClaimPattern] = Field(min_length=1)

    @model_validator(mode="after")
    def _means_somebody(self) -> Self:
        if all(pattern == "*" for pattern in self.claims.values()):
            raise ValueError("claims: '*' alone means everybody whom the issuer knows; name a value")
        return self

    def matches(self, token: Token) -> bool:
        """Tell whether a token is meant."""
        return matches_claims(self.issuer, self.claims, token)


def matches_claims(issuer: str, claims: Mapping[str, str], token: Token) -> bool:
    """Tell whether a token is of an issuer, and has for every claim a value that its pattern means."""
    return token.issuer == issuer and all(
        any(_means(pattern, value) for value in token.claims.get(name, ()))
        for name, pattern in claims.items()
    )


def claim_values(claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return claims as text; a number, a truth value and a list of such have one, what is nested has none."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in claims.items():
        values = value if isinstance(value, list) else [value]
        texts = tuple(text for text in map(_text, values) if text is not None)
        if texts:
            found[name] = texts
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _means(pattern: str, value: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
