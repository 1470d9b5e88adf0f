"""The one table of what each call needs.

A call that is not in the table is refused: a test walks the service descriptors and fails on one that is
missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from carnet.references import ResourceName, parse_resource_name
from carnet_server.access.bindings import Role

if TYPE_CHECKING:
    from collections.abc import Callable

# Whoever has any role that can be given may read where it has it.
READERS = frozenset(get_args(Role))
_ANY_NAME = "namespace or model or version or alias or rollout"
ALL_NAMESPACES = "namespaces/-"


@dataclass(frozen=True, slots=True)
class Place:
    """What a call is about.

    Attributes:
        namespace: The namespace.
        alias: The alias that is acted on; empty where none is.
    """

    namespace: str
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a call needs.

    Attributes:
        roles: The roles, any of which will do.
        place: Finds what the call is about in the (first) request; None where the role may be in any
            namespace, and the service looks again once it knows.
        acts: Whether the call changes something, so that limits to aliases and denials of them count.
        everywhere: Whether the role must be in all namespaces, since what is asked for is of all.
    """

    roles: frozenset[str]
    place: Callable[[Any], Place | None] | None = None
    acts: bool = False
    everywhere: bool = False


def _place_of(field: str) -> Callable[[Any], Place | None]:
    def find(request: Any) -> Place | None:
        value = getattr(request, field)
        if value == ALL_NAMESPACES:
            return None
        name: ResourceName = parse_resource_name(value, field=field, want=_ANY_NAME)
        return Place(name.namespace, name.alias)

    return find


_IN_PARENT = _place_of("parent")
_IN_NAME = _place_of("name")
_REGISTRY = "/carnet.registry.v1."


def _roles(*names: str) -> frozenset[str]:
    return frozenset(names)


