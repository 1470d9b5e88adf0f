"""An in-memory simulator of registries, for tests of whoever carries between them.

Real ``grpc.aio`` servers over mutual TLS on free ports, with the generated servicers. They keep what they are
told in dictionaries, verify no signature, and answer as they are scripted to: a policy's states one after
another, errors before or after a call took effect, calls that hang. What they do enforce is what a carrier
could get wrong: fencing epochs, tombstones, evidence that a release names and that does not come along,
missing blobs, capabilities, and answering a repeated call as the first.
"""

# ruff: noqa: N802  the contract's names

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.bundle.manifest import File, parse_manifest
from carnet.canonical import canonical_json, sha256_hex
from carnet.client.channel import TlsIdentity
from carnet.client.connection import SyncConnection
from carnet.client.status import STATUS_DETAILS_KEY, code_of, status_of
from carnet.errors import (
    AlreadyExistsError,
    BlobsMissingError,
    CarnetError,
    GateAwaitingError,
    GateRefusedError,
    IllegalTransitionError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    StaleEpochError,
    StatementInvalidError,
)
from carnet.references import parse_resource_name
from carnet.registry.v1 import (
    admission_pb2,
    admission_pb2_grpc,
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
    policy_pb2,
)
from carnet.signing.cancellation import Cancellation
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement
from carnet.translog.entry import Actor, Entry, EntryType
from carnet_sync.promotions.domain import Promotion, State
from tests.support.bundles import make_manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

AWAITING = admission_pb2.ADMISSION_STATE_AWAITING
READY = admission_pb2.ADMISSION_STATE_READY
REFUSED = admission_pb2.ADMISSION_STATE_REFUSED
ADMITTED = admission_pb2.ADMISSION_STATE_ADMITTED
CANCELLED = admission_pb2.ADMISSION_STATE_CANCELLED
DOMAIN = "spiffe://carnet.internal"
PIECE_BYTES = 64 << 10


