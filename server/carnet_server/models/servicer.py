"""ModelService over gRPC."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.references import parse_resource_name
from carnet.registry.v1 import models_pb2, models_pb2_grpc
from carnet_server.access.permissions import ALL_NAMESPACES
from carnet_server.access.scope import current_caller
from carnet_server.aliases.proto import alias_to_proto
from carnet_server.log.proto import finality_to_proto, receipt_to_proto
from carnet_server.models.archival_rules import ArchivalRule
from carnet_server.models.proto import (
    archived_to_proto,
    model_to_proto,
    stage_from_proto,
    version_to_proto,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.protobuf.duration_pb2 import Duration

    from carnet.serving.call_scope import ServicerContext
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.models.domain import Version
    from carnet_server.models.service import ModelsService


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    """Answers ModelService's calls."""

    def __init__(self, models: ModelsService, state: EnvironmentState, log: LogService) -> None:
        self._models = models
        self._state = state
        self._log = log

    async def GetModel(
        self, request: models_pb2.GetModelRequest, context: ServicerContext
    ) -> models_pb2.GetModelResponse:
        """Read one model."""
        model = await self._models.get_model(parse_resource_name(request.name, field="name", want="model"))
        return models_pb2.GetModelResponse(model=model_to_proto(model, protected=self._protected))

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, context: ServicerContext
    ) -> models_pb2.ListModelsResponse:
        """List models."""
        everywhere = request.parent == ALL_NAMESPACES
        namespace = "" if everywhere else _namespace(request.parent)
        page, token = await self._models.list_models(
            current_caller(), namespace, page_size=request.page_size, page_token=request.page_token
        )
        return models_pb2.ListModelsResponse(
            models=[model_to_proto(model, protected=self._protected) for model in page],
            next_page_token=token,
        )

    async def GetVersion(
        self, request: models_pb2.GetVersionRequest, context: ServicerContext
    ) -> models_pb2.GetVersionResponse:
        """Read one version."""
        name = parse_resource_name(request.name, field="name", want="version")
        version = await self._models.get_version(name)
        return models_pb2.GetVersionResponse(version=self._told(version))

    async def ListVersions(
        self, request: models_pb2.ListVersionsRequest, context: ServicerContext
    ) -> models_pb2.ListVersionsResponse:
        """List a model's versions."""
        page, token = await self._models.list_versions(
            parse_resource_name(request.parent, field="parent", want="model"),
            page_size=request.page_size,
            page_token=request.page_token,
            stage=stage_from_proto(request.stage, field="stage"),
        )
        return models_pb2.ListVersionsResponse(
            versions=[self._told(version) for version in page], next_page_token=token
        )

    async def ResolveVersion(
        self, request: models_pb2.ResolveVersionRequest, context: ServicerContext
    ) -> models_pb2.ResolveVersionResponse:
        """Answer what a name points at."""
        name = parse_resource_name(request.name, field="name", want="version or alias")
        found = await self._models.resolve(name)
        alias = alias_to_proto(found.alias, protected=self._protected) if found.alias else None
        if alias is not None:
            alias.finality = finality_to_proto(found.receipt.finality)
        return models_pb2.ResolveVersionResponse(
            version=self._told(found.version),
            alias=alias,
            receipt=receipt_to_proto(found.receipt),
        )

    async def ProposeVersion(
        self, request: models_pb2.ProposeVersionRequest, context: ServicerContext
    ) -> models_pb2.ProposeVersionResponse:
        """Answer which number a publication has or would get."""
        parent = parse_resource_name(request.parent, field="parent", want="model")
        proposal = await self._models.propose_version(parent, request.content_digest)
        return models_pb2.ProposeVersionResponse(version=proposal.version, published=proposal.published)

    async def PublishVersion(
        self, request: models_pb2.PublishVersionRequest, context: ServicerContext
    ) -> models_pb2.PublishVersionResponse:
        """Publish a version."""
        published = await self._models.publish(
            current_caller(),
            parse_resource_name(request.parent, field="parent", want="model"),
            request.canonical_manifest,
            request.signature,
            validate_only=request.validate_only,
        )
        return models_pb2.PublishVersionResponse(
            version=version_to_proto(published.version),
            already_published=published.already_published,
            receipt=receipt_to_proto(published.receipt) if published.receipt else None,
        )

    async def RevokeVersion(
        self, request: models_pb2.RevokeVersionRequest, context: ServicerContext
    ) -> models_pb2.RevokeVersionResponse:
        """Withdraw a version."""
        name = parse_resource_name(request.name, field="name", want="version")
        revoked = await self._models.revoke(current_caller(), name, request.reason)
        return models_pb2.RevokeVersionResponse(
            version=version_to_proto(revoked.version), receipt=receipt_to_proto(revoked.receipt)
        )

    async def SetStage(
        self, request: models_pb2.SetStageRequest, context: ServicerContext
    ) -> models_pb2.SetStageResponse:
        """Move a version to a stage."""
        wanted = stage_from_proto(request.stage, field="stage")
        if wanted is None:
            raise InvalidInputError(
                "stage: say which: registered, candidate, approved or archived", metadata={"field": "stage"}
            )
        staged = await self._models.set_stage(
            current_caller(),
            parse_resource_name(request.name, field="name", want="version"),
            wanted,
            request.reason,
            expected=stage_from_proto(request.expected_stage, field="expected_stage"),
        )
        return models_pb2.SetStageResponse(
            version=version_to_proto(staged.version), receipt=receipt_to_proto(staged.receipt)
        )

    async def ArchiveVersions(
        self, request: models_pb2.ArchiveVersionsRequest, context: ServicerContext
    ) -> models_pb2.ArchiveVersionsResponse:
        """Archive what is old and out of use, or tell of it."""
        if not request.HasField("min_age"):
            raise InvalidInputError("min_age: say how old a version must be", metadata={"field": "min_age"})
        rule = ArchivalRule(
            _time_of(request.min_age, field="min_age"), _time_of(request.min_unused, field="min_unused")
        )
        everywhere = request.parent == ALL_NAMESPACES
        archived, token = await self._models.archival.run(
            current_caller(),
            "" if everywhere else _namespace(request.parent),
            rule,
            excluded=request.excluded,
            reason=request.reason,
            validate_only=request.validate_only,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return models_pb2.ArchiveVersionsResponse(
            versions=[archived_to_proto(each) for each in archived], next_page_token=token
        )

    def _told(self, version: Version) -> models_pb2.Version:
        message = version_to_proto(version)
        message.finality = finality_to_proto(self._log.finality(message.log_index))
        return message

    @property
    def _protected(self) -> Collection[str]:
        return self._state.policy.document.protected_aliases


def _time_of(message: Duration, *, field: str) -> timedelta:
    try:
        return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError as error:
        raise InvalidInputError(
            f"{field}: {message.seconds} s is out of range", metadata={"field": field}
        ) from error


def _namespace(parent: str) -> str:
    return parse_resource_name(parent, field="parent", want="namespace").namespace
