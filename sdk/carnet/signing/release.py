"""The source's word about a bundle that leaves it.

Signed by the source environment, afresh for each promotion: every piece of evidence that it holds, whether
the version is revoked, and how far its log stands. A promotion service can therefore not leave anything out.
"""

# ruff: noqa: TC001 - pydantic reads the fields' types at run time
from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from carnet.signing.fields import Digests, Hex32, Line, Name, Time, VersionNumber
from carnet.signing.predicate import Predicate


class Release(Predicate):
    """A release statement.

    Attributes:
        promotion: The promotion that it is for.
        environment: The source environment, which signs it.
        target: The environment that it is for.
        namespace: The namespace at the source.
        model: The model.
        version: The version's number.
        evidence: The digests of all evidence envelopes that the source holds about the bundle, in order.
        revoked: Whether the version is revoked at the source.
        log_origin: The origin of the source's log.
        log_size: The log's size that the statement is made at.
        issued_at: When it was signed; the target refuses one that is too old.
        stamps: The digests of the stamps that show the version's way to the source, in order: receipts and
            statements that are no evidence. Empty where the source admitted it before stamps were kept.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:release:v1"

    promotion: Hex32
    environment: Name
    target: Name
    namespace: Name
    model: Name
    version: VersionNumber
    evidence: Digests
    revoked: bool
    log_origin: Line
    log_size: Annotated[int, Field(ge=0)]
    issued_at: Time
    stamps: Digests = ()
