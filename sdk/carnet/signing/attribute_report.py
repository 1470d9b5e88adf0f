"""The in-toto SCAI attribute report, version 0.3: attributes of a bundle, with the evidence for them.

Made by other tools and taken as it is (``in-toto/attestation``, ``spec/predicates/scai.md``). The predicate
has neither an outcome nor a time: what it attests is there, or it is not. A tool that states an outcome does
so in ``carnet_result``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from carnet.signing.fields import ForeignTime, Many, OptionalLine  # noqa: TC001  pydantic reads them at run time
from carnet.signing.predicate import ForeignModel, ForeignPredicate, ResourceDescriptor


class Attribute(ForeignModel):
    """One attribute: of what, under which conditions, and the evidence for it."""

    attribute: Annotated[str, Field(min_length=1)]
    target: ResourceDescriptor | None = None
    conditions: dict[str, Any] | None = None
    evidence: ResourceDescriptor | None = None


class AttributeReport(ForeignPredicate):
    """An attribute report.

    Attributes:
        attributes: What is said; at least one.
        producer: Who made the subject.
        suite: What was looked at; empty for reports of other tools.
        result: How it ended; empty for reports of other tools.
        finished_at: When that was.
    """

    PREDICATE_TYPE: ClassVar[str] = "https://in-toto.io/attestation/scai/v0.3"

    attributes: Annotated[Many[Attribute], Field(min_length=1)]
    producer: ResourceDescriptor | None = None
    suite: OptionalLine = Field(default="", alias="carnet_suite")
    result: Literal["PASSED", "WARNED", "FAILED", ""] = Field(default="", alias="carnet_result")
    finished_at: ForeignTime | None = Field(default=None, alias="carnet_finished_at")
