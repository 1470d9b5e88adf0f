"""OIDC issuers that an environment takes tokens of: the part ``oidc`` of its trust document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, StringConstraints

from carnet.errors import DocumentInvalidError
from carnet.serving.callers.claims import ClaimName, IssuerUrl  # noqa: TC001  pydantic reads them
from carnet.serving.callers.subjects import Strict, oidc_subject

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class IssuerDocument(Strict):
    """An issuer, and what its tokens must be.

    Attributes:
        issuer: Its URL, exactly as its tokens name it (``iss``).
        audience: What its tokens must be for (``aud``): a name that is this environment's alone.
        algorithms: How they may be signed.
        subject_claims: The claims that make the subject.
        valid_until: Up to when its tokens are taken; None for ever.
    """

    issuer: IssuerUrl
    audience: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    algorithms: tuple[Literal["RS256", "ES256"], ...] = Field(default=("RS256", "ES256"), min_length=1)
    subject_claims: tuple[ClaimName, ...] = Field(default=("sub",), min_length=1, max_length=8)
    valid_until: AwareDatetime | None = None


def check_issuers(issuers: Iterable[IssuerDocument], *, name: str) -> dict[str, IssuerDocument]:
    """Return issuers by URL.

    Args:
        issuers: The part of the document.
        name: What to call the document in messages.

    Raises:
        DocumentInvalidError: One is there twice, or would be asked without TLS.
    """
    found: dict[str, IssuerDocument] = {}
    places: set[str] = set()
    for i, each in enumerate(issuers):
        if not is_asked_safely(each.issuer):
            raise DocumentInvalidError(f"{name}: oidc[{i}].issuer: {each.issuer} must begin with https://")
        place = oidc_subject(each.issuer, "")
        if place in places:
            raise DocumentInvalidError(f"{name}: oidc[{i}].issuer: {each.issuer} is there already")
        places.add(place)
        found[each.issuer] = each
    return found


def is_asked_safely(url: str) -> bool:
    """Tell whether a URL has TLS, or is on this machine itself."""
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        return False
    if not parts.hostname or not port_is_good:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
