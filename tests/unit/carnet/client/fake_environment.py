"""A registry in memory that signs and proves for real, and lies where a test asks it to.

Served by a real gRPC server over mutual TLS. It judges nothing: what a client must notice by itself is what is
under test. ``lies`` maps a method's name to a function that changes its answer.
"""

# ruff: noqa: N802  the contract's names

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from carnet.bundle.manifest import Manifest, parse_manifest
from carnet.canonical import sha256_hex
from carnet.errors import (
    BlobsMissingError,
    ConflictError,
    DataLossError,
    NotFoundError,
    UnavailableError,
)
from carnet.references import parse_resource_name
from carnet.registry.v1 import (
    admission_pb2,
    admission_pb2_grpc,
    aliases_pb2,
    aliases_pb2_grpc,
    blobs_pb2,
    blobs_pb2_grpc,
    environment_pb2,
    environment_pb2_grpc,
    evidence_pb2,
    evidence_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    retention_pb2_grpc,
    rollouts_pb2_grpc,
    search_pb2_grpc,
)
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision, PolicyReference, Verifier, verifier_id, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.dsse import parse_envelope
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.keys import SigningKey
from carnet.signing.predicate import DigestSet
from carnet.signing.statement import parse_statement
from carnet.signing.test_result import TestResult
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.keys import LogKey
from carnet.translog.tree import inclusion_proof, leaf_hash, root_of
from tests.unit.carnet.client.fake_retention import FakeRetention
from tests.unit.carnet.client.fake_rollouts import FakeRollouts, FakeRolloutService
from tests.unit.carnet.client.fake_search import FakeSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.signing.statement import Statement

POLICY = b"schema: carnet.policy/v1\n"
POLICY_DIGEST = sha256_hex(POLICY)
_WHO = Actor("spiffe://carnet.internal/service/ci", "", "mtls")


