"""Every forgery leaves its entry: each is tried on running registries, and then looked for in their logs.

The promotion service here is malicious and holds the real one's certificate; where a forgery needs somebody's
own certificate, that is said. Refused calls are written once a minute and when a registry stops, so all is
tried first, the registries are stopped and started, and then the counts must be exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import pytest

from carnet.canonical import sha256_hex
from carnet.errors import (
    BlobsMissingError,
    CarnetError,
    DigestMismatchError,
    DocumentInvalidError,
    GateAwaitingError,
    GateRefusedError,
    IllegalTransitionError,
    KeyUntrustedError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    SignatureInvalidError,
    StaleEpochError,
    StatementInvalidError,
    UnauthenticatedError,
)
from carnet.registry.v1 import blobs_pb2, log_pb2, models_pb2
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass
from carnet.signing.capability import Capability
from carnet.signing.dossier import Dossier
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.statement import parse_statement
from carnet.translog.entry import EntryType
from carnet.translog.refused_calls import parse_refused_calls
from carnet_server.identity.households import read_facts
from tests.integration.test_forgeries import (
    NAMESPACE,
    PARENT,
    READY,
    Brought,
    Carrier,
    cancel,
    cancellation,
    release_of,
    signed_again,
    with_payload,
    write,
)
from tests.integration.test_identity import READER, House, ask, house, revoke
from tests.support.bundles import make_bundle_directory
from tests.support.federation import LocalFederation
from tests.support.oidc import Issuer

__all__ = ["house"]  # a fixture

CARRIER = "sync"
EVALUATE, ADMIT, SUBMIT, PULL = (
    f"AdmissionService/{method}" for method in ("EvaluateAdmission", "Admit", "SubmitApproval", "PullBlobs")
)
READ_BLOBS = "BlobService/BatchReadBlobs"


class Kind(NamedTuple):
    """What refused calls are counted by: whose log, and who was refused, where and why."""

    environment: str
    certificates: str
    method: str
    reason: str


@dataclass
class Forger:
    """Who tries everything, and what came of it."""

    federation: LocalFederation
    stack: contextlib.AsyncExitStack
    seed: int = 0xE000A
    tried: dict[str, list[Kind]] = field(default_factory=dict)
    decided: dict[str, Brought] = field(default_factory=dict)
    brought: list[Brought] = field(default_factory=list)
    honest: set[str] = field(default_factory=set)
    people: dict[str, Carrier] = field(default_factory=dict)

    async def who(self, certificates: str = CARRIER) -> Carrier:
        """A connection with the certificate in a folder."""
        if certificates not in self.people:
            carrier = Carrier(self.federation, certificates)
            self.people[certificates] = await self.stack.enter_async_context(carrier)
        return self.people[certificates]

    async def publish(self, model: str, tmp_path, *, evaluated: bool = True):
        """A version in dev, published honestly."""
        self.seed += 16
        bundle = make_bundle_directory(tmp_path / f"bundle-{self.seed}", seed=self.seed)

        def honestly():
            with self.federation.client("ci") as ci:
                reference = ci.push(f"dev/{NAMESPACE}/{model}", bundle).reference
            if evaluated:
                self.federation.evaluate(reference)
            return reference

        return await asyncio.to_thread(honestly)

    async def in_staging(self, model: str, tmp_path) -> str:
        """A version that staging admitted and tested, honestly."""
        reference = await self.publish(model, tmp_path)
        await asyncio.to_thread(self.federation.to_staging, reference)
        there = f"staging/{NAMESPACE}/{model}@{reference.version}"
        await asyncio.to_thread(self.federation.test_integration, there)
        return there

    async def bring(self, reference, target: str = "staging", **options) -> Brought:
        brought = await (await self.who()).bring(reference, target, **options)
        self.brought.append(brought)
        return brought

    async def ready(self, tmp_path, *, blobs: bool = True, epoch: int = 1) -> Brought:
        """A promotion that staging would admit."""
        carrier = await self.who()
        brought = await self.bring(await self.publish(f"ready-{self.seed:x}", tmp_path))
        assert (await carrier.evaluate(brought, epoch=epoch)).state == READY
        if blobs:
            await carrier.pull(brought, await carrier.capability(brought), epoch=epoch)
        return brought

    async def asked(self, reference: str, **asked) -> tuple[Brought, Dossier, str]:
        """A promotion to prod that awaits people, its dossier, and the dossier's digest."""
        carrier = await self.who()
        brought = await self.bring(reference, "prod", asked=asked)
        admission = await carrier.evaluate(brought)
        return (
            brought,
            Dossier.parse(parse_statement(parse_envelope(admission.dossier))),
            sha256_hex(admission.dossier),
        )

    async def refused(self, forgery: str, kind: Kind, error: type[CarnetError], trying) -> None:
        """Insist that what is tried is refused, and note what entry is due."""
        with pytest.raises(error) as caught:
            await trying
        assert caught.value.reason == kind.reason, caught.value.message
        self.tried.setdefault(forgery, []).append(kind)

    async def refused_here(self, forgery: str, error: type[CarnetError], method: str, trying, **at) -> None:
        """The same, of the promotion service in staging."""
        kind = Kind(at.get("environment", "staging"), at.get("by", CARRIER), method, error.reason)
        await self.refused(forgery, kind, error, trying)

    def said(self, brought: Brought, dossier: Dossier, digest: str, by: str, key=None, **changes) -> bytes:
        """Somebody's word about a dossier."""
        now = datetime.now(UTC)
        fields = {
            "promotion": brought.promotion,
            "dossier_digest": digest,
            "source": dossier.source,
            "target": dossier.target,
            "policy_digest": dossier.policy_digest,
            "evidence_set_digest": dossier.evidence_set_digest,
            "meaning": "approved",
            "reason": "in order",
            "signed_at": now,
            "expires_at": now + timedelta(hours=1),
            "nonce": uuid4().hex,
        }
        signer = key or self.key(f"identities/{by}")
        return (
            Approval(**fields | changes).sign(brought.subject_name, brought.bundle_digest, signer).to_bytes()
        )

    def key(self, folder: str) -> SigningKey:
        return SigningKey.load(self.federation.folder / folder / "signing-key.pem")

    async def submit(self, by: str, brought: Brought, envelope: bytes) -> None:
        await (await self.who(by)).submit("prod", brought.promotion, envelope)


