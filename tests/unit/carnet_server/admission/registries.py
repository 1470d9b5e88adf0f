"""A source and a target registry as service objects over real storage, and the carrier between them."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from carnet.client.channel import TlsIdentity
from carnet.references import ResourceName
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import parse_entry
from carnet_policies.document import load_policy
from carnet_server.access.trust import TrustStore
from carnet_server.admission.domain import AdmissionInput
from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.service import AdmissionService
from carnet_server.aliases.queries import read_alias
from carnet_server.blobs.service import BlobsService
from carnet_server.database.engine import Database
from carnet_server.environment.service import record_documents
from carnet_server.environment.state import EnvironmentState
from carnet_server.evidence.queries import read_all_evidence
from carnet_server.evidence.service import EvidenceService
from carnet_server.log.service import LogService
from carnet_server.log.writer import Writer
from carnet_server.models.queries import names_blob, read_version
from carnet_server.models.service import ModelsService
from carnet_server.release.capability import CapabilityCheck
from carnet_server.release.service import ReleaseService
from tests.support.storage import Storage
from tests.unit.carnet_server.admission.parties import Parties, manifest_of, read

CONTENT = b"abc"
POLICIES = {
    "dev": b"schema: carnet.policy/v1\nenvironment: dev\nversion: 1\npublishing: true\n",
    "staging": b"""schema: carnet.policy/v1
environment: staging
version: 1
sources: [dev]
dossier_valid_for: 2d
protected_aliases: [champion]
baseline_alias: champion
evidence:
  - rule: evaluation
    type: https://in-toto.io/attestation/test-result/v0.1
    suite: evaluation
    signers: [evaluator]
    metrics: true
rules:
  - rule: no-regression
    needs: [evaluation]
    expression: '!has_baseline || metrics["roc_auc"] >= baseline_metrics["roc_auc"]'
    message: roc_auc is below the champion's
    remedy: Train a better one.
