"""SLSA provenance, version 1: how a bundle was made, as the build platform that made it says.

Made elsewhere and taken as it is (https://slsa.dev/spec/v1.0/provenance). Only what the specification
requires is insisted on; whether the platform is to be trusted is the trust document's to say.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from carnet.signing.fields import ForeignTime, Many  # noqa: TC001  pydantic reads them at run time
from carnet.signing.predicate import ForeignModel, ForeignPredicate, ResourceDescriptor


class BuildDefinition(ForeignModel):
    """What was built, from what."""

    build_type: Annotated[str, Field(min_length=1, alias="buildType")]
    external_parameters: dict[str, Any] = Field(alias="externalParameters")
    resolved_dependencies: Many[ResourceDescriptor] = Field(default=(), alias="resolvedDependencies")


class Builder(ForeignModel):
    """The platform that ran the build."""

    id: Annotated[str, Field(min_length=1)]


class BuildMetadata(ForeignModel):
    """When the build ran."""

    started_on: ForeignTime | None = Field(default=None, alias="startedOn")
    finished_on: ForeignTime | None = Field(default=None, alias="finishedOn")


class RunDetails(ForeignModel):
    """One run of the build."""

    builder: Builder
    metadata: BuildMetadata | None = None


class Provenance(ForeignPredicate):
    """Provenance.

    Attributes:
        build_definition: What was built, from what.
        run_details: Where, and when.
    """

    PREDICATE_TYPE: ClassVar[str] = "https://slsa.dev/provenance/v1"

    build_definition: BuildDefinition = Field(alias="buildDefinition")
    run_details: RunDetails = Field(alias="runDetails")
