"""The forms of subjects: SPIFFE ids of certificates, and the stable form of an OIDC token's subject.

Responsible for the form alone. A token's subject is ``oidc:ISSUER:SUBJECT``: the issuer without its scheme,
colons in it percent-encoded, so that the first colon behind it ends it and no two issuers have a subject in
common. Says nothing of who may do what.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, StringConstraints

OIDC_PREFIX = "oidc:"
SUBJECT_MAX_LENGTH = 1024

_SPIFFE_ID = r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+"
_OIDC_SUBJECT = r"oidc:[A-Za-z0-9._~/%-]+:[!-~]+"
SpiffeId = Annotated[str, StringConstraints(pattern=f"^{_SPIFFE_ID}$", max_length=2048)]
Subject = Annotated[str, StringConstraints(pattern=f"^({_SPIFFE_ID}|{_OIDC_SUBJECT})$", max_length=2048)]


class Strict(BaseModel):
    """A part of the trust document: no field that is not known, and nothing converted."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def oidc_subject(issuer: str, name: str) -> str:
    """Return the stable form of a token's subject.

    Args:
        issuer: The issuer's URL.
        name: What the issuer calls the subject; characters that are not printable ASCII are encoded.
    """
    place = quote(issuer.partition("://")[2].rstrip("/"), safe="/._~-")
    return f"{OIDC_PREFIX}{place}:{quote(name, safe=_PRINTABLE)}"


_PRINTABLE = "".join(chr(code) for code in range(ord("!"), ord("~") + 1) if chr(code) != "%")
