"""The requester's signed wish: whose it is, and what must agree with it.

Pure rules. Everything else that a promotion brings is compared with the request, since that is what somebody
of this environment's trust wished for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import (
    DigestMismatchError,
    PermissionDeniedError,
    StatementInvalidError,
)
from carnet.signing.promotion_request import PromotionRequest
from carnet_server.admission.ages import check_age
from carnet_server.admission.signers import open_signed, require_covers, signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from carnet.bundle.manifest import Manifest
    from carnet_server.access.trust import Trust
    from carnet_server.admission.domain import Signer


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """A requester's signed wish.

    Attributes:
        request: What is wished for.
        subject_name: The bundle's name in the statement.
        bundle_digest: The bundle's digest.
        requester: Who signed.
        digest: The envelope's digest.
    """

    request: PromotionRequest
    subject_name: str
    bundle_digest: str
    requester: Signer
    digest: str


def verify_request(data: bytes, *, environment: str, trust: Trust, at: datetime) -> VerifiedRequest:
    """Verify a promotion request: its signer, the signer's role, and that it is for this environment.

    Args:
        data: The envelope's bytes.
        environment: This environment.
        trust: Its trust document.
        at: When the request arrived here.

    Raises:
        SignatureInvalidError: The envelope is malformed or does not verify.
        KeyUntrustedError: The signer is not trusted here for requests in that namespace.
        PermissionDeniedError: The signer has not the role ``requester`` in that namespace.
        StatementInvalidError: It is not a request, or one for another environment.
    """
    key, statement, digest = open_signed(data, trust.ring(at), "request")
    request = PromotionRequest.parse(statement)
    require_covers(key, request.namespace, "promotion requests")
    asked_under = trust.for_token(key.token) if key.token else trust
    if "requester" not in asked_under.acting_roles(key.subject, request.namespace, request.alias):
        on_alias = f" for the alias {request.alias!r}" if request.alias else ""
        raise PermissionDeniedError(
            f"{key.subject} signed the promotion request and has not the role requester in namespace "
            f"{request.namespace!r} of {environment}{on_alias}",
            metadata={"subject": key.subject, "roles": "requester"},
        )
    if request.target != environment:
        raise StatementInvalidError(
            f"the promotion request is for {request.target}, and this is {environment}",
            metadata={"field": "target"},
        )
    return VerifiedRequest(request, statement.subject_name, statement.subject_digest, signer_of(key), digest)


def check_request_age(request: PromotionRequest, *, max_age: timedelta, now: datetime) -> None:
    """Insist that a request is neither too old nor from the future: nobody may keep one back for later.

    Raises:
        PreconditionFailedError: It is older than the policy takes.
        StatementInvalidError: It was signed later than now, by more than clocks may differ.
    """
    check_age(
        "the promotion request",
        request.requested_at,
        field="requested_at",
        max_age=max_age,
        now=now,
        mend="ask for a new promotion",
    )


def verify_manifest(data: bytes, request: VerifiedRequest) -> Manifest:
    """Verify that a manifest is canonical and the one that was asked for.

    Raises:
        DocumentInvalidError: It is malformed or not canonical.
        DigestMismatchError: It has another digest than the request names.
        StatementInvalidError: It names another home, namespace, model or version than the request.
    """
    manifest = parse_manifest(data)
    digest = sha256_hex(data)
    if digest != request.bundle_digest:
        raise DigestMismatchError(
            f"the manifest has the digest {digest}, and the request is about {request.bundle_digest}"
        )
    require_same(
        "the manifest",
        {
            "home": manifest.subject_name,
            "namespace": manifest.namespace,
            "model": manifest.model,
            "version": manifest.version,
        },
        {
            "home": request.subject_name,
            "namespace": request.request.namespace,
            "model": request.request.model,
            "version": request.request.version,
        },
    )
    return manifest


def require_same(what: str, stated: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Insist that what a statement says is what the request wishes, field by field.

    Raises:
        StatementInvalidError: One differs; the message names it.
    """
    for field, value in wanted.items():
        if stated[field] != value:
            raise StatementInvalidError(
                f"{what} says {stated[field]!r} for {field}, and the promotion request {value!r}",
                metadata={"field": field},
            )