class FakeLog:
    """A log whose tree is computed from its leaves each time."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.key = LogKey.generate(f"carnet.internal/{environment}")
        self.entries: list[bytes] = []
        self.documents: dict[str, bytes] = {}

    def append(self, kind: EntryType, subject: dict[str, Any], **parts: Any) -> int:
        entry = Entry(uuid.uuid4().hex, kind, self.environment, datetime.now(UTC), _WHO, subject, **parts)
        self.entries.append(entry.to_bytes())
        return len(self.entries) - 1

    def store(self, data: bytes) -> str:
        self.documents[sha256_hex(data)] = data
        return sha256_hex(data)

    def checkpoint(self) -> str:
        root = root_of(leaf_hash(each) for each in self.entries)
        return sign_checkpoint(Checkpoint(self.key.name, len(self.entries), root), self.key)

    def receipt(self, index: int) -> log_pb2.Receipt:
        leaves = [leaf_hash(each) for each in self.entries]

        def node_at(level: int, position: int) -> bytes:
            return root_of(leaves[position << level : (position + 1) << level])

        return log_pb2.Receipt(
            log_index=index,
            entry=self.entries[index],
            tree_size=len(leaves),
            proof=inclusion_proof(index, len(leaves), node_at),
            checkpoint=self.checkpoint(),
        )


@dataclass
class FakeVersion:
    manifest: Manifest
    signature: bytes
    log_index: int
    stage: int = models_pb2.STAGE_REGISTERED
    stage_log_index: int = 0
    purged: tuple[datetime, int] | None = None

    def __post_init__(self) -> None:
        self.stage_log_index = self.log_index


@dataclass
class FakeAdmission:
    message: admission_pb2.Admission
    admitted_index: int | None = None


@dataclass
class FakeEnvironment:
    """One environment: its keys, its log, and everything that it holds."""

    name: str
    signing_key: SigningKey = field(default_factory=SigningKey.generate)
    lies: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    versions: dict[tuple[str, str, int], FakeVersion] = field(default_factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    evidence: dict[str, list[bytes]] = field(default_factory=dict)
    aliases: dict[str, aliases_pb2.Alias] = field(default_factory=dict)
    moves: dict[str, list[aliases_pb2.AliasMove]] = field(default_factory=dict)
    admissions: dict[str, FakeAdmission] = field(default_factory=dict)
    rollouts: FakeRollouts = field(default_factory=FakeRollouts)
    conflicts_to_come: int = 0
    collections_to_come: int = 0
    watches_to_break: int = 0

    def __post_init__(self) -> None:
        self.log = FakeLog(self.name)
        self.log.append(
            EntryType.POLICY_CHANGED,
            {"policy": POLICY_DIGEST},
            new=POLICY_DIGEST,
            envelope_digest=self.log.store(POLICY),
        )

    # --- what tests begin with ---------------------------------------------------------------------------

    def publish(self, manifest: Manifest, signature: bytes) -> FakeVersion:
        names = {"namespace": manifest.namespace, "model": manifest.model, "version": manifest.version}
        subject = names | {"bundle_digest": manifest.digest}
        decision = self.decide(manifest, promotion="")
        digest = self.log.store(decision)
        self.evidence.setdefault(manifest.digest, []).append(decision)
        self.log.append(EntryType.DECISION_MADE, subject, new="PASSED", envelope_digest=digest)
        index = self.log.append(EntryType.VERSION_PUBLISHED, subject, envelope_digest=digest)
        version = FakeVersion(manifest, signature, index)
        self.versions[manifest.namespace, manifest.model, manifest.version] = version
        return version

    def decide(self, manifest: Manifest, *, promotion: str, result: str = "PASSED", **said: Any) -> bytes:
        decision = Decision(
            verifier=Verifier(id=verifier_id(self.name)),
            time_verified=datetime.now(UTC),
            resource_uri=version_uri(self.name, manifest.namespace, manifest.model, manifest.version),
            policy=PolicyReference(uri="policy.yaml", digest=DigestSet(sha256=POLICY_DIGEST)),
            verification_result=result,
            verified_levels=(),
            promotion=promotion,
            **said,
        )
        return decision.sign(manifest.subject_name, manifest.digest, self.signing_key).to_bytes()

    def admit(
        self, promotion: str, manifest: Manifest, *, alias: str = "champion", by_rollout: bool = False
    ) -> admission_pb2.Admission:
        message = self.admissions[promotion].message if promotion in self.admissions else None
        message = message or self.hear_of(promotion, manifest, source="dev")
        ends = datetime.now(UTC) + timedelta(days=7) if by_rollout else None
        decision = self.decide(
            manifest, promotion=promotion, alias=alias, by_rollout=by_rollout, permit_expires_at=ends
        )
        subject = {
            "namespace": manifest.namespace,
            "model": manifest.model,
            "version": manifest.version,
            "bundle_digest": manifest.digest,
            "promotion": promotion,
        }
        index = self.log.append(EntryType.VERSION_ADMITTED, subject, envelope_digest=self.log.store(decision))
        message.state = admission_pb2.ADMISSION_STATE_ADMITTED
        message.decision = decision
        message.receipt.CopyFrom(self.log.receipt(index))
        return message

    def hear_of(self, promotion: str, manifest: Manifest, *, source: str) -> admission_pb2.Admission:
        message = admission_pb2.Admission(
            name=f"admissions/{promotion}",
            promotion=promotion,
            state=admission_pb2.ADMISSION_STATE_AWAITING,
            source=source,
            version=f"namespaces/{manifest.namespace}/models/{manifest.model}/versions/{manifest.version}",
            alias="champion",
            bundle_digest=manifest.digest,
            requester="spiffe://carnet.internal/service/ci",
            publisher="spiffe://carnet.internal/service/ci",
        )
        self.admissions[promotion] = FakeAdmission(message)
        return message

    def issue_dossier(
        self,
        promotion: str,
        manifest: Manifest,
        *,
        valid: timedelta = timedelta(days=1),
        open_rules: tuple[dict[str, str], ...] = (),
    ) -> None:
        message = self.admissions[promotion].message
        digests = tuple(sorted(sha256_hex(each) for each in self.evidence.get(manifest.digest, [])))
        now = datetime.now(UTC) - timedelta(hours=1)
        dossier = Dossier(
            promotion=promotion,
            source=message.source,
            target=self.name,
            namespace=manifest.namespace,
            model=manifest.model,
            version=manifest.version,
            alias=message.alias,
            policy_digest=POLICY_DIGEST,
            evidence=digests,
            evidence_set_digest=evidence_set_digest(digests),
            requester=message.requester,
            publisher=message.publisher,
            issued_at=now,
            expires_at=now + timedelta(hours=1) + valid,
            open_rules=open_rules,
            by_rollout=message.by_rollout,
        )
        message.dossier = dossier.sign(manifest.subject_name, manifest.digest, self.signing_key).to_bytes()

    # --- messages ----------------------------------------------------------------------------------------

    def version_message(self, version: FakeVersion) -> models_pb2.Version:
        manifest = version.manifest
        message = models_pb2.Version(
            name=f"namespaces/{manifest.namespace}/models/{manifest.model}/versions/{manifest.version}",
            version=manifest.version,
            home=manifest.home,
            bundle_digest=manifest.digest,
            stage=version.stage,
            size_bytes=sum(file.size_bytes for file in manifest.files),
            file_count=len(manifest.files),
            publisher="spiffe://carnet.internal/service/ci",
            log_index=version.log_index,
            stage_log_index=version.stage_log_index,
            canonical_manifest=manifest.to_bytes(),
            signature=version.signature,
        )
        if version.purged is not None:
            message.purge_time.FromDatetime(version.purged[0])
            message.purge_log_index = version.purged[1]
        return message

    def evidence_message(self, envelope: bytes) -> evidence_pb2.Evidence:
        statement = parse_statement(parse_envelope(envelope))
        test = TestResult.parse(statement) if statement.predicate_type == TestResult.PREDICATE_TYPE else None
        return evidence_pb2.Evidence(
            digest=sha256_hex(envelope),
            bundle_digest=statement.subject_digest,
            predicate_type=statement.predicate_type,
            suite=test.suite if test else "",
            result=test.result if test else "",
            signer="spiffe://carnet.internal/service/evaluator",
            trusted=True,
            envelope=envelope,
        )


class _Servicer:
    def __init__(self, environment: FakeEnvironment) -> None:
        self.here = environment

    def version(self, name: str) -> FakeVersion:
        parts = parse_resource_name(name, field="name", want="version or alias")
        number = parts.version
        if parts.alias:
            if name not in self.here.aliases:
                raise NotFoundError(f"{self.here.name} has no alias {parts.alias!r} here")
            number = self.here.aliases[name].version
        found = self.here.versions.get((parts.namespace, parts.model, number))
        if found is None:
            raise NotFoundError(f"{self.here.name} has no {name}")
        return found


class FakeModels(_Servicer, models_pb2_grpc.ModelServiceServicer):
    def GetModel(self, request, context):
        parts = parse_resource_name(request.name, field="name", want="model")
        numbers = [n for ns, model, n in self.here.versions if (ns, model) == (parts.namespace, parts.model)]
        if not numbers:
            raise NotFoundError(f"{self.here.name} has no model {request.name}")
        return models_pb2.GetModelResponse(model=self._model(request.name, numbers))

    def ListModels(self, request, context):
        found: dict[str, list[int]] = {}
        for namespace, model, number in self.here.versions:
            if request.parent in {"namespaces/-", f"namespaces/{namespace}"}:
                found.setdefault(f"namespaces/{namespace}/models/{model}", []).append(number)
        return models_pb2.ListModelsResponse(models=[self._model(*each) for each in found.items()])

    def _model(self, name: str, numbers: list[int]) -> models_pb2.Model:
        aliases = [each for key, each in self.here.aliases.items() if key.startswith(f"{name}/aliases/")]
        return models_pb2.Model(
            name=name,
            home="dev",
            owner="risk-team",
            latest_version=max(numbers),
            version_count=len(numbers),
            aliases=aliases,
        )

    def ListVersions(self, request, context):
        """One version a page, so that paging is used."""
        parts = parse_resource_name(request.parent, field="parent", want="model")
        keys = sorted(
            (key for key in self.here.versions if key[:2] == (parts.namespace, parts.model)), reverse=True
        )
        at = int(request.page_token or 0)
        message = self.here.version_message(self.here.versions[keys[at]])
        message.ClearField("canonical_manifest")
        return models_pb2.ListVersionsResponse(
            versions=[message], next_page_token=str(at + 1) if at + 1 < len(keys) else ""
        )

    def GetVersion(self, request, context):
        return models_pb2.GetVersionResponse(version=self.here.version_message(self.version(request.name)))

    def ResolveVersion(self, request, context):
        found = self.version(request.name)
        alias = self.here.aliases.get(request.name)
        return models_pb2.ResolveVersionResponse(
            version=self.here.version_message(found),
            alias=alias,
            receipt=self.here.log.receipt(alias.log_index if alias else found.log_index),
        )

    def ProposeVersion(self, request, context):
        parts = parse_resource_name(request.parent, field="parent", want="model")
        mine = {
            n: each
            for (ns, model, n), each in self.here.versions.items()
            if (ns, model) == (parts.namespace, parts.model)
        }
        for number, version in mine.items():
            if version.manifest.content_digest == request.content_digest:
                return models_pb2.ProposeVersionResponse(version=number, published=True)
        return models_pb2.ProposeVersionResponse(version=max(mine, default=0) + 1)

    def PublishVersion(self, request, context):
        if self.here.conflicts_to_come:
            self.here.conflicts_to_come -= 1
            raise ConflictError("the number was taken meanwhile")
        if self.here.collections_to_come:
            self.here.collections_to_come -= 1
            self.here.blobs.clear()
            raise BlobsMissingError("they were collected meanwhile")
        manifest = parse_manifest(request.canonical_manifest)
        key = (manifest.namespace, manifest.model, manifest.version)
        before = self.here.versions.get(key)
        version = before or self.here.publish(manifest, request.signature)
        return models_pb2.PublishVersionResponse(
            version=self.here.version_message(version),
            already_published=before is not None,
            receipt=self.here.log.receipt(version.log_index),
        )

    def RevokeVersion(self, request, context):
        found = self.version(request.name)
        found.stage = models_pb2.STAGE_REVOKED
        manifest = found.manifest
        index = self.here.log.append(
            EntryType.VERSION_REVOKED,
            {"namespace": manifest.namespace, "model": manifest.model, "version": manifest.version},
        )
        return models_pb2.RevokeVersionResponse(
            version=self.here.version_message(found), receipt=self.here.log.receipt(index)
        )

    def SetStage(self, request, context):
        found = self.version(request.name)
        if request.expected_stage not in {models_pb2.STAGE_UNSPECIFIED, found.stage}:
            raise ConflictError("it does not stand there")
        if request.stage != found.stage:
            self._stage(found, request.stage)
        return models_pb2.SetStageResponse(
            version=self.here.version_message(found), receipt=self.here.log.receipt(found.stage_log_index)
        )

    def ArchiveVersions(self, request, context):
        """Take every version that is registered for a hundred days old."""
        answer = models_pb2.ArchiveVersionsResponse()
        if request.min_age.ToTimedelta() > timedelta(days=100):
            return answer
        for found in list(self.here.versions.values()):
            name = self.here.version_message(found).name
            if found.stage != models_pb2.STAGE_REGISTERED or name in request.excluded:
                continue
            if not request.validate_only:
                self._stage(found, models_pb2.STAGE_ARCHIVED)
            told = answer.versions.add(version=self.here.version_message(found), why="old")
            if not request.validate_only:
                told.receipt.CopyFrom(self.here.log.receipt(found.stage_log_index))
        return answer

    def _stage(self, found, stage):
        old, new = (models_pb2.Stage.Name(each)[6:].lower() for each in (found.stage, stage))
        manifest = found.manifest
        found.stage = stage
        found.stage_log_index = self.here.log.append(
            EntryType.VERSION_STAGE_CHANGED,
            {"namespace": manifest.namespace, "model": manifest.model, "version": manifest.version},
            old=old,
            new=new,
        )


class FakeAliases(_Servicer, aliases_pb2_grpc.AliasServiceServicer):
    def _move(self, name: str, version: int, kind: int, **parts: Any) -> aliases_pb2.Alias:
        names = parse_resource_name(name, field="name", want="alias")
        before = self.here.aliases.get(name)
        old = before.version if before else 0
        index = self.here.log.append(
            EntryType.ALIAS_MOVED if version else EntryType.ALIAS_REMOVED,
            {"namespace": names.namespace, "model": names.model, "alias": names.alias},
            old=str(old or ""),
            new=str(version or ""),
        )
        revision = (before.revision if before else 0) + 1
        alias = aliases_pb2.Alias(name=name, version=version, revision=revision, log_index=index)
        if before and before.marked_version:
            alias.marked_version, alias.mark_note = before.marked_version, before.mark_note
            alias.marked_by = before.marked_by
            alias.mark_time.CopyFrom(before.mark_time)
        if version:
            alias.bundle_digest = self.here.versions[names.namespace, names.model, version].manifest.digest
        self.here.aliases[name] = alias
        self.here.moves.setdefault(name, []).insert(
            0,
            aliases_pb2.AliasMove(
                revision=revision, kind=kind, old_version=old, new_version=version, log_index=index, **parts
            ),
        )
        return alias

    def GetAlias(self, request, context):
        if request.name not in self.here.aliases:
            raise NotFoundError(f"no alias {request.name}")
        alias = self.here.aliases[request.name]
        kept = [aliases_pb2.WarmVersion(version=alias.version, bundle_digest=alias.bundle_digest)]
        return aliases_pb2.GetAliasResponse(alias=alias, warm=kept[: request.warm])

    def ListAliases(self, request, context):
        found = [each for key, each in self.here.aliases.items() if key.startswith(request.parent)]
        return aliases_pb2.ListAliasesResponse(aliases=found)

    def SetAlias(self, request, context):
        revision = self.here.aliases[request.name].revision if request.name in self.here.aliases else 0
        if request.HasField("expected_revision") and request.expected_revision != revision:
            raise ConflictError(f"the alias has revision {revision}")
        alias = self._move(request.name, request.version, aliases_pb2.ALIAS_MOVE_KIND_SET, note=request.note)
        return aliases_pb2.SetAliasResponse(alias=alias, receipt=self.here.log.receipt(alias.log_index))

    def DeleteAlias(self, request, context):
        alias = self._move(request.name, 0, aliases_pb2.ALIAS_MOVE_KIND_REMOVED)
        return aliases_pb2.DeleteAliasResponse(receipt=self.here.log.receipt(alias.log_index))

    def RollbackAlias(self, request, context):
        left = self.here.aliases[request.name].version
        before = self.here.aliases[request.name]
        named = before.marked_version if request.to_mark else request.version
        back = named or self.here.moves[request.name][0].old_version
        alias = self._move(
            request.name,
            back,
            aliases_pb2.ALIAS_MOVE_KIND_ROLLED_BACK,
            reason_code=request.reason_code,
            note=request.note,
            accepted_untested=request.accept_untested,
        )
        return aliases_pb2.RollbackAliasResponse(
            alias=alias, rolled_back_version=left, receipt=self.here.log.receipt(alias.log_index)
        )

    def MarkChampion(self, request, context):
        old, alias, receipt = self._mark(request.name, request.version, request.note)
        return aliases_pb2.MarkChampionResponse(alias=alias, old_marked_version=old, receipt=receipt)

    def UnmarkChampion(self, request, context):
        old, alias, receipt = self._mark(request.name, 0, request.note)
        return aliases_pb2.UnmarkChampionResponse(alias=alias, old_marked_version=old, receipt=receipt)

    def _mark(self, name: str, version: int, note: str) -> tuple[int, aliases_pb2.Alias, log_pb2.Receipt]:
        names, alias = parse_resource_name(name, field="name", want="alias"), self.here.aliases[name]
        old = alias.marked_version
        alias.marked_version, alias.mark_note = version, note if version else ""
        alias.marked_by = "spiffe://carnet.internal/person/dave" if version else ""
        alias.mark_time.FromDatetime(datetime.now(UTC))
        index = self.here.log.append(
            EntryType.ALIAS_MARKED,
            {"namespace": names.namespace, "model": names.model, "alias": names.alias},
            old=str(old or ""),
            new=str(version or ""),
        )
        return old, alias, self.here.log.receipt(index)

    def DrillAlias(self, request, context):
        here = self.here.aliases[request.name].version
        drilled = self.here.moves[request.name][0].old_version
        kind = aliases_pb2.ALIAS_MOVE_KIND_DRILLED
        back = self._move(request.name, drilled, kind, note=request.note)
        forward = self._move(request.name, here, kind)
        return aliases_pb2.DrillAliasResponse(
            alias=forward,
            drilled_version=drilled,
            back_receipt=self.here.log.receipt(back.log_index),
            forward_receipt=self.here.log.receipt(forward.log_index),
            check=aliases_pb2.RollbackCheck(blob_count=2, hashed_count=1, smoke_test="PASSED"),
        )

    def ReportServing(self, request, context):
        alias = self.here.aliases[request.name]
        current = (request.revision, request.bundle_digest) == (alias.revision, alias.bundle_digest)
        serving = aliases_pb2.Serving(
            instance_count=1, current_count=int(current), lagging=[] if current else [request.instance]
        )
        serving.revisions.add(
            revision=request.revision, bundle_digest=request.bundle_digest, instance_count=1
        )
        alias.serving.CopyFrom(serving)
        return aliases_pb2.ReportServingResponse(alias=alias, drifted=not current, ttl_seconds=120)

    def ListStaleAliases(self, request, context):
        found = [
            aliases_pb2.StaleAlias(
                alias=each, reasons=[aliases_pb2.STALE_REASON_UNRESOLVED], resolve_count=request.days
            )
            for each in self.here.aliases.values()
        ]
        return aliases_pb2.ListStaleAliasesResponse(aliases=found)

    def ListAliasMoves(self, request, context):
        return aliases_pb2.ListAliasMovesResponse(moves=self.here.moves.get(request.parent, []))

    def WatchAlias(self, request, context):
        alias = self.here.aliases.get(request.name, aliases_pb2.Alias(name=request.name))
        if alias.revision > request.after_revision or not request.after_revision:
            yield aliases_pb2.WatchAliasResponse(alias=alias)
        if self.here.watches_to_break:
            self.here.watches_to_break -= 1
            raise UnavailableError("going down")


class FakeBlobs(_Servicer, blobs_pb2_grpc.BlobServiceServicer):
    def _data(self, parent: str, digest: str) -> bytes:
        data = self.here.blobs.get((parent, digest))
        if data is None:
            raise NotFoundError(f"no blob {digest}")
        return data

    def FindMissingBlobs(self, request, context):
        missing = [each for each in request.blobs if (request.parent, each.digest) not in self.here.blobs]
        return blobs_pb2.FindMissingBlobsResponse(missing=missing)

    def BatchWriteBlobs(self, request, context):
        for each in request.blobs:
            self.here.blobs[request.parent, each.digest] = each.data
        return blobs_pb2.BatchWriteBlobsResponse()

    def GetUpload(self, request, context):
        return blobs_pb2.GetUploadResponse(complete=(request.parent, request.blob.digest) in self.here.blobs)

    def WriteBlob(self, requests, context):
        first = next(requests)
        data = first.data + b"".join(each.data for each in requests)
        self.here.blobs[first.parent, first.blob.digest] = data
        return blobs_pb2.WriteBlobResponse(blob=first.blob)

    def BatchReadBlobs(self, request, context):
        return blobs_pb2.BatchReadBlobsResponse(
            blobs=[
                blobs_pb2.BlobContent(digest=digest, data=self._data(request.parent, digest))
                for digest in request.digests
            ]
        )

    def ReadBlob(self, request, context):
        data = self._data(request.parent, request.digest)
        if not data:
            raise DataLossError("the stored bytes are gone")
        for offset in range(request.offset, len(data), 256 << 10):
            yield blobs_pb2.ReadBlobResponse(offset=offset, data=data[offset : offset + (256 << 10)])


class FakeEvidence(_Servicer, evidence_pb2_grpc.EvidenceServiceServicer):
    def AddEvidence(self, request, context):
        message = self.here.evidence_message(request.envelope)
        held = self.here.evidence.setdefault(message.bundle_digest, [])
        before = request.envelope in held
        if not before:
            held.append(request.envelope)
        index = self.here.log.append(
            EntryType.EVIDENCE_ADDED,
            {"bundle_digest": message.bundle_digest},
            envelope_digest=self.here.log.store(request.envelope),
        )
        return evidence_pb2.AddEvidenceResponse(
            evidence=message, already_held=before, receipt=self.here.log.receipt(index)
        )

    def ListEvidence(self, request, context):
        held = self.here.evidence.get(request.bundle_digest, [])
        return evidence_pb2.ListEvidenceResponse(evidence=[self.here.evidence_message(each) for each in held])


class FakeAdmissions(_Servicer, admission_pb2_grpc.AdmissionServiceServicer):
    def _of(self, name: str) -> admission_pb2.Admission:
        found = self.here.admissions.get(name.removeprefix("admissions/"))
        if found is None:
            raise NotFoundError(f"{self.here.name} has not heard of {name}")
        return found.message

    def GetAdmission(self, request, context):
        return admission_pb2.GetAdmissionResponse(admission=self._of(request.name))

    def SubmitApproval(self, request, context):
        message = self._of(request.name)
        statement = parse_statement(parse_envelope(request.envelope))
        kind, meaning, logged = _told(statement)
        held = admission_pb2.Approval(
            digest=sha256_hex(request.envelope),
            approver="spiffe://carnet.internal/person/bob",
            person="bob",
            meaning=meaning,
            reason=statement.predicate["reason"],
            envelope=request.envelope,
        )
        message.approvals.append(held)
        index = self.here.log.append(
            kind,
            {"promotion": message.promotion},
            new=logged,
            envelope_digest=self.here.log.store(request.envelope),
        )
        return admission_pb2.SubmitApprovalResponse(
            approval=held, admission=message, receipt=self.here.log.receipt(index)
        )


def _told(statement: Statement) -> tuple[EntryType, str, str]:
    """How a registry logs and holds what a person signed."""
    match statement.predicate_type:
        case BreakGlass.PREDICATE_TYPE:
            said = BreakGlass.parse(statement)
            return EntryType.BREAK_GLASS_RECORDED, "break-glass", ",".join(said.skips)
        case BreakGlassReview.PREDICATE_TYPE:
            review = BreakGlassReview.parse(statement)
            return EntryType.BREAK_GLASS_REVIEWED, f"review-{review.verdict}", review.verdict
    meaning = Approval.parse(statement).meaning
    return EntryType.APPROVAL_RECORDED, meaning, meaning


class FakeLogService(_Servicer, log_pb2_grpc.LogServiceServicer):
    def GetCheckpoint(self, request, context):
        return log_pb2.GetCheckpointResponse(checkpoint=self.here.log.checkpoint())

    def ListEntries(self, request, context):
        entries = self.here.log.entries[request.start_index :][: min(request.page_size, 3)]
        return log_pb2.ListEntriesResponse(
            entries=[
                log_pb2.LogEntry(index=request.start_index + i, entry=each, leaf_hash=leaf_hash(each))
                for i, each in enumerate(entries)
            ]
        )

    def GetReceipt(self, request, context):
        return log_pb2.GetReceiptResponse(receipt=self.here.log.receipt(request.index))

    def BatchGetDocuments(self, request, context):
        documents = self.here.log.documents
        return log_pb2.BatchGetDocumentsResponse(
            documents=[
                log_pb2.Document(digest=digest, data=documents[digest])
                for digest in request.digests
                if digest in documents
            ]
        )


class FakeEnvironmentService(_Servicer, environment_pb2_grpc.EnvironmentServiceServicer):
    def GetEnvironment(self, request, context):
        return environment_pb2.GetEnvironmentResponse(
            environment=environment_pb2.Environment(
                name=self.here.name,
                log_key=self.here.log.key.verifier.vkey,
                signing_key=self.here.signing_key.verification_key.pem,
                policy_digest=POLICY_DIGEST,
                log_size=len(self.here.log.entries),
                caller="spiffe://carnet.internal/service/ci",
                caller_roles=["publisher"],
            )
        )


def add_services(environment: FakeEnvironment, server: Any) -> None:
    """Serve all of an environment's services on a server."""
    models_pb2_grpc.add_ModelServiceServicer_to_server(FakeModels(environment), server)
    aliases_pb2_grpc.add_AliasServiceServicer_to_server(FakeAliases(environment), server)
    blobs_pb2_grpc.add_BlobServiceServicer_to_server(FakeBlobs(environment), server)
    evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(FakeEvidence(environment), server)
    admission_pb2_grpc.add_AdmissionServiceServicer_to_server(FakeAdmissions(environment), server)
    log_pb2_grpc.add_LogServiceServicer_to_server(FakeLogService(environment), server)
    environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(FakeEnvironmentService(environment), server)
    rollouts_pb2_grpc.add_RolloutServiceServicer_to_server(FakeRolloutService(environment), server)
    search_pb2_grpc.add_SearchServiceServicer_to_server(FakeSearch(environment), server)
    retention_pb2_grpc.add_RetentionServiceServicer_to_server(FakeRetention(environment), server)