PERMISSIONS: dict[str, Permission] = {
    f"{_REGISTRY}EnvironmentService/GetEnvironment": Permission(READERS | {"peer"}),
    f"{_REGISTRY}ModelService/GetModel": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}ModelService/ListModels": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}ModelService/GetVersion": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}ModelService/ListVersions": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}ModelService/ResolveVersion": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}ModelService/ProposeVersion": Permission(_roles("publisher"), _IN_PARENT),
    f"{_REGISTRY}ModelService/PublishVersion": Permission(_roles("publisher"), _IN_PARENT, acts=True),
    f"{_REGISTRY}ModelService/RevokeVersion": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}ModelService/SetStage": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}ModelService/ArchiveVersions": Permission(_roles("operator"), _IN_PARENT, acts=True),
    f"{_REGISTRY}SearchService/SearchVersions": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}AliasService/GetAlias": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}AliasService/ListAliases": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}AliasService/ListAliasMoves": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}AliasService/WatchAlias": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}AliasService/SetAlias": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}AliasService/DeleteAlias": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}AliasService/RollbackAlias": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}AliasService/DrillAlias": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}AliasService/MarkChampion": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}AliasService/UnmarkChampion": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}AliasService/ReportServing": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}AliasService/ListStaleAliases": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}RolloutService/StartRollout": Permission(_roles("operator"), _IN_PARENT, acts=True),
    f"{_REGISTRY}RolloutService/GetRollout": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}RolloutService/ListRollouts": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}RolloutService/StopRollout": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}RolloutService/CompleteRollout": Permission(_roles("operator"), _IN_NAME, acts=True),
    f"{_REGISTRY}RolloutService/ReportMetrics": Permission(_roles("monitor"), _IN_NAME, acts=True),
    f"{_REGISTRY}RolloutService/GetTraffic": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}RolloutService/WatchTraffic": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}RetentionService/PurgeVersions": Permission(_roles("operator"), _IN_PARENT, acts=True),
    f"{_REGISTRY}RetentionService/PlaceHold": Permission(_roles("auditor", "admin"), _IN_NAME, acts=True),
    f"{_REGISTRY}RetentionService/ReleaseHold": Permission(_roles("auditor", "admin"), _IN_NAME, acts=True),
    f"{_REGISTRY}RetentionService/ListHolds": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}RetentionService/EraseDocument": Permission(_roles("admin"), everywhere=True),
    f"{_REGISTRY}RetentionService/GetHygiene": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}BlobService/FindMissingBlobs": Permission(_roles("publisher", "promoter"), _IN_PARENT),
    f"{_REGISTRY}BlobService/BatchWriteBlobs": Permission(
        _roles("publisher", "promoter"), _IN_PARENT, acts=True
    ),
    f"{_REGISTRY}BlobService/WriteBlob": Permission(_roles("publisher", "promoter"), _IN_PARENT, acts=True),
    f"{_REGISTRY}BlobService/GetUpload": Permission(_roles("publisher", "promoter"), _IN_PARENT),
    f"{_REGISTRY}BlobService/ReadBlob": Permission(READERS | {"peer"}, _IN_PARENT),
    f"{_REGISTRY}BlobService/BatchReadBlobs": Permission(READERS | {"peer"}, _IN_PARENT),
    f"{_REGISTRY}EvidenceService/AddEvidence": Permission(
        _roles("evaluator", "publisher", "promoter"), _IN_PARENT, acts=True
    ),
    f"{_REGISTRY}EvidenceService/ListEvidence": Permission(READERS, _IN_PARENT),
    f"{_REGISTRY}StampService/GetStamps": Permission(READERS, _IN_NAME),
    f"{_REGISTRY}AdmissionService/EvaluateAdmission": Permission(_roles("promoter")),
    f"{_REGISTRY}AdmissionService/GetAdmission": Permission(READERS),
    f"{_REGISTRY}AdmissionService/SubmitApproval": Permission(_roles("approver", "breaker")),
    f"{_REGISTRY}AdmissionService/PullBlobs": Permission(_roles("promoter")),
    f"{_REGISTRY}AdmissionService/Admit": Permission(_roles("promoter")),
    f"{_REGISTRY}AdmissionService/CancelAdmission": Permission(_roles("promoter", "requester", "operator")),
    f"{_REGISTRY}AdmissionService/ReplayPolicy": Permission(_roles("auditor", "admin"), everywhere=True),
    f"{_REGISTRY}IdentityService/IssueCertificate": Permission(READERS),
    f"{_REGISTRY}IdentityService/ListKeyUses": Permission(_roles("auditor", "admin"), everywhere=True),
    f"{_REGISTRY}ReleaseService/CreateRelease": Permission(_roles("promoter"), _IN_NAME, acts=True),
    f"{_REGISTRY}ReleaseService/CreateReadCapability": Permission(_roles("promoter"), _IN_NAME, acts=True),
    f"{_REGISTRY}ReleaseService/RecordAdmission": Permission(_roles("promoter"), _IN_NAME, acts=True),
    f"{_REGISTRY}LogService/GetCheckpoint": Permission(READERS | {"peer"}),
    f"{_REGISTRY}LogService/ListEntries": Permission(
        _roles("auditor", "archivist", "promoter", "admin"), everywhere=True
    ),
    f"{_REGISTRY}LogService/WatchEntries": Permission(
        _roles("auditor", "archivist", "promoter", "admin"), everywhere=True
    ),
    f"{_REGISTRY}LogService/GetReceipt": Permission(READERS | {"peer"}),
    f"{_REGISTRY}LogService/GetConsistencyProof": Permission(READERS | {"peer"}),
    f"{_REGISTRY}WitnessService/AddCheckpoint": Permission(READERS | {"peer"}),
    f"{_REGISTRY}WitnessService/GetWitnessed": Permission(READERS | {"peer"}),
    f"{_REGISTRY}LogService/BatchGetDocuments": Permission(
        _roles("auditor", "archivist", "admin"), everywhere=True
    ),
}
