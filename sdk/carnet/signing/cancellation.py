"""The signed end of a promotion before its time.

Signed by the requester or an operator. The target keeps it, so that an admission that comes late is refused.
"""

# ruff: noqa: TC001 - pydantic reads the fields' types at run time
from __future__ import annotations

from typing import ClassVar, Literal

from carnet.signing.fields import Hex32, Reason, Time
from carnet.signing.predicate import Predicate


class Cancellation(Predicate):
    """A cancellation.

    Attributes:
        promotion: The promotion that is cancelled.
        reason: Why, in words.
        cancelled_at: When it was signed.
        nonce: 32 random hexadecimal digits, so that the digest gives a short reason away to nobody; empty in
            statements of before.
    """

    PREDICATE_TYPE: ClassVar[str] = "urn:carnet:cancellation:v1"

    promotion: Hex32
    reason: Reason
    cancelled_at: Time
    nonce: Hex32 | Literal[""] = ""
