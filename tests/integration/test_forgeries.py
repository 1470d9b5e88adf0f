"""A promotion service that is malicious, and holds the real one's certificate, gets nothing in.

It calls the running registries directly. Whatever it forges, swaps, withholds, repeats or asks for, no version
and no alias appears, and no log grows but by the refusals that are decisions, and once a minute by the counts of
refused calls: that each forgery is among those is asked in ``test_refused_calls``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.client.channel import typed_errors
from carnet.errors import (
    AlreadyExistsError,
    BlobsMissingError,
    CarnetError,
    DigestMismatchError,
    GateAwaitingError,
    GateRefusedError,
    IllegalTransitionError,
    InvalidInputError,
    KeyUntrustedError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ProofInvalidError,
    SignatureInvalidError,
    StaleEpochError,
    StatementInvalidError,
)
from carnet.references import parse_reference
from carnet.registry.v1 import (
    admission_pb2,
    aliases_pb2,
    blobs_pb2,
    evidence_pb2,
    log_pb2,
    models_pb2,
)
from carnet.signing.cancellation import Cancellation
from carnet.signing.capability import Capability
from carnet.signing.dsse import parse_envelope, sign_payload
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.release import Release
from carnet.signing.statement import parse_statement, sign_statement
from carnet.translog.entry import Entry, parse_entry
from tests.support.bundles import make_bundle_directory

NAMESPACE = "forgeries"
PARENT = f"namespaces/{NAMESPACE}"
READY = admission_pb2.ADMISSION_STATE_READY
AWAITING = admission_pb2.ADMISSION_STATE_AWAITING
REFUSED = admission_pb2.ADMISSION_STATE_REFUSED
ADMITTED = admission_pb2.ADMISSION_STATE_ADMITTED


@dataclass
class Brought:
    """What an honest promotion service would bring for one promotion; every part may be forged."""

    promotion: str
    target: str
    name: str
    subject_name: str
    bundle_digest: str
    given: admission_pb2.AdmissionInput
    stamps: list[bytes] = field(default_factory=list)

    @property
    def blobs(self) -> list[blobs_pb2.BlobRef]:
        files = parse_manifest(self.given.canonical_manifest).files
        return [blobs_pb2.BlobRef(digest=file.digest, size_bytes=file.size_bytes) for file in files]


class Carrier:
    """The promotion service's certificate in other hands."""

    def __init__(self, federation, certificates: str = "sync"):
        self.federation = federation
        self.registries = {
            name: federation.connection(name, certificates) for name in ("dev", "staging", "prod")
        }
        self._entries: dict[str, list[Entry]] = {name: [] for name in self.registries}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for registry in self.registries.values():
            await registry.close()

    def key(self, folder: str) -> SigningKey:
        return SigningKey.load(self.federation.folder / folder / "signing-key.pem")

    async def call(self, environment: str, service: str, method: str, request):
        registry = self.registries[environment]
        return await registry.call(getattr(getattr(registry, service), method), request)

    async def entries(self, environment: str) -> list[Entry]:
        """Every entry of a log."""
        known = self._entries[environment]
        while True:
            request = log_pb2.ListEntriesRequest(start_index=len(known))
            page = (await self.call(environment, "log", "ListEntries", request)).entries
            if not page:
                return known
            known += [parse_entry(each.entry) for each in page]

    async def bring(self, reference, target: str, *, requester: str = "identities/ci", asked=()) -> Brought:
        reference = parse_reference(str(reference), want="version")
        source, name = reference.environment, reference.resource_name
        version = (
            await self.call(source, "models", "GetVersion", models_pb2.GetVersionRequest(name=name))
        ).version
        promotion = uuid4().hex
        manifest = parse_manifest(version.canonical_manifest)
        fields = {
            "promotion": promotion,
            "source": source,
            "target": target,
            "namespace": reference.namespace,
            "model": reference.model,
            "version": reference.version,
            "alias": "",
            "requested_at": datetime.now(UTC),
        }
        request = PromotionRequest(**fields | dict(asked)).sign(
            manifest.subject_name, version.bundle_digest, self.key(requester)
        )
        brought = Brought(
            promotion,
            target,
            name,
            manifest.subject_name,
            version.bundle_digest,
            admission_pb2.AdmissionInput(
                request=request.to_bytes(),
                canonical_manifest=version.canonical_manifest,
                signature=version.signature,
            ),
        )
        await self.refresh(brought, source)
        return brought

    async def refresh(self, brought: Brought, source: str = "dev") -> None:
        """Put a fresh release statement and all evidence into what is brought."""
        stated = await self.call(
            source,
            "release",
            "CreateRelease",
            admission_pb2.CreateReleaseRequest(
                name=brought.name, promotion=brought.promotion, target=brought.target
            ),
        )
        held = await self.call(
            source,
            "evidence",
            "ListEvidence",
            evidence_pb2.ListEvidenceRequest(parent=brought.name, bundle_digest=brought.bundle_digest),
        )
        brought.given.release = stated.release
        brought.stamps = list(stated.stamps)
        brought.given.source_receipt.CopyFrom(stated.receipt)
        del brought.given.evidence[:]
        brought.given.evidence.extend(each.envelope for each in held.evidence)

    async def evaluate(self, brought: Brought, *, epoch: int = 1):
        request = admission_pb2.EvaluateAdmissionRequest(input=brought.given, epoch=epoch)
        return (await self.call(brought.target, "admission", "EvaluateAdmission", request)).admission

    async def capability(self, brought: Brought, *, target: str = "", source: str = "dev") -> bytes:
        request = admission_pb2.CreateReadCapabilityRequest(
            name=brought.name,
            promotion=brought.promotion,
            target=target or brought.target,
            digests=[blob.digest for blob in brought.blobs],
        )
        return (await self.call(source, "release", "CreateReadCapability", request)).capability

    async def pull(self, brought: Brought, capability: bytes, *, epoch: int = 1, blobs=None) -> None:
        registry = self.registries[brought.target]
        request = admission_pb2.PullBlobsRequest(
            name=f"admissions/{brought.promotion}",
            blobs=brought.blobs if blobs is None else blobs,
            capability=capability,
            epoch=epoch,
        )
        async for _ in registry.stream(registry.admission.PullBlobs, request):
            pass

    async def admit(self, brought: Brought, *, epoch: int = 1):
        request = admission_pb2.AdmitRequest(
            name=f"admissions/{brought.promotion}",
            release=brought.given.release,
            evidence=brought.given.evidence,
            stamps=brought.stamps,
            epoch=epoch,
        )
        return (await self.call(brought.target, "admission", "Admit", request)).admission

    async def submit(self, environment: str, promotion: str, envelope: bytes):
        request = admission_pb2.SubmitApprovalRequest(name=f"admissions/{promotion}", envelope=envelope)
        return await self.call(environment, "admission", "SubmitApproval", request)

    async def is_there(self, brought: Brought) -> bool:
        try:
            await self.call(
                brought.target, "models", "GetVersion", models_pb2.GetVersionRequest(name=brought.name)
            )
        except NotFoundError:
            return False
        return True

    @contextlib.asynccontextmanager
    async def nothing_gets_in(self, brought: Brought, error: type[CarnetError], *, entries: int = 0):
        """Insist that a block ends in an error, and leaves no version and no more entries than are due."""
        before = self.federation.changes(brought.target)
        with pytest.raises(error) as caught:
            yield caught
        assert type(caught.value) is error
        assert self.federation.changes(brought.target) == before + entries
        assert not await self.is_there(brought)


