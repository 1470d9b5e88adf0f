"""The short-lived right of one target registry to read one bundle's blobs.

Signed by the source environment and bound to the holder's identity, so that it is worth nothing to whoever
carries it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from carnet.signing.fields import Digests, Hex32, Name, Time, matching
from carnet.signing.predicate import Predicate


class Capability(Predicate):
    """A right to read.

    Attributes:
        promotion: The promotion that it is for.
        environment: The source environment, which signs it and serves the blobs.
        holder: The SPIFFE id of the registry that may read.
        namespace: The namespace at the source.
        digests: The blobs that may be read, in order.
        expires_at: Until when.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:read-capability:v1"

    promotion: Hex32
    environment: Name
    holder: Annotated[
        str,
        Field(max_length=2048),
        matching(
            r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+", "should be a SPIFFE id like spiffe://DOMAIN/PATH"
        ),
    ]
    namespace: Name
    digests: Digests
    expires_at: Time