# --- the forgeries ----------------------------------------------------------------------------------------------


async def approvals(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    first, second = [await forger.in_staging("people", tmp_path) for _ in range(2)]
    other = await forger.in_staging("people-too", tmp_path)
    main = await forger.asked(first, alias="champion")
    await carrier.pull(main[0], await carrier.capability(main[0], source="staging"))
    bobs = forger.said(*main, "bob")
    await forger.submit("identities/bob", main[0], bobs)

    async def try_it(forgery, error, brought, envelope, by=CARRIER):
        kind = Kind("prod", by, SUBMIT, error.reason)
        await forger.refused(forgery, kind, error, forger.submit(by, brought, envelope))

    for what, reference, asked in (
        ("alias", first, {"alias": "challenger"}),
        ("version", second, {"alias": "champion"}),
        ("model", other, {"alias": "champion"}),
    ):
        elsewhere = await forger.asked(reference, **asked)
        forgery = f"an approval transplanted to another {what}"
        await try_it(forgery, PermissionDeniedError, elsewhere[0], bobs)
        await try_it(forgery, StatementInvalidError, elsewhere[0], bobs, "identities/bob")

    spare = await forger.asked(first)
    forged = with_payload(bobs, promotion=spare[0].promotion, dossier_digest=spare[2])
    await try_it("a forged approval", PermissionDeniedError, spare[0], forged)
    await try_it("a forged approval", SignatureInvalidError, spare[0], forged, "identities/bob")
    strangers = forger.said(*spare, "", SigningKey.generate())
    await try_it("a forged approval", KeyUntrustedError, spare[0], strangers, "identities/bob")
    past = datetime.now(UTC) - timedelta(hours=2)
    expired = forger.said(*spare, "bob", signed_at=past, expires_at=past + timedelta(hours=1))
    await try_it("an expired approval", StatementInvalidError, spare[0], expired, "identities/bob")
    own = forger.said(*spare, "alice")
    await try_it("a self-made approval", PermissionDeniedError, spare[0], own, "identities/alice")
    weaker = forger.said(*spare, "bob", policy_digest=sha256_hex(b"approvals: {count: 0}"))
    await try_it(
        "a weaker policy claimed by an approver", StatementInvalidError, spare[0], weaker, "identities/bob"
    )

    taken_back = forger.said(*spare, "bob", meaning="withdrawn")
    said = forger.said(*spare, "bob")
    for envelope in (said, taken_back):
        await forger.submit("identities/bob", spare[0], envelope)
    spaced = json.dumps(json.loads(said), indent=1).encode()
    await try_it("a replayed approval", StatementInvalidError, spare[0], spaced, "identities/bob")

    async def admit(forgery, error, brought):
        await carrier.refresh(brought, "staging")
        await forger.refused_here(forgery, error, ADMIT, carrier.admit(brought), environment="prod")

    await forger.submit("identities/bob", main[0], forger.said(*main, "bob"))
    await admit("a duplicate approval", GateAwaitingError, main[0])

    withdrawn, rejected = [await forger.asked(first) for _ in range(2)]
    for each in (withdrawn, rejected):
        for name in ("bob", "carol"):
            await forger.submit(f"identities/{name}", each[0], forger.said(*each, name))
        await carrier.refresh(each[0], "staging")
        assert (await carrier.evaluate(each[0])).state == READY
    taken_back = forger.said(*withdrawn, "bob", meaning="withdrawn")
    await forger.submit("identities/bob", withdrawn[0], taken_back)
    await admit("a withheld withdrawal", GateAwaitingError, withdrawn[0])
    await forger.submit("identities/carol", rejected[0], forger.said(*rejected, "carol", meaning="rejected"))
    await admit("a withheld rejection", GateRefusedError, rejected[0])
    forger.decided["a withheld rejection"] = rejected[0]

    breaking = forger.said(*spare, "bob")
    fields = Approval.parse(parse_statement(parse_envelope(breaking))).model_dump()
    shared = {name: fields[name] for name in BreakGlass.model_fields if name in fields}
    glass = BreakGlass(**shared | {"skips": ("admitted-to-staging",), "ticket": "INC-1"}).sign(
        spare[0].subject_name, spare[0].bundle_digest, forger.key("identities/bob")
    )
    forgery = "a break-glass for what nobody may skip"
    await try_it(forgery, PermissionDeniedError, spare[0], glass.to_bytes())
    await try_it(forgery, PreconditionFailedError, spare[0], glass.to_bytes(), "identities/bob")

    decided = await forger.bring(first, "prod")
    index = next(
        i
        for i, each in enumerate(decided.given.evidence)
        if b"application/vnd.in-toto" in each and _policy_of(each)
    )
    policy = _policy_of(decided.given.evidence[index]) | {"digest": {"sha256": sha256_hex(b"a weaker one")}}
    decided.given.evidence[index] = with_payload(decided.given.evidence[index], policy=policy)
    await forger.refused_here(
        "a weaker policy claimed by a decision",
        SignatureInvalidError,
        EVALUATE,
        carrier.evaluate(decided),
        environment="prod",
    )


def _policy_of(envelope: bytes):
    return json.loads(parse_envelope(envelope).payload)["predicate"].get("policy")


async def evaluations(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    one, another = [await forger.publish(model, tmp_path) for model in ("one", "another")]
    newer = await forger.publish("one", tmp_path)
    foreign = await forger.bring(another)

    async def try_it(forgery, error, forge, reference=one, **options):
        brought = await forger.bring(reference, **options)
        forge(brought)
        await forger.refused_here(forgery, error, EVALUATE, carrier.evaluate(brought))

    def set_given(part, make):
        def forge(brought):
            setattr(brought.given, part, make(brought))

        return forge

    stranger = SigningKey.generate()
    await try_it(
        "a requester made up",
        KeyUntrustedError,
        set_given("request", lambda brought: signed_again(brought.given.request, stranger)),
    )
    await try_it("a requester swapped", KeyUntrustedError, lambda _: None, requester="identities/dave")
    await try_it(
        "a request for another alias",
        SignatureInvalidError,
        set_given("request", lambda brought: with_payload(brought.given.request, alias="champion")),
    )
    older = await forger.bring(one)
    await try_it(
        "a downgraded manifest",
        DigestMismatchError,
        set_given("canonical_manifest", lambda _: older.given.canonical_manifest),
        newer,
    )
    await try_it(
        "a downgraded manifest",
        DocumentInvalidError,
        set_given(
            "canonical_manifest",
            lambda brought: brought.given.canonical_manifest.replace(b"manifest/v1", b"manifest/v0"),
        ),
    )
    await try_it(
        "attestations about another digest",
        StatementInvalidError,
        lambda brought: brought.given.evidence.append(foreign.given.evidence[-1]),
    )
    await try_it(
        "a withheld attestation", StatementInvalidError, lambda brought: brought.given.evidence.pop()
    )
    stale = datetime.now(UTC) - timedelta(minutes=11)
    await try_it(
        "a stale release statement",
        PreconditionFailedError,
        set_given("release", lambda brought: release_of(carrier, brought, issued_at=stale)),
    )


async def failed_test(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    reference = await forger.publish("failing", tmp_path)
    brought = await forger.bring(reference)
    assert (await carrier.evaluate(brought)).state == READY
    await asyncio.to_thread(forger.federation.evaluate, reference, result="FAILED")
    await carrier.refresh(brought)
    del brought.given.evidence[-1]
    for method, step in ((EVALUATE, carrier.evaluate), (ADMIT, carrier.admit)):
        await forger.refused_here("a withheld failed test", StatementInvalidError, method, step(brought))


async def revocation(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    reference = await forger.publish("revoked", tmp_path)
    brought = await forger.bring(reference)
    assert (await carrier.evaluate(brought)).state == READY
    await carrier.pull(brought, await carrier.capability(brought))

    def revoke_it():
        with forger.federation.client("dave") as operator:
            operator.revoke(str(reference), "it leaks")

    await asyncio.to_thread(revoke_it)
    await carrier.refresh(brought)
    honest = brought.given.release
    brought.given.release = with_payload(honest, revoked=False)
    forgery = "a withheld revocation"
    await forger.refused_here(forgery, SignatureInvalidError, ADMIT, carrier.admit(brought))
    brought.given.release = honest
    await forger.refused_here(forgery, GateRefusedError, ADMIT, carrier.admit(brought))
    forger.decided[forgery] = brought


async def steps(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    unheard = await forger.bring(await forger.publish("unheard", tmp_path))
    forgery = "a skipped step"
    await forger.refused_here(forgery, NotFoundError, ADMIT, carrier.admit(unheard))
    empty = await forger.ready(tmp_path, blobs=False)
    await forger.refused_here(forgery, BlobsMissingError, ADMIT, carrier.admit(empty))

    fenced = await forger.ready(tmp_path, epoch=5)
    capability = await carrier.capability(fenced)
    for method, trying in (
        (ADMIT, carrier.admit(fenced, epoch=4)),
        (EVALUATE, carrier.evaluate(fenced, epoch=4)),
        (PULL, carrier.pull(fenced, capability, epoch=4)),
    ):
        await forger.refused_here("an older fencing epoch", StaleEpochError, method, trying)

    late = await forger.ready(tmp_path)
    await cancel(carrier, late, cancellation(carrier, late, "identities/ci"))
    await forger.refused_here("a late Admit", IllegalTransitionError, ADMIT, carrier.admit(late))
    forged = signed_again(cancellation(carrier, fenced, "identities/ci"), SigningKey.generate())
    method = "AdmissionService/CancelAdmission"
    await forger.refused_here(
        "a forged cancellation", KeyUntrustedError, method, cancel(carrier, fenced, forged)
    )


async def blobs(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    brought = await forger.ready(tmp_path, blobs=False)
    swapped = brought.blobs[0]
    evil = b"\0" * swapped.size_bytes
    content = blobs_pb2.BlobContent(digest=swapped.digest, data=evil)
    batch = blobs_pb2.BatchWriteBlobsRequest(parent=PARENT, blobs=[content])
    for method, trying in (
        ("WriteBlob", write(carrier, "staging", swapped, evil)),
        ("BatchWriteBlobs", carrier.call("staging", "blobs", "BatchWriteBlobs", batch)),
    ):
        await forger.refused_here("a swapped blob", DigestMismatchError, f"BlobService/{method}", trying)

    capability = await carrier.capability(brought)
    foreign = (await forger.bring(await forger.publish("foreign", tmp_path))).blobs[0]
    mine = Capability.parse(parse_statement(parse_envelope(capability)))
    made = Capability(**mine.model_dump() | {"digests": (foreign.digest,)})
    self_made = made.sign(brought.subject_name, brought.bundle_digest, SigningKey.generate()).to_bytes()
    for forgery, reader, shown, digest, error in (
        ("a capability stolen", "environments/prod", capability, swapped.digest, PermissionDeniedError),
        ("a capability stolen", CARRIER, capability, swapped.digest, PermissionDeniedError),
        (
            "a capability for another digest",
            "environments/staging",
            capability,
            foreign.digest,
            PermissionDeniedError,
        ),
        (
            "a capability for another digest",
            "environments/staging",
            self_made,
            foreign.digest,
            KeyUntrustedError,
        ),
    ):
        request = blobs_pb2.BatchReadBlobsRequest(parent=PARENT, digests=[digest], capability=shown)
        trying = (await forger.who(reader)).call("dev", "blobs", "BatchReadBlobs", request)
        await forger.refused_here(forgery, error, READ_BLOBS, trying, environment="dev", by=reader)


async def doors(forger: Forger, tmp_path) -> None:
    carrier = await forger.who()
    brought = await forger.bring(await forger.publish("doors", tmp_path))
    request = models_pb2.PublishVersionRequest(
        parent=f"{PARENT}/models/doors",
        canonical_manifest=brought.given.canonical_manifest,
        signature=brought.given.signature,
    )
    for environment in ("dev", "staging", "prod"):
        await forger.refused_here(
            "a publication by the carrier",
            PermissionDeniedError,
            "ModelService/PublishVersion",
            carrier.call(environment, "models", "PublishVersion", request),
            environment=environment,
        )


FORGERIES = (
    *(f"a {kind} approval" for kind in ("forged", "replayed", "self-made", "duplicate")),
    "an expired approval",
    *(f"an approval transplanted to another {place}" for place in ("model", "version", "alias")),
    *(
        f"a withheld {what}"
        for what in ("rejection", "withdrawal", "failed test", "revocation", "attestation")
    ),
    "a requester made up",
    "a requester swapped",
    "a request for another alias",
    "a late Admit",
    "a forged cancellation",
    "a capability stolen",
    "a capability for another digest",
    "attestations about another digest",
    "a stale release statement",
    "a weaker policy claimed by an approver",
    "a weaker policy claimed by a decision",
    "a skipped step",
    "a swapped blob",
    "an older fencing epoch",
    "a downgraded manifest",
    "a break-glass for what nobody may skip",
    "a publication by the carrier",
)


# --- trying them all, and reading the logs afterwards -------------------------------------------------------------


@dataclass
class Outcome:
    """What was tried, and what the logs say."""

    forger: Forger
    logs: dict[str, list]
    counts: Counter
    namespaces: dict[Kind, set[str]]


async def _try_all(federation: LocalFederation, tmp_path) -> Forger:
    async with contextlib.AsyncExitStack() as stack:
        forger = Forger(federation, stack)
        for attack in (approvals, evaluations, failed_test, revocation, steps, blobs, doors):
            await attack(forger, tmp_path)
        return forger


async def _read(federation: LocalFederation, forger: Forger) -> Outcome:
    subjects = {
        read_facts(federation.folder / folder / "tls.pem").subject: folder
        for folder in {kind.certificates for kinds in forger.tried.values() for kind in kinds}
    }
    outcome = Outcome(forger, {}, Counter(), {})
    async with Carrier(federation, "identities/dave") as auditor:
        for name in ("dev", "staging", "prod"):
            outcome.logs[name] = await auditor.entries(name)
            for entry in outcome.logs[name]:
                if entry.type is not EntryType.ACCESS_REFUSED:
                    continue
                request = log_pb2.BatchGetDocumentsRequest(digests=[entry.envelope_digest])
                answer = await auditor.call(name, "log", "BatchGetDocuments", request)
                said = parse_refused_calls(answer.documents[0].data)
                method = said.method.removeprefix("carnet.registry.v1.")
                kind = Kind(name, subjects.get(entry.actor.subject, entry.actor.subject), method, said.reason)
                outcome.counts[kind] += said.count
                outcome.namespaces.setdefault(kind, set()).update(said.namespaces)
    return outcome


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forged")
    federation = LocalFederation(folder / "carnet")
    federation.start()
    try:
        forger = asyncio.run(_try_all(federation, folder))
        federation.stop()
        federation.start()
        yield asyncio.run(_read(federation, forger))
    finally:
        federation.stop()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_each_forgery_leaves_its_entry(forgery, outcome):
    tried = Counter(kind for kinds in outcome.forger.tried.values() for kind in kinds)
    for kind in outcome.forger.tried[forgery]:
        if kind.reason != GateRefusedError.reason:
            assert outcome.counts[kind] == tried[kind], kind
    decided = outcome.forger.decided.get(forgery)
    if decided is not None:
        assert [
            entry.new
            for entry in outcome.logs[decided.target]
            if entry.type is EntryType.DECISION_MADE and entry.subject.get("promotion") == decided.promotion
        ] == ["FAILED"]


def test_nothing_else_was_tried_and_nothing_else_was_counted(outcome):
    assert set(outcome.forger.tried) == set(FORGERIES)
    tried = {kind for kinds in outcome.forger.tried.values() for kind in kinds}
    assert set(outcome.counts) == tried


def test_none_of_them_got_in(outcome):
    promotions = {brought.promotion for brought in outcome.forger.brought}
    inside = (EntryType.VERSION_ADMITTED, EntryType.ALIAS_MOVED)
    for log in outcome.logs.values():
        assert not [
            entry for entry in log if entry.type in inside and entry.subject.get("promotion") in promotions
        ]
    assert not [entry for entry in outcome.logs["prod"] if entry.type in inside]


def test_entries_name_where_it_was_tried(outcome):
    kind = Kind("staging", CARRIER, "BlobService/WriteBlob", DigestMismatchError.reason)
    assert outcome.namespaces[kind] == {NAMESPACE}


def test_no_entry_repeats_what_an_error_says(outcome):
    for log in outcome.logs.values():
        for entry in log:
            if entry.type is EntryType.ACCESS_REFUSED:
                assert set(entry.new.replace("*", "")) <= set(
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/ "
                )


def test_an_auditor_has_nothing_to_object_to(outcome):
    with outcome.forger.federation.client("dave") as auditor:
        report = auditor.audit_verify()
    assert report.findings == ()


# --- who is named, and when ---------------------------------------------------------------------------------------


async def counted(house: House) -> list[tuple[str, str]]:
    return [
        (entry.actor.subject, entry.new)
        for entry in await house.entries()
        if entry.type is EntryType.ACCESS_REFUSED
    ]


async def deny(connection, error=PermissionDeniedError) -> None:
    """Ask for what a reader may not."""
    with pytest.raises(error):
        await connection.call(connection.log.ListEntries, log_pb2.ListEntriesRequest(), deadline_seconds=5)


async def test_a_subject_that_is_revoked_is_named_and_one_that_is_unknown_is_a_number(house, caplog):
    reader, other = house.connect("reader"), house.connect("other")
    await ask(reader)
    roles = [{"subject": READER, "roles": ["reader"]}]
    house.change(version=2, revoked=[revoke(subject=READER)], roles=roles)
    await house.look()
    for _ in range(3):
        await deny(reader, UnauthenticatedError)
        await deny(other)
    await house.app._refusals.flush()
    assert await counted(house) == [(READER, "LogService/ListEntries UNAUTHENTICATED x3")]
    assert "3 calls of callers that are not known here were refused" in caplog.text


async def test_a_stream_that_is_refused_is_counted_too(house):
    reader = house.connect("reader")
    with pytest.raises(PermissionDeniedError):
        async for _ in reader.stream(reader.log.WatchEntries, log_pb2.WatchEntriesRequest()):
            pass
    await house.app._refusals.flush()
    assert await counted(house) == [(READER, "LogService/WatchEntries PERMISSION_DENIED x1")]


async def test_what_is_not_refused_is_not_counted(house):
    reader = house.connect("reader")
    await ask(reader)
    request = models_pb2.GetModelRequest(name="namespaces/risk/models/none")
    with pytest.raises(NotFoundError):
        await reader.call(reader.models.GetModel, request)
    await house.app._refusals.flush()
    assert await counted(house) == []


async def test_what_was_refused_before_the_stop_is_in_the_log_after_it(house):
    reader = house.connect("reader")
    await deny(reader)
    await house.app.stop(grace_seconds=0)
    await house.start()
    assert await counted(house) == [(READER, "LogService/ListEntries PERMISSION_DENIED x1")]


async def test_refused_calls_are_written_by_the_clock(house):
    config = house.app._config
    await house.app.stop(grace_seconds=0)
    house.app = await type(house.app).start(config, refusals_every_seconds=0.1)
    await deny(house.connect("reader"))
    for _ in range(100):
        if await counted(house):
            break
        await asyncio.sleep(0.1)
    assert len(await counted(house)) == 1


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


async def test_a_bad_token_is_a_number_and_one_that_is_known_is_named(house, issuer, caplog):
    known = {"repository": "acme/fraud"}
    trust = {
        "oidc": [{"issuer": issuer.url, "audience": "carnet-dev"}],
        "roles": [{"issuer": issuer.url, "claims": known, "roles": ["reader"]}],
    }
    house.change(version=2, **trust)
    await house.look()
    claims = {"sub": "repo:acme/fraud", "aud": "carnet-dev"} | known
    good = house.connect_by_token(issuer.token(claims))
    await deny(good)
    await deny(house.connect_by_token(issuer.token(claims | {"repository": "acme/evil", "sub": "evil"})))
    for token in ("garbage", issuer.token(claims | {"aud": "elsewhere"})):
        await deny(house.connect_by_token(token), UnauthenticatedError)
    ((name, said),) = await _flushed(house)
    assert (name.startswith("oidc:"), said) == (True, "LogService/ListEntries PERMISSION_DENIED x1")
    assert "3 calls of callers that are not known here were refused" in caplog.text
    house.change(version=3, revoked=[revoke(subject=name)], **trust)
    await house.look()
    await deny(good, UnauthenticatedError)
    assert (await _flushed(house))[1:] == [(name, "LogService/ListEntries UNAUTHENTICATED x1")]


async def _flushed(house: House) -> list[tuple[str, str]]:
    await house.app._refusals.flush()
    return await counted(house)
