"""One environment's registry without its transport: real database, log, writer, blob store and policy engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from sqlmodel import SQLModel

from carnet.bundle.manifest import File, Manifest
from carnet.bundle.paths import MANIFEST_NAME
from carnet.canonical import sha256_hex
from carnet.references import ResourceName
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from carnet.signing.test_result import TestResult
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.entry import parse_entry
from carnet.translog.keys import LogKey
from carnet_policies.document import load_policy
from carnet_policies.engine import PolicyEngine
from carnet_server.access.identity import Caller
from carnet_server.access.trust import Trust, TrustStore
from carnet_server.aliases.service import AliasesService
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.queries import add_possession, read_possessed
from carnet_server.database.engine import Database
from carnet_server.environment.service import record_documents
from carnet_server.environment.state import EnvironmentState
from carnet_server.evidence.service import EvidenceService
from carnet_server.folding.compare import compare
from carnet_server.log.service import LogService
from carnet_server.log.writer import Writer
from carnet_server.models.service import ModelsService
from carnet_server.release.service import ReleaseService
from carnet_server.retention.erasing import Erasing
from carnet_server.retention.holds import Holds
from carnet_server.retention.hygiene import Hygiene
from carnet_server.retention.purge import Purge
from tests.support.bundles import make_manifest
from tests.support.storage import Storage
from tests.support.trusted import document_bytes, log_key, signing_key, trust_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from carnet.audit.report import Finding
    from carnet.client.channel import TlsIdentity
    from carnet.signing.dsse import Envelope
    from carnet_server.aliases.domain import Alias

DOMAIN = "spiffe://carnet.test"
CI = f"{DOMAIN}/service/ci"
EVALUATOR = f"{DOMAIN}/service/evaluator"
OPERATOR = f"{DOMAIN}/person/dave"
SYNC = f"{DOMAIN}/sync"
READER = f"{DOMAIN}/service/reader"
STAGING = f"{DOMAIN}/registry/staging"
FRAUD = ResourceName("risk", "fraud")


def make_policy(**fields: Any) -> dict[str, Any]:
    """A policy that takes publications with an owner; ``fields`` are put in."""
    return {
        "schema": "carnet.policy/v1",
        "environment": "dev",
        "version": 1,
        "publishing": True,
        "metadata": {"required": ["owner"]},
    } | fields


class Registry:
    """The registry of an environment, with the keys of those who deal with it.

    Attributes:
        follows_log: Whether its tables must hold just what its log leads to in the end; a test that writes
            rows by itself says no.
    """

    def __init__(
        self,
        folder: Path,
        *,
        policy: dict[str, Any] | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.follows_log = True
        storage = storage or Storage("sqlite-directory", folder)
        self.ci, self.evaluator, self.staging, self.stranger = map(
            signing_key, ("ci", "evaluator", "staging", "stranger")
        )
        self.bench = storage.make_bench()
        self.store = self.bench.open()
        self.engine = PolicyEngine()
        self.state = EnvironmentState(
            name="dev",
            signing_key=SigningKey.generate(),
            log_key=LogKey.generate("carnet.test/dev"),
            policy=load_policy(document_bytes(policy or make_policy())),
            trust=TrustStore(self._trust()),
            identity=cast("TlsIdentity", None),
        )
        self.database = Database(storage.make_database())
        self.log = LogService(self.database)

    async def start(self) -> None:
        """Start the writer and record the documents in force; needs the test's event loop."""
        self.writer = Writer(
            self.database, environment="dev", key=self.state.log_key, on_commit=self.log.on_commit
        )
        self.log.attach(self.writer, asyncio.get_running_loop())
        self.wire()
        await record_documents(self.writer, self.state)

    def wire(self) -> None:
        """Make the services anew, after a change of ``state``."""
        shared = (self.database, self.writer, self.log, self.state)
        self.models = ModelsService(*shared, self.engine)
        self.aliases = AliasesService(*shared, self.store)
        self.evidence = EvidenceService(*shared)
        self.release = ReleaseService(self.state, self.database, self.writer, self.log)
        self.purge = Purge(*shared)
        self.holds = Holds(self.database, self.writer, self.log)
        self.erasing = Erasing(*shared)
        self.hygiene = Hygiene(self.database, self.state)

    def watch(self, name: ResourceName, after_revision: int) -> AsyncGenerator[Alias, None]:
        """Watch an alias as a host does, without the messages."""
        return self.aliases.watch(name, after_revision, lambda alias: alias)

    def stop(self) -> None:
        """Stop everything, where the tables hold just what the log leads to."""
        self.writer.stop()
        findings = self._compare() if self.follows_log else []
        self.aliases.close()
        self.engine.close()
        self.store.close()
        self.database.close()
        assert not findings, findings

    def _compare(self) -> list[Finding]:
        signed = unverified_checkpoint(self.writer.checkpoint)
        return self.database.read_now(lambda connection: compare(connection, "dev", signed))

    def trust_document(self, **fields: Any) -> dict[str, Any]:
        """Whom dev believes; ``fields`` are put in."""
        keys = [
            {"subject": CI, "pem": self.ci.verification_key.pem, "purposes": ["bundle", "request"]},
            {
                "subject": EVALUATOR,
                "pem": self.evaluator.verification_key.pem,
                "evidence": [{"role": "evaluator", "type": TestResult.PREDICATE_TYPE}],
            },
        ]
        roles = {
            CI: ["publisher", "requester"],
            EVALUATOR: ["evaluator"],
            OPERATOR: ["operator"],
            SYNC: ["promoter"],
        }
        return {
            "schema": "carnet.trust/v1",
            "environment": "dev",
            "version": 1,
            "people": [{"name": "alice", "subjects": [CI]}],
            "keys": keys,
            "peers": [
                {
                    "environment": "staging",
                    "subject": STAGING,
                    "endpoint": "127.0.0.1:7402",
                    "server_name": "staging.carnet.test",
                    "signing_keys": [self.staging.verification_key.pem],
                    "log_key": log_key("carnet.test/staging").verifier.vkey,
                }
            ],
            "roles": [{"subject": subject, "roles": held} for subject, held in roles.items()]
            + [{"subject": READER, "roles": ["reader"], "namespaces": ["risk"]}],
        } | fields

    def trust_anew(self, **fields: Any) -> None:
        """Put another trust document in force, without restarting."""
        self.state.trust.current = self._trust(**fields)

    def _trust(self, **fields: Any) -> Trust:
        return trust_of(document_bytes(self.trust_document(**fields)), "dev")

    def set_policy(self, **fields: Any) -> None:
        """Put another policy in force, without restarting."""
        policy = load_policy(document_bytes(make_policy(**fields)))
        self.state = replace(self.state, policy=policy)
        self.wire()

    def caller(self, subject: str) -> Caller:
        """A caller who was authenticated."""
        trust = self.state.trust.current
        return Caller(subject, trust.person_of(subject), DOMAIN, "mtls", trust)

    async def give_blobs(self, manifest: Manifest, contents: dict[str, bytes] | None = None) -> None:
        """Make the manifest's blobs possessions of its namespace; those whose bytes are given are stored."""
        self.store.write_small(manifest.namespace, list((contents or {}).items()))

        def change(tx: Any) -> None:
            held = read_possessed(tx.connection, manifest.namespace, [file.digest for file in manifest.files])
            for blob in {Blob(file.digest, file.size_bytes) for file in manifest.files}:
                if blob.digest not in held:
                    add_possession(tx.connection, manifest.namespace, blob, tx.now)

        await self.writer.commit(change)

    def sign(self, manifest: Manifest, key: SigningKey | None = None) -> bytes:
        """The model signature of a bundle."""
        covered = [(file.path, file.digest) for file in manifest.files] + [(MANIFEST_NAME, manifest.digest)]
        return sign_model(manifest.model, covered, key or self.ci)

    async def publish(self, manifest: Manifest, *, key: SigningKey | None = None, **options: Any):
        """Publish a bundle whose blobs were given."""
        parent = options.pop("parent", ResourceName(manifest.namespace, manifest.model))
        return await self.models.publish(
            self.caller(CI),
            parent,
            options.pop("data", manifest.to_bytes()),
            options.pop("signature", None) or self.sign(manifest, key),
            validate_only=options.pop("validate_only", False),
        )

    async def add_version(self, number: int, *, model: str = "fraud", namespace: str = "risk") -> Manifest:
        """Publish a version with contents of its own."""
        manifest, contents = make_version(number, model=model, namespace=namespace)
        await self.give_blobs(manifest, contents)
        await self.publish(manifest)
        return manifest

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        return await self.database.read(
            lambda connection: len(connection.execute(SQLModel.metadata.tables[table].select()).all())
        )

    async def entries(self) -> list[str]:
        """The types of the log's entries since the documents were recorded."""
        rows = await self.log.entries(0, 1000)
        return [str(parse_entry(data).type) for _, data, _ in rows][3:]


def make_version(
    number: int, *, namespace: str = "risk", model: str = "fraud", **fields: Any
) -> tuple[Manifest, dict[str, bytes]]:
    """A manifest with an owner, and the bytes of its one file."""
    data = f"{namespace}/{model}@{number}".encode()
    file = File(path="model.bin", role="model", size_bytes=len(data), digest=sha256_hex(data))
    manifest = make_manifest(
        namespace=namespace, model=model, version=number, owner="risk-team", files=(file,), **fields
    )
    return manifest, {file.digest: data}


def make_test_result(
    manifest: Manifest, key: SigningKey, *, result: str = "PASSED", suite: str = "evaluation", **fields: Any
) -> Envelope:
    """A signed test result about a bundle."""
    predicate = TestResult(result=cast("Any", result), configuration=(), suite=suite, **fields)
    return predicate.sign(manifest.subject_name, manifest.digest, key)
