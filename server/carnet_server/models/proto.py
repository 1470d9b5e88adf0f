"""Models, versions and manifests as messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.protobuf import json_format

from carnet.registry.v1 import manifest_pb2, models_pb2
from carnet_server.aliases.proto import alias_to_proto
from carnet_server.models.domain import Stage

if TYPE_CHECKING:
    from collections.abc import Collection

    from carnet_server.models.domain import Model, Version

_STAGES = {
    Stage.REGISTERED: models_pb2.STAGE_REGISTERED,
    Stage.REVOKED: models_pb2.STAGE_REVOKED,
}


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
        canonical_manifest=version.manifest,
        signature=version.signature,
    )
    message.create_time.FromDatetime(version.created_at)
    if version.manifest:
        message.manifest.CopyFrom(manifest_to_proto(version.manifest))
    return message


def manifest_to_proto(data: bytes) -> manifest_pb2.Manifest:
    """Return a canonical manifest as the message that mirrors it, field for field."""
    return json_format.ParseDict(json.loads(data), manifest_pb2.Manifest())