approvals: {rule: approvals, count: 1, independent_of: [publisher, requester]}
""",
}
NO_PEOPLE = POLICIES["staging"].partition(b"approvals:")[0]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Registry:
    """One environment: its database, its log, and the services on them."""

    def __init__(
        self,
        folder,
        parties: Parties,
        name: str,
        engine,
        clock: Clock,
        policy: bytes,
        storage: Storage | None = None,
    ) -> None:
        folder.mkdir()
        self.name, self.parties, self.engine, self.clock, self.folder = name, parties, engine, clock, folder
        self.state = EnvironmentState(
            name=name,
            signing_key=parties.keys[name],
            log_key=parties.logs[name],
            policy=load_policy(policy),
            trust=TrustStore(parties.trust(name)),
            identity=TlsIdentity(b"", b"", b""),
        )
        storage = storage or Storage("sqlite-directory", folder)
        self.database = Database(storage.make_database())
        self.log = LogService(self.database)
        self.writer = Writer(
            self.database,
            environment=name,
            key=parties.logs[name],
            on_commit=self.log.on_commit,
            clock=clock,
        )
        self.store = storage.make_bench().open()

    async def start(self) -> Registry:
        self.log.attach(self.writer, asyncio.get_running_loop())
        self.wire()
        await record_documents(self.writer, self.state)
        return self

    def wire(self, **options) -> None:
        """Make the services, as the application does."""
        state, database, writer, log = self.state, self.database, self.writer, self.log
        self.blobs = BlobsService(
            self.store,
            database,
            writer,
            readable=names_blob,
            is_named=names_blob,
            capability_check=CapabilityCheck(state, clock=self.clock),
        )
        self.models = ModelsService(database, writer, log, state, self.engine)
        self.evidence = EvidenceService(database, writer, log, state)
        self.release = ReleaseService(state, database, writer, log, clock=self.clock)
        self.admission = AdmissionService(
            state, database, writer, log, engine=self.engine, blobs=self.blobs, clock=self.clock, **options
        )

    async def change_policy(self, policy: bytes) -> None:
        """Start anew with another policy, as an administrator does."""
        self.state = replace(self.state, policy=load_policy(policy))
        self.wire()
        await record_documents(self.writer, self.state)

    async def change_trust(self, **changes) -> None:
        """Start anew with another trust document, as an administrator does."""
        self.state = replace(self.state, trust=TrustStore(self.parties.trust(self.name, **changes)))
        self.wire()
        await record_documents(self.writer, self.state)

    def caller(self, name: str):
        return self.parties.caller(name, self.state.trust.current)

    def stop(self) -> None:
        self.writer.stop()
        self.log.close()
        self.blobs.close()
        self.store.close()
        self.database.close()

    # --- looking inside -----------------------------------------------------------------------------------

    async def entries(self, start: int = 0) -> list:
        return [parse_entry(data) for _, data, _ in await self.log.entries(start, 1000)]

    async def version(self, number: int = 1):
        return await self.database.read(lambda c: read_version(c, "risk", "fraud", number))

    async def alias(self, name: str = "champion"):
        return await self.database.read(lambda c: read_alias(c, ResourceName("risk", "fraud", alias=name)))

    async def held_evidence(self, manifest) -> list:
        return await self.database.read(lambda c: read_all_evidence(c, manifest.namespace, manifest.digest))


class World:
    """dev and staging, and an honest carrier between them; a test makes it dishonest piece by piece."""

    def __init__(self, folder, engine, policies=None, storage: Storage | None = None) -> None:
        self.parties = Parties()
        self.clock = Clock()
        self.storage = storage
        chosen = POLICIES | (policies or {})
        self.dev, self.staging = (
            Registry(folder / name, self.parties, name, engine, self.clock, chosen[name], storage)
            for name in ("dev", "staging")
        )
        self.epoch = 1

    async def start(self) -> World:
        await self.dev.start()
        await self.staging.start()
        return self

    def stop(self) -> None:
        self.dev.stop()
        self.staging.stop()

    async def rebuild_dev(self, folder) -> None:
        """Replace dev by an empty one with the same keys: it gives its numbers once more."""
        self.dev.stop()
        dev = Registry(
            folder, self.parties, "dev", self.dev.engine, self.clock, POLICIES["dev"], self.storage
        )
        self.dev = await dev.start()

    async def publish(self, **overrides):
        """Publish a version to dev, with an evaluation that is good enough."""
        manifest = manifest_of(**overrides)
        await self.dev.blobs.write_small("risk", [(manifest.files[0].digest, CONTENT)])
        signature = self.parties.signature(manifest)
        self.signature = signature
        await self.dev.models.publish(
            self.dev.caller("ci"),
            ResourceName("risk", "fraud"),
            manifest.to_bytes(),
            signature,
            validate_only=False,
        )
        return manifest

    async def attest(self, manifest, *, where=None, **said) -> bytes:
        envelope = self.parties.test_result(manifest, **said)
        registry = where or self.dev
        name = ResourceName(manifest.namespace, manifest.model, manifest.version)
        await registry.evidence.add(registry.caller("evaluator"), name, envelope)
        return envelope

    async def release(self, promotion: str, manifest):
        return await self.dev.release.create_release(
            self.dev.caller("sync"),
            ResourceName(manifest.namespace, manifest.model, manifest.version),
            promotion=promotion,
            target="staging",
        )

    async def bring(self, manifest, request: bytes) -> AdmissionInput:
        """What an honest carrier brings."""
        version = await self.dev.version(manifest.version)
        released = await self.release(read(request, PromotionRequest).promotion, manifest)
        held = await self.dev.held_evidence(manifest)
        return AdmissionInput(
            request=request,
            manifest=version.manifest,
            signature=version.signature,
            release=released.envelope,
            source_receipt=released.receipt,
            evidence=tuple(each.envelope for each in held),
        )

    async def evaluate(self, given: AdmissionInput, *, epoch=None, validate_only=False):
        view = await self.staging.admission.evaluate(
            self.staging.caller("sync"),
            given,
            epoch=self.epoch if epoch is None else epoch,
            validate_only=validate_only,
        )
        return view.admission

    async def transfer(self, manifest) -> None:
        await self.staging.blobs.write_small("risk", [(manifest.files[0].digest, CONTENT)])

    async def submit(self, admission, *, by="bob", envelope=None, **said):
        given = envelope or self.approval(admission, by=by, **said)
        return await self.staging.admission.submit_approval(
            self.staging.caller(by), admission.promotion, given
        )

    def approval(self, admission, *, by="bob", **said) -> bytes:
        dossier = read_dossier(admission.dossier)
        now = self.clock()
        times = {"signed_at": now, "expires_at": now + timedelta(days=1)}
        return self.parties.approval(admission, dossier, by=by, **{**times, **said})

    async def admit(self, promotion: str, manifest, *, release=None, evidence=None, stamps=None, epoch=None):
        fresh = release
        if release is None:
            released = await self.release(promotion, manifest)
            fresh, stamps = released.envelope, released.stamps if stamps is None else stamps
        if evidence is None:
            evidence = [each.envelope for each in await self.dev.held_evidence(manifest)]
        return await self.staging.admission.admit(
            self.staging.caller("sync"),
            promotion,
            release=fresh,
            evidence=evidence,
            stamps=stamps or (),
            epoch=self.epoch if epoch is None else epoch,
        )

    async def promote(self, manifest, *, alias="champion", **wished):
        """Carry a version all the way, honestly."""
        request = self.parties.request(manifest, alias=alias, promotion=uuid.uuid4().hex, **wished)
        admission = await self.evaluate(await self.bring(manifest, request))
        await self.transfer(manifest)
        if admission.dossier:
            await self.submit(admission)
        view, _ = await self.admit(admission.promotion, manifest)
        return view
