"""An environment's signed list of the stamps of a version that it holds.

Signed afresh for whoever pulls the version. It closes the set: a stamp that is missing beside a pulled
bundle, or that lies there in addition, is noticed without asking anybody.
"""

# ruff: noqa: TC001 - pydantic reads the fields' types at run time
from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from carnet.signing.fields import Digest, Digests, Line, Name, OptionalName, Time, VersionNumber
from carnet.signing.predicate import Predicate


class StampList(Predicate):
    """A list of stamps.

    Attributes:
        environment: The environment that holds them, which signs the list.
        namespace: The namespace there.
        model: The model.
        version: The version's number.
        alias: The alias that it was asked for by; empty where it was asked for by its number.
        signature: The SHA-256 of the bundle's model signature.
        evidence: The digests of all evidence that is held about the bundle, in order.
        statements: The digests of the other signed statements, in order.
        receipts: The digests of the receipts as files, in order.
        revoked: Whether the version is revoked there.
        log_origin: The origin of the environment's log.
        log_size: The log's size that the list is made at.
        issued_at: When it was signed.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:stamps:v1"

    environment: Name
    namespace: Name
    model: Name
    version: VersionNumber
    alias: OptionalName
    signature: Digest
    evidence: Digests
    statements: Digests
    receipts: Digests
    revoked: bool
    log_origin: Line
    log_size: Annotated[int, Field(ge=0)]
    issued_at: Time