class Authority:
    """A private certificate authority."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulated authority")])
        self._certificate = (
            _certificate(name, name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def identity(self, path: str | None, *, server_name: str = "localhost") -> TlsIdentity:
        """Issue a certificate with the SPIFFE id of a path, or with none."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, path or "nobody")])
        names: list[x509.GeneralName] = [x509.DNSName(server_name)]
        if path is not None:
            names.append(x509.UniformResourceIdentifier(f"{DOMAIN}/{path}"))
        certificate = (
            _certificate(name, self._certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return TlsIdentity(certificate.public_bytes(serialization.Encoding.PEM), private, self.pem)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
    )


@dataclass
class Script:
    """How a simulated registry answers, besides doing its work.

    Attributes:
        answers: The policy's states, one a check; the last one stays.
        before: Errors to raise before a method takes effect, one a call.
        after: Errors to raise after a method took effect, one a call: the answer was lost.
        held: Methods whose calls hang until the event is set.
        rule_message: What the one rule of the policy says.
        capability_seconds: How long a read capability holds.
        broken_pull: Whether PullBlobs says that it is done and fetches nothing.
    """

    answers: list[int] = field(default_factory=lambda: [int(READY)])
    before: defaultdict[str, list[CarnetError]] = field(default_factory=lambda: defaultdict(list))
    after: defaultdict[str, list[CarnetError]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    rule_message: str = "no evaluation is here yet"
    capability_seconds: float = 900.0
    broken_pull: bool = False


class SimulatedRegistry:
    """One environment's registry.

    Attributes:
        script: How it answers.
        calls: The names of the methods that were called, in order.
        versions: Manifest and signature of each version, by resource name.
        evidence: The envelopes held about each bundle.
        blobs: The blobs that the one namespace has.
        admissions: What is known of each promotion.
        epochs: The newest epoch that each promotion was seen with.
        admitted: How often a version was really admitted, by promotion.
        recorded: The promotions whose admission elsewhere was recorded.
        pulled: The digests that were fetched, in order.
    """

    def __init__(self, environment: str, authority: Authority) -> None:
        self.environment = environment
        self.script = Script()
        self.peers: dict[str, SimulatedRegistry] = {}
        self.calls: list[str] = []
        self.versions: dict[str, tuple[bytes, bytes]] = {}
        self.evidence: defaultdict[str, list[bytes]] = defaultdict(list)
        self.blobs: dict[str, bytes] = {}
        self.uploads: defaultdict[str, bytearray] = defaultdict(bytearray)
        self.admissions: dict[str, admission_pb2.Admission] = {}
        self.manifests: dict[str, bytes] = {}
        self.epochs: dict[str, int] = {}
        self.admitted: defaultdict[str, int] = defaultdict(int)
        self.recorded: list[str] = []
        self.pulled: list[str] = []
        self.server_name = f"{environment}.carnet.internal"
        self.subject = f"{DOMAIN}/registry/{environment}"
        self._identity = authority.identity(f"registry/{environment}", server_name=self.server_name)
        self._entries: list[bytes] = []
        self._news = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self._port = 0

    @property
    def endpoint(self) -> str:
        """Where it listens, or last did."""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, at the same port as before if it has been up already."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        models_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), server)
        evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(_Evidence(self), server)
        blobs_pb2_grpc.add_BlobServiceServicer_to_server(_Blobs(self), server)
        admission_pb2_grpc.add_AdmissionServiceServicer_to_server(_Admission(self), server)
        admission_pb2_grpc.add_ReleaseServiceServicer_to_server(_Release(self), server)
        log_pb2_grpc.add_LogServiceServicer_to_server(_Log(self), server)
        environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(_Environment(self), server)
        credentials = grpc.ssl_server_credentials(
            [(self._identity.private_key, self._identity.certificate)],
            root_certificates=self._identity.ca,
            require_client_auth=True,
        )
        self._port = server.add_secure_port(self.endpoint, credentials)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Be gone, and keep what is in memory."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    # --- what tests arrange ---------------------------------------------------------------------------

    def publish(self, manifest: bytes, files: Iterable[bytes], *, signature: bytes = b"signature") -> str:
        """Have a version, and return its resource name."""
        parsed = parse_manifest(manifest)
        name = f"namespaces/{parsed.namespace}/models/{parsed.model}/versions/{parsed.version}"
        self.versions[name] = (manifest, signature)
        self.blobs.update({sha256_hex(data): data for data in files})
        return name

    async def log(self, entry_type: EntryType, **subject: str | int) -> None:
        """Write an entry, and tell whoever follows the log."""
        entry = Entry(
            event_id=uuid.uuid4().hex,
            type=entry_type,
            environment=self.environment,
            time=datetime.now(UTC),
            actor=Actor(subject=self.subject, issuer="", method="mtls"),
            subject=subject,
        )
        async with self._news:
            self._entries.append(entry.to_bytes())
            self._news.notify_all()

    # --- what servicers share -------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serving(self, method: str, context: Any) -> AsyncIterator[None]:
        """Note a call, answer it as scripted, and turn typed errors into statuses."""
        self.calls.append(method)
        try:
            if method in self.script.held:
                await self.script.held[method].wait()
            if self.script.before[method]:
                raise self.script.before[method].pop(0)
            yield
            if self.script.after[method]:
                raise self.script.after[method].pop(0)
        except CarnetError as error:
            details = ((STATUS_DETAILS_KEY, status_of(error).SerializeToString()),)
            await context.abort(code_of(error), error.message, trailing_metadata=details)

    def fence(self, promotion: str, epoch: int) -> None:
        """Refuse an older worker."""
        newest = self.epochs.get(promotion, 0)
        if epoch < newest:
            raise StaleEpochError(f"epoch {epoch} is older than {newest}")
        self.epochs[promotion] = epoch

    def check_release(self, release: bytes, evidence: Iterable[bytes], bundle_digest: str) -> None:
        """Refuse evidence that is named and withheld."""
        stated = json.loads(release)
        held = {sha256_hex(each) for each in (*evidence, *self.evidence[bundle_digest])}
        for digest in stated["evidence"]:
            if digest not in held:
                raise StatementInvalidError(f"withheld evidence {digest}")

    def keep_evidence(self, bundle_digest: str, evidence: Iterable[bytes]) -> None:
        """Hold envelopes, each once."""
        for envelope in evidence:
            if envelope not in self.evidence[bundle_digest]:
                self.evidence[bundle_digest].append(envelope)

    def next_answer(self) -> int:
        """The policy's state now."""
        answers = self.script.answers
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def receipt(self) -> log_pb2.Receipt:
        """Some receipt."""
        return log_pb2.Receipt(log_index=1, entry=b"{}", tree_size=2, checkpoint=self.environment)

    async def entries_from(self, index: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield entries for ever."""
        while True:
            async with self._news:
                await self._news.wait_for(lambda wanted=index: wanted < len(self._entries))
            yield index, self._entries[index]
            index += 1

    @property
    def log_size(self) -> int:
        """How many entries there are."""
        return len(self._entries)


class _Servicer:
    def __init__(self, registry: SimulatedRegistry) -> None:
        self.registry = registry


class _Environment(_Servicer, environment_pb2_grpc.EnvironmentServiceServicer):
    async def GetEnvironment(self, request: Any, context: Any) -> environment_pb2.GetEnvironmentResponse:
        registry = self.registry
        async with registry.serving("GetEnvironment", context):
            pass
        described = environment_pb2.Environment(
            name=registry.environment, policy_digest=sha256_hex(b"policy"), log_size=registry.log_size
        )
        return environment_pb2.GetEnvironmentResponse(environment=described)


class _Models(_Servicer, models_pb2_grpc.ModelServiceServicer):
    async def GetVersion(self, request: Any, context: Any) -> models_pb2.GetVersionResponse:
        async with self.registry.serving("GetVersion", context):
            if request.name not in self.registry.versions:
                raise NotFoundError(f"{request.name} is not in {self.registry.environment}")
            manifest, signature = self.registry.versions[request.name]
        version = models_pb2.Version(
            name=request.name,
            bundle_digest=sha256_hex(manifest),
            canonical_manifest=manifest,
            signature=signature,
        )
        return models_pb2.GetVersionResponse(version=version)


class _Evidence(_Servicer, evidence_pb2_grpc.EvidenceServiceServicer):
    async def AddEvidence(self, request: Any, context: Any) -> evidence_pb2.AddEvidenceResponse:
        async with self.registry.serving("AddEvidence", context):
            subject = parse_resource_name(request.parent, field="parent", want="version")
            assert subject.version
            digest = json.loads(request.envelope)["bundle_digest"]
            self.registry.keep_evidence(digest, [request.envelope])
        return evidence_pb2.AddEvidenceResponse()

    async def ListEvidence(self, request: Any, context: Any) -> evidence_pb2.ListEvidenceResponse:
        async with self.registry.serving("ListEvidence", context):
            held = self.registry.evidence[request.bundle_digest]
            start = int(request.page_token or 0)
            page = held[start : start + (request.page_size or 100)]
            following = start + len(page)
        return evidence_pb2.ListEvidenceResponse(
            evidence=[evidence_pb2.Evidence(envelope=each) for each in page],
            next_page_token=str(following) if following < len(held) else "",
        )


class _Release(_Servicer, admission_pb2_grpc.ReleaseServiceServicer):
    async def CreateRelease(self, request: Any, context: Any) -> admission_pb2.CreateReleaseResponse:
        registry = self.registry
        async with registry.serving("CreateRelease", context):
            if request.name not in registry.versions:
                raise NotFoundError(f"{request.name} is not in {registry.environment}")
            digest = sha256_hex(registry.versions[request.name][0])
            named = sorted(sha256_hex(each) for each in registry.evidence[digest])
            release = canonical_json({"promotion": request.promotion, "evidence": named})
        return admission_pb2.CreateReleaseResponse(release=release, receipt=registry.receipt())

    async def CreateReadCapability(
        self, request: Any, context: Any
    ) -> admission_pb2.CreateReadCapabilityResponse:
        async with self.registry.serving("CreateReadCapability", context):
            expires = datetime.now(UTC) + timedelta(seconds=self.registry.script.capability_seconds)
            capability = canonical_json(
                {
                    "digests": sorted(request.digests),
                    "holder": request.target,
                    "expires": expires.timestamp(),
                }
            )
            response = admission_pb2.CreateReadCapabilityResponse(capability=capability)
            response.expire_time.FromDatetime(expires)
        return response

    async def RecordAdmission(self, request: Any, context: Any) -> admission_pb2.RecordAdmissionResponse:
        async with self.registry.serving("RecordAdmission", context):
            promotion = json.loads(request.decision)["promotion"]
            if promotion not in self.registry.recorded:
                self.registry.recorded.append(promotion)
        return admission_pb2.RecordAdmissionResponse(receipt=self.registry.receipt())


class _Admission(_Servicer, admission_pb2_grpc.AdmissionServiceServicer):
    async def EvaluateAdmission(self, request: Any, context: Any) -> admission_pb2.EvaluateAdmissionResponse:
        registry = self.registry
        async with registry.serving("EvaluateAdmission", context):
            admission = self._evaluate(request)
        return admission_pb2.EvaluateAdmissionResponse(admission=admission)

    def _evaluate(self, request: Any) -> admission_pb2.Admission:
        registry, given = self.registry, request.input
        statement = parse_statement(parse_envelope(given.request))
        asked = PromotionRequest.parse(statement)
        known = registry.admissions.get(asked.promotion)
        if known is not None and known.state in {CANCELLED, REFUSED}:
            raise IllegalTransitionError(f"promotion {asked.promotion} has ended here")
        if sha256_hex(given.canonical_manifest) != statement.subject_digest:
            raise StatementInvalidError("another manifest than the request names")
        registry.check_release(given.release, given.evidence, statement.subject_digest)
        state = ADMITTED if known is not None and known.state == ADMITTED else registry.next_answer()
        admission = admission_pb2.Admission() if known is None else known
        if state != ADMITTED:
            admission = _admission(asked, statement.subject_digest, given, state, registry)
        if not request.validate_only:
            registry.fence(asked.promotion, request.epoch)
            registry.keep_evidence(statement.subject_digest, given.evidence)
            registry.admissions[asked.promotion] = admission
            registry.manifests[asked.promotion] = given.canonical_manifest
        return admission

    async def GetAdmission(self, request: Any, context: Any) -> admission_pb2.GetAdmissionResponse:
        async with self.registry.serving("GetAdmission", context):
            admission = self._known(request.name)
        return admission_pb2.GetAdmissionResponse(admission=admission)

    async def PullBlobs(self, request: Any, context: Any) -> AsyncIterator[admission_pb2.PullBlobsResponse]:
        registry = self.registry
        async with registry.serving("PullBlobs", context):
            admission = self._known(request.name)
            registry.fence(admission.promotion, request.epoch)
            capability = json.loads(request.capability)
            total, done = sum(each.size_bytes for each in request.blobs), 0
            if capability["expires"] < datetime.now(UTC).timestamp():
                raise PermissionDeniedError("the capability has run out")
            if capability["holder"] != registry.environment:
                raise PermissionDeniedError("the capability is another's")
            for number, blob in enumerate(request.blobs, start=1):
                if blob.digest not in capability["digests"]:
                    raise PermissionDeniedError(f"{blob.digest} is not in the capability")
                if not registry.script.broken_pull and blob.digest not in registry.blobs:
                    registry.blobs[blob.digest] = registry.peers[admission.source].blobs[blob.digest]
                    registry.pulled.append(blob.digest)
                done += blob.size_bytes
                yield admission_pb2.PullBlobsResponse(
                    transferred_bytes=done, total_bytes=total, completed_blobs=number
                )

    async def Admit(self, request: Any, context: Any) -> admission_pb2.AdmitResponse:
        registry = self.registry
        async with registry.serving("Admit", context):
            admission = self._known(request.name)
            already = admission.state == ADMITTED
            if not already:
                self._admit(admission, request)
        return admission_pb2.AdmitResponse(admission=admission, already_admitted=already)

    def _admit(self, admission: admission_pb2.Admission, request: Any) -> None:
        registry = self.registry
        registry.fence(admission.promotion, request.epoch)
        registry.check_release(request.release, request.evidence, admission.bundle_digest)
        if admission.state == CANCELLED:
            raise IllegalTransitionError(f"promotion {admission.promotion} was cancelled")
        if admission.state == REFUSED:
            raise GateRefusedError("the policy said no")
        if admission.state != READY:
            raise GateAwaitingError("something is awaited")
        manifest = registry.manifests[admission.promotion]
        missing = {file.digest for file in parse_manifest(manifest).files} - set(registry.blobs)
        if missing:
            raise BlobsMissingError(f"{len(missing)} blobs are missing")
        if admission.version in registry.versions:
            raise AlreadyExistsError(f"{admission.version} is another bundle")
        registry.versions[admission.version] = (manifest, b"signature")
        registry.admitted[admission.promotion] += 1
        admission.state = ADMITTED
        admission.decision = canonical_json({"promotion": admission.promotion})
        admission.receipt.CopyFrom(registry.receipt())

    async def CancelAdmission(self, request: Any, context: Any) -> admission_pb2.CancelAdmissionResponse:
        registry = self.registry
        async with registry.serving("CancelAdmission", context):
            cancellation = Cancellation.parse(parse_statement(parse_envelope(request.envelope)))
            promotion = request.name.removeprefix("admissions/")
            assert cancellation.promotion == promotion
            known = registry.admissions.setdefault(
                promotion, admission_pb2.Admission(name=request.name, promotion=promotion)
            )
            if known.state == ADMITTED:
                raise IllegalTransitionError(f"promotion {promotion} was admitted")
            known.state = CANCELLED
        return admission_pb2.CancelAdmissionResponse(receipt=registry.receipt())

    def _known(self, name: str) -> admission_pb2.Admission:
        found = self.registry.admissions.get(name.removeprefix("admissions/"))
        if found is None:
            raise NotFoundError(f"{name} is unknown in {self.registry.environment}")
        return found


def _admission(
    asked: PromotionRequest, bundle_digest: str, given: Any, state: int, registry: SimulatedRegistry
) -> admission_pb2.Admission:
    admission = admission_pb2.Admission(
        name=f"admissions/{asked.promotion}",
        promotion=asked.promotion,
        state=state,  # type: ignore[arg-type]
        source=asked.source,
        version=f"namespaces/{asked.namespace}/models/{asked.model}/versions/{asked.version}",
        alias=asked.alias,
        bundle_digest=bundle_digest,
        requester=f"{DOMAIN}/service/ci",
        request=given.request,
    )
    status = {
        int(AWAITING): policy_pb2.RULE_STATUS_AWAITING,
        int(REFUSED): policy_pb2.RULE_STATUS_FAILED,
    }.get(int(state), policy_pb2.RULE_STATUS_PASSED)
    admission.evaluation.results.add(
        rule="evaluation", status=status, message=registry.script.rule_message, remedy="attach one"
    )
    return admission


class _Blobs(_Servicer, blobs_pb2_grpc.BlobServiceServicer):
    async def FindMissingBlobs(self, request: Any, context: Any) -> blobs_pb2.FindMissingBlobsResponse:
        async with self.registry.serving("FindMissingBlobs", context):
            missing = [each for each in request.blobs if each.digest not in self.registry.blobs]
        return blobs_pb2.FindMissingBlobsResponse(missing=missing)

    async def BatchWriteBlobs(self, request: Any, context: Any) -> blobs_pb2.BatchWriteBlobsResponse:
        async with self.registry.serving("BatchWriteBlobs", context):
            for blob in request.blobs:
                self._keep(blob.digest, blob.data)
        return blobs_pb2.BatchWriteBlobsResponse()

    async def BatchReadBlobs(self, request: Any, context: Any) -> blobs_pb2.BatchReadBlobsResponse:
        async with self.registry.serving("BatchReadBlobs", context):
            found = [blobs_pb2.BlobContent(digest=each, data=self._data(each)) for each in request.digests]
        return blobs_pb2.BatchReadBlobsResponse(blobs=found)

    async def GetUpload(self, request: Any, context: Any) -> blobs_pb2.GetUploadResponse:
        async with self.registry.serving("GetUpload", context):
            complete = request.blob.digest in self.registry.blobs
            committed = len(self.registry.uploads[request.blob.digest])
        return blobs_pb2.GetUploadResponse(committed_bytes=committed, complete=complete)

    async def WriteBlob(self, request_iterator: Any, context: Any) -> blobs_pb2.WriteBlobResponse:
        async with self.registry.serving("WriteBlob", context):
            blob: blobs_pb2.BlobRef | None = None
            async for request in request_iterator:
                blob = blob or request.blob
                upload = self.registry.uploads[blob.digest]
                if request.offset != len(upload):
                    raise InvalidInputError(f"offset {request.offset}; the upload stands at {len(upload)}")
                upload += request.data
                if len(upload) == blob.size_bytes:
                    self._keep(blob.digest, bytes(upload))
        return blobs_pb2.WriteBlobResponse(blob=blob)

    async def ReadBlob(self, request: Any, context: Any) -> AsyncIterator[blobs_pb2.ReadBlobResponse]:
        async with self.registry.serving("ReadBlob", context):
            data = self._data(request.digest)
            for offset in range(request.offset, len(data), PIECE_BYTES):
                yield blobs_pb2.ReadBlobResponse(offset=offset, data=data[offset : offset + PIECE_BYTES])

    def _keep(self, digest: str, data: bytes) -> None:
        assert sha256_hex(data) == digest
        self.registry.blobs[digest] = data

    def _data(self, digest: str) -> bytes:
        if digest not in self.registry.blobs:
            raise NotFoundError(f"blob {digest} is not here")
        return self.registry.blobs[digest]


class _Log(_Servicer, log_pb2_grpc.LogServiceServicer):
    async def WatchEntries(self, request: Any, context: Any) -> AsyncIterator[log_pb2.WatchEntriesResponse]:
        async with self.registry.serving("WatchEntries", context):
            async for index, entry in self.registry.entries_from(request.start_index):
                yield log_pb2.WatchEntriesResponse(entries=[log_pb2.LogEntry(index=index, entry=entry)])


class SimulatedFederation:
    """A source and a target, a bundle in the source, and whoever signs requests.

    Attributes:
        dev: The source.
        staging: The target.
        manifest: The canonical manifest of ``dev/risk/fraud@1``, which ``dev`` has.
        files: The bytes of its files.
    """

    def __init__(self, files: Iterable[bytes] = (b"abc", b"d" * 200_000)) -> None:
        self.authority = Authority()
        self.dev = SimulatedRegistry("dev", self.authority)
        self.staging = SimulatedRegistry("staging", self.authority)
        self.staging.peers["dev"] = self.dev
        self.key = SigningKey.generate()
        self.files = tuple(files)
        named = [
            File(path=f"file-{number}.bin", role="model", size_bytes=len(data), digest=sha256_hex(data))
            for number, data in enumerate(self.files)
        ]
        self.manifest = make_manifest(files=tuple(named)).to_bytes()
        self.bundle_digest = sha256_hex(self.manifest)
        self.version_name = self.dev.publish(self.manifest, self.files)
        self.sync_identity = self.authority.identity("sync", server_name="sync.carnet.internal")

    async def __aenter__(self) -> Self:
        await self.dev.start()
        await self.staging.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dev.stop()
        await self.staging.stop()

    def envelope_about(self, bundle_digest: str = "", *, size_bytes: int = 0) -> bytes:
        """Return something that stands for an attestation about the bundle."""
        return canonical_json(
            {
                "bundle_digest": bundle_digest or self.bundle_digest,
                "id": uuid.uuid4().hex,
                "padding": "x" * size_bytes,
            }
        )

    def request(self, promotion: str = "", *, digest: str = "", **fields: Any) -> bytes:
        """Sign a promotion request."""
        stated: dict[str, Any] = {
            "promotion": promotion or uuid.uuid4().hex,
            "source": "dev",
            "target": "staging",
            "namespace": "risk",
            "model": "fraud",
            "version": 1,
            "alias": "champion",
            "requested_at": datetime.now(UTC),
        }
        request = PromotionRequest(**{**stated, **fields})
        subject = f"dev/risk/fraud@{request.version}"
        return request.sign(subject, digest or self.bundle_digest, self.key).to_bytes()

    def cancellation(self, promotion: str, *, reason: str = "a better one is ready") -> bytes:
        """Sign a cancellation."""
        stated = Cancellation(promotion=promotion, reason=reason, cancelled_at=datetime.now(UTC))
        return stated.sign("dev/risk/fraud@1", self.bundle_digest, self.key).to_bytes()

    def configuration(self, folder: Path, *, transfer: str = "pull", **fields: Any) -> dict[str, Any]:
        """Write the promotion service's certificate, and return its configuration as plain values."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.pem").write_bytes(self.sync_identity.ca)
        (folder / "tls.pem").write_bytes(self.sync_identity.certificate)
        (folder / "tls-key.pem").write_bytes(self.sync_identity.private_key)
        stated: dict[str, Any] = {
            "schema": "carnet.sync/v1",
            "listen": "127.0.0.1:0",
            "database": "sqlite:///data/sync.db",
            "tls": {"certificate": "tls.pem", "key": "tls-key.pem", "ca": "ca.pem"},
            "environments": {
                registry.environment: {
                    "endpoint": registry.endpoint,
                    "server_name": registry.server_name,
                    "subject": registry.subject,
                }
                for registry in (self.dev, self.staging)
            },
            "routes": [{"source": "dev", "target": "staging", "transfer": transfer}],
            "callers": [
                {"subject": f"{DOMAIN}/service/ci", "roles": ["requester"]},
                {"subject": f"{DOMAIN}/person/dave", "roles": ["operator"]},
                {"subject": f"{DOMAIN}/person/rita", "roles": ["reader"]},
            ],
        }
        return {**stated, **fields}

    def connect(self, address: str, path: str | None = "service/ci") -> SyncConnection:
        """Connect to a promotion service as somebody."""
        return SyncConnection(
            address, server_name="sync.carnet.internal", identity=self.authority.identity(path)
        )


def make_promotion(**fields: Any) -> Promotion:
    """Return a promotion as the service keeps it; ``fields`` are its own."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    stated: dict[str, Any] = {
        "id": "0" * 32,
        "state": State.PENDING,
        "message": "",
        "error_reason": "",
        "source": "dev",
        "target": "staging",
        "namespace": "risk",
        "model": "fraud",
        "version": 1,
        "alias": "",
        "bundle_digest": "a" * 64,
        "requester": "spiffe://carnet.internal/service/ci",
        "request": b"request",
        "manifest": b"",
        "signature": b"",
        "source_receipt": b"",
        "admission": b"",
        "transferred_bytes": 0,
        "total_bytes": 0,
        "transfer": "pull",
        "attempts": 0,
        "returns": 0,
        "retrying_since": None,
        "wake_at": moment,
        "lease_owner": "",
        "lease_expires_at": moment,
        "epoch": 0,
        "created_at": moment,
        "updated_at": moment,
        "sequence": 1,
    }
    return Promotion(**{**stated, **fields})


async def eventually(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait until a condition holds, and fail the test if it does not in time."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.01)
