"""Models, versions and manifests as messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.protobuf import json_format

from carnet.errors import InvalidInputError
from carnet.registry.v1 import manifest_pb2, models_pb2
from carnet.stages import Stage
from carnet_server.aliases.proto import alias_to_proto
from carnet_server.log.proto import receipt_to_proto

if TYPE_CHECKING:
    from collections.abc import Collection

    from carnet_server.models.archival_rules import Archived
    from carnet_server.models.domain import Model, Version

_STAGES = {
    Stage.REGISTERED: models_pb2.STAGE_REGISTERED,
    Stage.CANDIDATE: models_pb2.STAGE_CANDIDATE,
    Stage.APPROVED: models_pb2.STAGE_APPROVED,
    Stage.DEPLOYED: models_pb2.STAGE_DEPLOYED,
    Stage.ARCHIVED: models_pb2.STAGE_ARCHIVED,
    Stage.REVOKED: models_pb2.STAGE_REVOKED,
}
_NAMED: dict[int, Stage] = {number: stage for stage, number in _STAGES.items()}


def model_to_proto(model: Model, *, protected: Collection[str]) -> models_pb2.Model:
    """Return a model as the message that carries it.

    Args:
        model: The model.
        protected: The aliases that the policy protects.
    """
    message = models_pb2.Model(
        name=model.name,
        home=model.home,
        owner=model.owner,
        latest_version=model.latest_version,
        version_count=model.version_count,
        aliases=[alias_to_proto(alias, protected=protected) for alias in model.aliases],
    )
    message.create_time.FromDatetime(model.created_at)
    return message


def version_to_proto(version: Version) -> models_pb2.Version:
    """Return a version as the message that carries it, with its manifest where it was read too."""
    message = models_pb2.Version(
        name=version.name,
        version=version.version,
        home=version.home,
        bundle_digest=version.bundle_digest,
        stage=_STAGES[version.stage],
        size_bytes=version.size_bytes,
        file_count=version.file_count,
        publisher=version.publisher,
        source=version.source,
        promotion=version.promotion,
        log_index=version.log_index,
        description=version.description,
        semantic_version=version.semantic_version or "",
        stage_log_index=version.stage_log_index,
        canonical_manifest=version.manifest,
        signature=version.signature,
    )
    message.create_time.FromDatetime(version.created_at)
    message.stage_time.FromDatetime(version.staged_at)
    if version.purged_at is not None and version.purge_log_index is not None:
        message.purge_time.FromDatetime(version.purged_at)
        message.purge_log_index = version.purge_log_index
    if version.manifest:
        message.manifest.CopyFrom(manifest_to_proto(version.manifest))
    return message


def stage_from_proto(value: int, *, field: str) -> Stage | None:
    """Return a stage; None where none is stated.

    Raises:
        InvalidInputError: There is no such stage.
    """
    if value == models_pb2.STAGE_UNSPECIFIED:
        return None
    if value not in _NAMED:
        raise InvalidInputError(
            f"{field}: {value} is no stage; there are {', '.join(Stage)}", metadata={"field": field}
        )
    return _NAMED[value]


def archived_to_proto(archived: Archived) -> models_pb2.ArchivedVersion:
    """Return a version that was, or would be, archived as the message that carries it."""
    message = models_pb2.ArchivedVersion(
        version=version_to_proto(archived.version),
        why=archived.why,
        receipt=receipt_to_proto(archived.receipt) if archived.receipt else None,
    )
    message.last_use_time.FromDatetime(archived.last_used_at)
    return message


def manifest_to_proto(data: bytes) -> manifest_pb2.Manifest:
    """Return a canonical manifest as the message that mirrors it, field for field."""
    return json_format.ParseDict(json.loads(data), manifest_pb2.Manifest())