@pytest.fixture
async def carrier(federation):
    async with Carrier(federation) as carrier:
        yield carrier


@pytest.fixture(scope="module")
def publish(federation, tmp_path_factory):
    """Publishes a version of a new model in dev, with an evaluation that passes."""
    count = 0

    def make(model: str = "", *, evaluated: bool = True):
        nonlocal count
        count += 1
        folder = make_bundle_directory(tmp_path_factory.mktemp("bundle"), seed=0xF000A + 16 * count)
        with federation.client("ci") as ci:
            reference = ci.push(f"dev/{NAMESPACE}/{model or f'model-{count}'}", folder).reference
        if evaluated:
            federation.evaluate(reference)
        return reference

    return make


@pytest.fixture(scope="module")
def one(publish):
    """A version that is never brought in honestly."""
    return publish("one")


@pytest.fixture(scope="module")
def another(publish):
    return publish("another")


async def test_what_is_brought_honestly_gets_in(carrier, publish):
    brought = await carrier.bring(publish(), "staging", asked={"alias": "champion"})
    assert (await carrier.evaluate(brought)).state == READY
    await carrier.pull(brought, await carrier.capability(brought))
    await carrier.refresh(brought)
    assert (await carrier.admit(brought)).state == ADMITTED
    assert await carrier.is_there(brought)


# --- forgeries at evaluation ------------------------------------------------------------------------------------


def with_payload(envelope: bytes, **changes) -> bytes:
    """Return an envelope whose predicate says something else, under the signature that was there."""
    document = json.loads(envelope)
    statement = json.loads(base64.b64decode(document["payload"]))
    statement["predicate"].update(changes)
    document["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return json.dumps(document).encode()


def signed_again(envelope: bytes, key: SigningKey) -> bytes:
    """Return an envelope with the same payload, signed by another key only."""
    parsed = parse_envelope(envelope)
    return sign_payload(parsed.payload, parsed.payload_type, key).to_bytes()


def release_of(carrier: Carrier, brought: Brought, **changes) -> bytes:
    """Return a release statement that the source itself signed, with some of what it says changed."""
    statement = parse_statement(parse_envelope(brought.given.release))
    return (
        Release(**Release.parse(statement).model_dump() | changes)
        .sign(statement.subject_name, statement.subject_digest, carrier.key("environments/dev"))
        .to_bytes()
    )


def request_by_a_stranger(carrier, one, another):
    one.given.request = signed_again(one.given.request, SigningKey.generate())


def request_by_an_approver(carrier, one, another):
    one.given.request = signed_again(one.given.request, carrier.key("identities/bob"))


def request_by_the_source(carrier, one, another):
    one.given.request = signed_again(one.given.request, carrier.key("environments/dev"))


def request_with_another_alias(carrier, one, another):
    one.given.request = with_payload(one.given.request, alias="champion")


def request_under_a_borrowed_key_id(carrier, one, another):
    document = json.loads(signed_again(one.given.request, SigningKey.generate()))
    document["signatures"][0]["keyid"] = carrier.key("identities/ci").key_id
    one.given.request = json.dumps(document).encode()


def request_of_another_version(carrier, one, another):
    one.given.request = another.given.request


def manifest_of_another_version(carrier, one, another):
    one.given.canonical_manifest = another.given.canonical_manifest


def manifest_that_was_edited(carrier, one, another):
    one.given.canonical_manifest = one.given.canonical_manifest.replace(b"risk-team", b"evil-team")


def signature_of_another_version(carrier, one, another):
    one.given.signature = another.given.signature


def signature_by_a_stranger(carrier, one, another):
    manifest = parse_manifest(one.given.canonical_manifest)
    covered = [(file.path, file.digest) for file in manifest.files] + [("manifest.json", manifest.digest)]
    one.given.signature = sign_model("one", covered, SigningKey.generate())


def release_by_a_stranger(carrier, one, another):
    one.given.release = signed_again(one.given.release, SigningKey.generate())


def release_by_the_target(carrier, one, another):
    one.given.release = signed_again(one.given.release, carrier.key("environments/staging"))


def release_of_another_promotion(carrier, one, another):
    one.given.release = another.given.release


def release_without_its_evidence(carrier, one, another):
    one.given.release = with_payload(one.given.release, evidence=[])
    del one.given.evidence[:]


def release_that_is_stale(carrier, one, another):
    one.given.release = release_of(
        carrier, one, issued_at=datetime.now(UTC) - timedelta(minutes=10, seconds=1)
    )


def release_from_the_future(carrier, one, another):
    one.given.release = release_of(carrier, one, issued_at=datetime.now(UTC) + timedelta(hours=1))


def release_for_another_target(carrier, one, another):
    one.given.release = release_of(carrier, one, target="prod")


def receipt_of_another_version(carrier, one, another):
    one.given.source_receipt.CopyFrom(another.given.source_receipt)


def receipt_that_was_edited(carrier, one, another):
    receipt = one.given.source_receipt
    receipt.entry = receipt.entry.replace(b'"version":1', b'"version":2')


def evidence_left_out(carrier, one, another):
    del one.given.evidence[-1]


def evidence_about_another_bundle(carrier, one, another):
    one.given.evidence.append(another.given.evidence[-1])


def evidence_that_was_improved(carrier, one, another):
    held = [json.loads(base64.b64decode(json.loads(each)["payload"])) for each in one.given.evidence]
    index = next(index for index, each in enumerate(held) if "carnet_suite" in each["predicate"])
    one.given.evidence.append(with_payload(one.given.evidence[index], carnet_metrics=[]))


@pytest.mark.parametrize(
    ("forge", "error"),
    [
        (request_by_a_stranger, KeyUntrustedError),
        (request_by_an_approver, KeyUntrustedError),
        (request_by_the_source, KeyUntrustedError),
        (request_with_another_alias, SignatureInvalidError),
        (request_under_a_borrowed_key_id, SignatureInvalidError),
        (request_of_another_version, DigestMismatchError),
        (manifest_of_another_version, DigestMismatchError),
        (manifest_that_was_edited, DigestMismatchError),
        (signature_of_another_version, DigestMismatchError),
        (signature_by_a_stranger, KeyUntrustedError),
        (release_by_a_stranger, KeyUntrustedError),
        (release_by_the_target, KeyUntrustedError),
        (release_of_another_promotion, StatementInvalidError),
        (release_without_its_evidence, SignatureInvalidError),
        (release_that_is_stale, PreconditionFailedError),
        (release_from_the_future, StatementInvalidError),
        (release_for_another_target, StatementInvalidError),
        (receipt_of_another_version, StatementInvalidError),
        (receipt_that_was_edited, ProofInvalidError),
        (evidence_left_out, StatementInvalidError),
        (evidence_about_another_bundle, StatementInvalidError),
        (evidence_that_was_improved, SignatureInvalidError),
    ],
)
async def test_a_forgery_is_refused_and_changes_nothing(forge, error, carrier, one, another):
    brought = await carrier.bring(one, "staging")
    forge(carrier, brought, await carrier.bring(another, "staging"))
    async with carrier.nothing_gets_in(brought, error):
        await carrier.evaluate(brought)
    with pytest.raises(NotFoundError):
        await carrier.admit(brought)


@pytest.mark.parametrize(
    ("requester", "asked", "error"),
    [
        ("identities/ci", {"target": "prod"}, StatementInvalidError),
        ("identities/ci", {"source": "prod"}, KeyUntrustedError),
        ("identities/ci", {"namespace": "elsewhere"}, StatementInvalidError),
        ("identities/dave", {}, KeyUntrustedError),
        ("identities/evaluator", {}, KeyUntrustedError),
    ],
)
async def test_what_a_requester_did_not_wish_is_not_done(requester, asked, error, carrier, one):
    brought = await carrier.bring(one, "staging", requester=requester, asked=asked)
    async with carrier.nothing_gets_in(brought, error):
        await carrier.evaluate(brought)


async def test_a_promotion_id_is_used_for_one_request_only(carrier, publish):
    first = await carrier.bring(publish(evaluated=False), "staging")
    assert (await carrier.evaluate(first)).state == AWAITING
    second = await carrier.bring(publish(), "staging", asked={"promotion": first.promotion})
    second.promotion = first.promotion
    await carrier.refresh(second)
    async with carrier.nothing_gets_in(second, AlreadyExistsError):
        await carrier.evaluate(second)
    async with carrier.nothing_gets_in(second, StatementInvalidError):
        await carrier.admit(second)


# --- what happens between evaluation and admission --------------------------------------------------------------


@pytest.fixture
async def ready(carrier, publish):
    """A promotion that staging is ready to admit, blobs and all, and its reference."""
    reference = publish()
    brought = await carrier.bring(reference, "staging", asked={"alias": "champion"})
    assert (await carrier.evaluate(brought, epoch=5)).state == READY
    await carrier.pull(brought, await carrier.capability(brought), epoch=5)
    return brought, reference


@pytest.mark.parametrize(
    ("forge", "error"),
    [
        (release_by_a_stranger, KeyUntrustedError),
        (release_of_another_promotion, StatementInvalidError),
        (release_without_its_evidence, SignatureInvalidError),
        (release_that_is_stale, PreconditionFailedError),
        (evidence_about_another_bundle, StatementInvalidError),
        (evidence_that_was_improved, SignatureInvalidError),
    ],
)
async def test_a_forgery_at_the_last_step_admits_nothing(forge, error, carrier, ready, another):
    brought, _ = ready
    await carrier.refresh(brought)
    forge(carrier, brought, await carrier.bring(another, "staging"))
    async with carrier.nothing_gets_in(brought, error):
        await carrier.admit(brought, epoch=5)


async def test_a_failed_result_can_be_withheld_at_no_step(federation, carrier, ready):
    brought, reference = ready
    federation.evaluate(reference, result="FAILED")
    await carrier.refresh(brought)
    carried = list(brought.given.evidence)
    del brought.given.evidence[-1]
    for step in (carrier.evaluate, carrier.admit):
        async with carrier.nothing_gets_in(brought, StatementInvalidError) as caught:
            await step(brought, epoch=5)
        assert "withheld" in caught.value.message
    brought.given.evidence.append(carried[-1])
    # Brought, it is an entry itself, and the refusal that it leads to is another.
    async with carrier.nothing_gets_in(brought, GateRefusedError, entries=2):
        await carrier.admit(brought, epoch=5)
    async with carrier.nothing_gets_in(brought, IllegalTransitionError):
        await carrier.admit(brought, epoch=6)
    assert (await carrier.evaluate(brought, epoch=6)).state == REFUSED


async def test_a_version_that_its_source_revoked_meanwhile_is_refused(federation, carrier, ready):
    brought, reference = ready
    with federation.client("dave") as operator:
        operator.revoke(str(reference), "it leaks")
    await carrier.refresh(brought)
    async with carrier.nothing_gets_in(brought, GateRefusedError, entries=1):
        await carrier.admit(brought, epoch=5)


async def test_a_worker_whose_epoch_is_over_moves_nothing(carrier, ready):
    brought, _ = ready
    capability = await carrier.capability(brought)
    await carrier.refresh(brought)
    for step in (
        lambda: carrier.admit(brought, epoch=4),
        lambda: carrier.evaluate(brought, epoch=4),
        lambda: carrier.pull(brought, capability, epoch=4),
    ):
        async with carrier.nothing_gets_in(brought, StaleEpochError):
            await step()


def cancellation(carrier, brought, signer: str, **changes) -> bytes:
    fields = {"promotion": brought.promotion, "reason": "not now", "cancelled_at": datetime.now(UTC)}
    return (
        Cancellation(**fields | changes)
        .sign(brought.subject_name, brought.bundle_digest, carrier.key(signer))
        .to_bytes()
    )


async def cancel(carrier, brought, envelope: bytes) -> None:
    request = admission_pb2.CancelAdmissionRequest(name=f"admissions/{brought.promotion}", envelope=envelope)
    await carrier.call(brought.target, "admission", "CancelAdmission", request)


async def test_an_admission_after_the_cancellation_is_refused(carrier, ready):
    brought, _ = ready
    await carrier.refresh(brought)
    await cancel(carrier, brought, cancellation(carrier, brought, "identities/ci"))
    for epoch in (5, 99):
        async with carrier.nothing_gets_in(brought, IllegalTransitionError):
            await carrier.admit(brought, epoch=epoch)
        async with carrier.nothing_gets_in(brought, IllegalTransitionError):
            await carrier.evaluate(brought, epoch=epoch)


async def test_a_promotion_that_was_cancelled_before_it_came_is_refused_when_it_comes(carrier, one):
    brought = await carrier.bring(one, "staging")
    await cancel(carrier, brought, cancellation(carrier, brought, "identities/ci"))
    async with carrier.nothing_gets_in(brought, IllegalTransitionError):
        await carrier.evaluate(brought)


async def test_a_promotion_is_cancelled_by_nobody_who_may_not(carrier, ready):
    brought, _ = ready
    before = carrier.federation.changes("staging")
    good = cancellation(carrier, brought, "identities/ci")
    for envelope, error in (
        (signed_again(good, SigningKey.generate()), KeyUntrustedError),
        (signed_again(good, carrier.key("identities/bob")), KeyUntrustedError),
        (cancellation(carrier, brought, "identities/alice"), PermissionDeniedError),
        (cancellation(carrier, brought, "identities/ci", promotion=uuid4().hex), StatementInvalidError),
        (with_payload(good, reason="now"), SignatureInvalidError),
    ):
        with pytest.raises(error):
            await cancel(carrier, brought, envelope)
    assert carrier.federation.changes("staging") == before
    await carrier.refresh(brought)
    assert (await carrier.admit(brought, epoch=5)).state == ADMITTED


# --- approvals --------------------------------------------------------------------------------------------------


async def test_no_approval_is_taken_but_from_its_signer_for_its_own_promotion(federation, carrier, publish):
    reference = publish()
    federation.to_staging(reference)
    in_staging = f"staging/{NAMESPACE}/{reference.model}@1"
    federation.test_integration(in_staging)
    approved, other = [await carrier.bring(in_staging, "prod", asked={"alias": "champion"}) for _ in range(2)]
    for brought in (approved, other):
        assert (await carrier.evaluate(brought)).state == AWAITING
        await carrier.pull(brought, await carrier.capability(brought, source="staging"))
    for name in ("bob", "carol"):
        with federation.client(name) as approver:
            approver.approve(approved.promotion, "in order", target="prod")
    get = admission_pb2.GetAdmissionRequest(name=f"admissions/{approved.promotion}")
    given = (await carrier.call("prod", "admission", "GetAdmission", get)).admission.approvals
    bobs = next(each.envelope for each in given if each.person == "bob")

    async with contextlib.AsyncExitStack() as stack:
        bob, carol, alice = [
            await stack.enter_async_context(Carrier(federation, f"identities/{name}"))
            for name in ("bob", "carol", "alice")
        ]
        dossier = (
            await carrier.call(
                "prod",
                "admission",
                "GetAdmission",
                admission_pb2.GetAdmissionRequest(name=f"admissions/{other.promotion}"),
            )
        ).admission.dossier
        redirected = with_payload(bobs, promotion=other.promotion, dossier_digest=sha256_hex(dossier))
        statement = parse_statement(parse_envelope(redirected))
        invented = sign_statement(statement, SigningKey.generate()).to_bytes()
        own = sign_statement(statement, carrier.key("identities/alice")).to_bytes()
        for sender, promotion, envelope, error in (
            (carrier, other, bobs, PermissionDeniedError),
            (bob, other, bobs, StatementInvalidError),
            (carol, other, bobs, PermissionDeniedError),
            (bob, other, redirected, SignatureInvalidError),
            (bob, other, invented, KeyUntrustedError),
            (carol, approved, bobs, PermissionDeniedError),
            (alice, other, own, PermissionDeniedError),
        ):
            async with carrier.nothing_gets_in(promotion, error):
                await sender.submit("prod", promotion.promotion, envelope)
    await carrier.refresh(other, "staging")
    async with carrier.nothing_gets_in(other, GateAwaitingError):
        await carrier.admit(other)
    await carrier.refresh(approved, "staging")
    assert (await carrier.admit(approved)).state == ADMITTED


# --- blobs ------------------------------------------------------------------------------------------------------


async def write(carrier, environment: str, blob: blobs_pb2.BlobRef, data: bytes) -> None:
    async def messages():
        yield blobs_pb2.WriteBlobRequest(parent=PARENT, blob=blob, data=data)

    with typed_errors(environment):
        await carrier.registries[environment].blobs.WriteBlob(messages())


async def test_a_swapped_blob_is_not_taken_and_nothing_is_admitted_without_the_true_one(carrier, publish):
    brought = await carrier.bring(publish(), "staging")
    assert (await carrier.evaluate(brought)).state == READY
    swapped = brought.blobs[0]
    evil = b"\0" * swapped.size_bytes
    async with carrier.nothing_gets_in(brought, DigestMismatchError):
        await write(carrier, "staging", swapped, evil)
    async with carrier.nothing_gets_in(brought, DigestMismatchError):
        content = blobs_pb2.BlobContent(digest=swapped.digest, data=evil)
        request = blobs_pb2.BatchWriteBlobsRequest(parent=PARENT, blobs=[content])
        await carrier.call("staging", "blobs", "BatchWriteBlobs", request)
    asked = blobs_pb2.GetUploadRequest(parent=PARENT, blob=swapped)
    upload = await carrier.call("staging", "blobs", "GetUpload", asked)
    assert (upload.committed_bytes, upload.complete) == (0, False)
    async with carrier.nothing_gets_in(brought, BlobsMissingError) as caught:
        await carrier.admit(brought)
    assert swapped.digest in caught.value.message + caught.value.metadata.get("digests", "")


async def test_what_is_written_and_not_admitted_is_shown_to_nobody(federation, carrier, publish):
    data = uuid4().bytes * 8
    blob = blobs_pb2.BlobRef(digest=sha256_hex(data), size_bytes=len(data))
    before = carrier.federation.changes("staging")
    await write(carrier, "staging", blob, data)
    assert carrier.federation.changes("staging") == before
    async with Carrier(federation, "identities/ci") as reader:
        with pytest.raises((NotFoundError, PermissionDeniedError)):
            await reader.call(
                "staging",
                "blobs",
                "BatchReadBlobs",
                blobs_pb2.BatchReadBlobsRequest(parent=PARENT, digests=[blob.digest]),
            )


async def test_only_the_files_of_the_bundle_are_pulled(carrier, publish, another):
    brought = await carrier.bring(publish(), "staging")
    await carrier.evaluate(brought)
    strange = (await carrier.bring(another, "staging")).blobs[:1]
    async with carrier.nothing_gets_in(brought, InvalidInputError):
        await carrier.pull(brought, await carrier.capability(brought), blobs=strange)


@pytest.mark.parametrize("certificates", ["environments/prod", "identities/evaluator"])
async def test_a_capability_is_worth_nothing_to_anybody_else(certificates, federation, carrier, one, another):
    brought = await carrier.bring(one, "staging")
    capability = await carrier.capability(brought)
    (first, *_), (foreign, *_) = brought.blobs, (await carrier.bring(another, "staging")).blobs
    mine = Capability.parse(parse_statement(parse_envelope(capability)))

    def made(key: str, **changes) -> bytes:
        changed = Capability(**mine.model_dump() | changes)
        return changed.sign(brought.subject_name, brought.bundle_digest, carrier.key(key)).to_bytes()

    async def read(reader, capability: bytes, digest: str = first.digest):
        return await reader.call(
            "dev",
            "blobs",
            "BatchReadBlobs",
            blobs_pb2.BatchReadBlobsRequest(parent=PARENT, digests=[digest], capability=capability),
        )

    over = datetime.now(UTC) - timedelta(seconds=1)
    async with (
        Carrier(federation, "environments/staging") as holder,
        Carrier(federation, certificates) as thief,
    ):
        assert (await read(holder, capability)).blobs[0].digest == first.digest
        for reader, shown, digest, error in (
            (thief, capability, first.digest, PermissionDeniedError),
            (holder, b"", first.digest, PermissionDeniedError),
            (holder, capability, foreign.digest, PermissionDeniedError),
            (holder, made("environments/dev", expires_at=over), first.digest, PermissionDeniedError),
            (holder, made("environments/dev", namespace="risk"), first.digest, PermissionDeniedError),
            (holder, made("environments/staging"), first.digest, KeyUntrustedError),
            (
                holder,
                with_payload(capability, digests=[foreign.digest]),
                foreign.digest,
                SignatureInvalidError,
            ),
        ):
            with pytest.raises(error):
                await read(reader, shown, digest)


async def test_a_capability_for_another_registry_pulls_nothing(carrier, publish):
    brought = await carrier.bring(publish(), "staging")
    await carrier.evaluate(brought)
    capability = await carrier.capability(brought, target="prod")
    async with carrier.nothing_gets_in(brought, PermissionDeniedError):
        await carrier.pull(brought, capability)


# --- doors that are not the promotion service's -----------------------------------------------------------------


def publication(brought: Brought):
    return models_pb2.PublishVersionRequest(
        parent=brought.name.rsplit("/versions/", 1)[0],
        canonical_manifest=brought.given.canonical_manifest,
        signature=brought.given.signature,
    )


DOORS = {
    "PublishVersion": ("models", publication),
    "RevokeVersion": ("models", lambda b: models_pb2.RevokeVersionRequest(name=b.name, reason="gone")),
    "SetStage": (
        "models",
        lambda b: models_pb2.SetStageRequest(name=b.name, stage="STAGE_APPROVED", reason="so"),
    ),
    "ArchiveVersions": (
        "models",
        lambda b: models_pb2.ArchiveVersionsRequest(parent=b.name.partition("/models/")[0], reason="old"),
    ),
    "SetAlias": ("aliases", lambda b: aliases_pb2.SetAliasRequest(name=_alias(b), version=1)),
    "DeleteAlias": ("aliases", lambda b: aliases_pb2.DeleteAliasRequest(name=_alias(b))),
    "RollbackAlias": (
        "aliases",
        lambda b: aliases_pb2.RollbackAliasRequest(name=_alias(b), reason_code="latency"),
    ),
    "SubmitApproval": (
        "admission",
        lambda b: admission_pb2.SubmitApprovalRequest(
            name=f"admissions/{b.promotion}", envelope=b.given.request
        ),
    ),
    "BatchGetDocuments": (
        "log",
        lambda b: log_pb2.BatchGetDocumentsRequest(digests=[sha256_hex(b.given.request)]),
    ),
}


def _alias(brought: Brought) -> str:
    return f"{brought.name.rsplit('/versions/', 1)[0]}/aliases/champion"


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
@pytest.mark.parametrize("method", DOORS)
async def test_other_doors_are_closed_to_it(method, environment, carrier, one):
    service, request = DOORS[method]
    brought = await carrier.bring(one, "staging")
    before = carrier.federation.changes(environment)
    with pytest.raises(PermissionDeniedError):
        await carrier.call(environment, service, method, request(brought))
    assert carrier.federation.changes(environment) == before


async def test_nobody_else_promotes(federation, carrier, one):
    brought = await carrier.bring(one, "staging")
    before = carrier.federation.changes("staging")
    for certificates in ("identities/ci", "identities/alice", "identities/dave", "environments/dev"):
        async with Carrier(federation, certificates) as other:
            for step in (other.evaluate, other.admit):
                with pytest.raises(PermissionDeniedError):
                    await step(brought)
    assert carrier.federation.changes("staging") == before


async def test_its_own_word_for_an_admission_is_not_recorded(federation, carrier, publish, another):
    reference = publish()
    brought = await carrier.bring(reference, "staging")
    await carrier.evaluate(brought)
    await carrier.pull(brought, await carrier.capability(brought))
    await carrier.refresh(brought)
    admission = await carrier.admit(brought)
    elsewhere = (await carrier.bring(another, "staging")).name
    stranger = SigningKey.generate()
    forged_receipt = log_pb2.Receipt()
    forged_receipt.CopyFrom(admission.receipt)
    forged_receipt.entry = forged_receipt.entry.replace(b"staging", b"staginh")
    before = carrier.federation.changes("dev")

    async def record(name: str, decision: bytes, receipt) -> None:
        request = admission_pb2.RecordAdmissionRequest(name=name, decision=decision, target_receipt=receipt)
        await carrier.call("dev", "release", "RecordAdmission", request)

    for name, decision, receipt, error in (
        (brought.name, signed_again(admission.decision, stranger), admission.receipt, KeyUntrustedError),
        (
            brought.name,
            with_payload(admission.decision, carnet_note="x"),
            admission.receipt,
            SignatureInvalidError,
        ),
        (brought.name, admission.decision, forged_receipt, ProofInvalidError),
        (brought.name, admission.decision, brought.given.source_receipt, KeyUntrustedError),
        (elsewhere, admission.decision, admission.receipt, StatementInvalidError),
    ):
        with pytest.raises(error):
            await record(name, decision, receipt)
    assert carrier.federation.changes("dev") == before
    await record(brought.name, admission.decision, admission.receipt)
    assert carrier.federation.changes("dev") == before + 1


async def test_what_was_tried_leaves_nothing_for_an_auditor_to_object_to(federation):
    with federation.client("dave") as auditor:
        report = await asyncio.to_thread(auditor.audit_verify)
    assert set(report.environments) == {"dev", "staging", "prod"}
    for finding in report.findings:  # other tests may have left something for the auditor
        assert finding.verdict != "tampered", finding
        assert NAMESPACE not in " ".join((finding.message, *finding.affects)), finding
