"""A small world of environments and people whose logs and statements are real, to be broken one way at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.export import ExportWriter
from carnet.audit.pins import Pins
from carnet.audit.verify import verify_export
from carnet.canonical import sha256_hex
from carnet.signing.approval import Approval
from carnet.signing.cancellation import Cancellation
from carnet.signing.decision import Decision, verifier_id, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.keys import SigningKey
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.test_result import TestResult
from carnet.translog.checkpoint import Checkpoint, LogKey, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.tree import leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.audit.report import AuditReport, Finding
    from carnet.signing.dsse import Envelope

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROMOTION = "ab" * 16
BUNDLE = sha256_hex(b"the manifest")
NAME = "dev/risk/fraud@1"
VERSION: dict[str, str | int] = {
    "namespace": "risk",
    "model": "fraud",
    "version": 1,
    "bundle_digest": BUNDLE,
}
PROMOTED = VERSION | {"promotion": PROMOTION}
KEYS = {name: SigningKey.generate() for name in ("dev", "prod", "alice", "bob", "carol", "dave", "evaluator")}
LOG_KEYS = {name: LogKey.generate(f"example.com/{name}") for name in ("dev", "prod")}
STRANGER = SigningKey.generate()


def subject_of(person: str) -> str:
    return f"spiffe://example.com/{person}"


@dataclass
class Log:
    """One environment's log, written without asking whether it makes sense."""

    name: str
    world: World
    entries: list[bytes] = field(default_factory=list)
    documents: list[bytes] = field(default_factory=list)

    def add(
        self,
        kind: EntryType,
        subject: dict[str, str | int] | None = None,
        document: Envelope | bytes | None = None,
        **changes: Any,
    ) -> int:
        data = document if isinstance(document, bytes | None) else document.to_bytes()
        if data is not None:
            self.documents.append(data)
        values: dict[str, Any] = {
            "event_id": f"{self.name}-{len(self.entries)}",
            "type": kind,
            "environment": self.name,
            "time": self.world.tick(),
            "actor": Actor(subject_of("alice"), "", "mtls"),
            "subject": subject or {},
            "envelope_digest": None if data is None else sha256_hex(data),
        }
        self.entries.append(Entry(**(values | changes)).to_bytes())
        return len(self.entries) - 1

    def change_policy(self, text: str) -> None:
        digest = sha256_hex(text.encode())
        self.add(EntryType.POLICY_CHANGED, {"policy": digest}, text.encode(), new=digest)
        self.world.policies[self.name] = digest

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        entries = self.entries[:size]
        return Checkpoint(
            LOG_KEYS[self.name].name, len(entries), root_of(leaf_hash(each) for each in entries)
        )

    def signed_checkpoint(self, size: int | None = None) -> str:
        return sign_checkpoint(self.checkpoint(size), LOG_KEYS[self.name])


class World:
    """Two environments, dev and prod, with a version that dev published."""

    def __init__(self) -> None:
        self.now = START
        self.policies: dict[str, str] = {}
        self.dev, self.prod = Log("dev", self), Log("prod", self)
        for log in (self.dev, self.prod):
            log.add(EntryType.ENVIRONMENT_INITIALIZED)
            log.change_policy(f"the policy of {log.name}")
            text = f"the trust of {log.name}".encode()
            log.add(EntryType.TRUST_CHANGED, None, text, new=sha256_hex(text))
        self.evidence = TestResult(result="PASSED", configuration=()).sign(NAME, BUNDLE, KEYS["evaluator"])
        self.dev.add(EntryType.VERSION_PUBLISHED, VERSION)
        self.dev.add(EntryType.EVIDENCE_ADDED, VERSION, self.evidence)

    bundle = BUNDLE

    @staticmethod
    def prod_subject() -> dict[str, str | int]:
        return dict(PROMOTED)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    # --- statements -----------------------------------------------------------------------------------------

    def request(self, key: SigningKey = KEYS["bob"], **changes: Any) -> Envelope:
        values = {
            "promotion": PROMOTION,
            "source": "dev",
            "target": "prod",
            "namespace": "risk",
            "model": "fraud",
            "version": 1,
            "alias": "",
            "requested_at": self.now,
        }
        return PromotionRequest(**(values | changes)).sign(NAME, BUNDLE, key)

    def dossier(self, key: SigningKey = KEYS["prod"], **changes: Any) -> Envelope:
        values: dict[str, Any] = {
            "promotion": PROMOTION,
            "source": "dev",
            "target": "prod",
            "namespace": "risk",
            "model": "fraud",
            "version": 1,
            "alias": "",
            "policy_digest": self.policies["prod"],
            "evidence": (self.evidence.digest,),
            "requester": subject_of("bob"),
            "publisher": subject_of("alice"),
            "issued_at": self.now,
            "expires_at": self.now + timedelta(days=7),
        } | changes
        values["evidence_set_digest"] = evidence_set_digest(values["evidence"])
        return Dossier(**values).sign(NAME, BUNDLE, key)

    def approval(
        self, person: str, dossier: Envelope, key: SigningKey | None = None, **changes: Any
    ) -> Envelope:
        values = {
            "promotion": PROMOTION,
            "dossier_digest": dossier.digest,
            "source": "dev",
            "target": "prod",
            "policy_digest": self.policies["prod"],
            "evidence_set_digest": evidence_set_digest([self.evidence.digest]),
            "meaning": "approved",
            "reason": "the figures are right",
            "signed_at": self.now,
            "expires_at": self.now + timedelta(days=7),
            "nonce": "cd" * 16,
        }
        return Approval(**(values | changes)).sign(NAME, BUNDLE, key or KEYS[person])

    def decision(
        self, key: SigningKey = KEYS["prod"], *, inputs: tuple[Envelope, ...] = (), **changes: Any
    ) -> Envelope:
        values = {
            "verifier": {"id": verifier_id("prod")},
            "time_verified": self.now,
            "resource_uri": version_uri("prod", "risk", "fraud", 1),
            "policy": {"uri": "policy.yaml", "digest": {"sha256": self.policies["prod"]}},
            "input_attestations": [{"digest": {"sha256": each.digest}} for each in inputs],
            "verification_result": "PASSED",
            "verified_levels": ["CARNET_ADMITTED"],
            "promotion": PROMOTION,
        }
        return Decision(**(values | changes)).sign(NAME, BUNDLE, key)

    def cancellation(self, key: SigningKey = KEYS["bob"]) -> Envelope:
        return Cancellation(promotion=PROMOTION, reason="no longer wanted", cancelled_at=self.now).sign(
            NAME, BUNDLE, key
        )

    # --- stories --------------------------------------------------------------------------------------------

    def ask(self, request: Envelope | None = None, dossier: Envelope | None = None) -> Envelope:
        """Bring a promotion to prod as far as its dossier."""
        self.prod.add(EntryType.PROMOTION_REQUESTED, PROMOTED, request or self.request())
        self.prod.add(EntryType.EVIDENCE_ADDED, PROMOTED, self.evidence)
        dossier = dossier or self.dossier()
        self.prod.add(EntryType.DOSSIER_ISSUED, PROMOTED, dossier)
        return dossier

    def approve(self, person: str, dossier: Envelope, **changes: Any) -> Envelope:
        approval = self.approval(person, dossier, **changes)
        meaning = changes.get("meaning", "approved")
        self.prod.add(EntryType.APPROVAL_RECORDED, PROMOTED, approval, new=meaning)
        return approval

    def decide(self, decision: Envelope | None = None, result: str = "PASSED") -> Envelope:
        decision = decision or self.decision(verification_result=result)
        self.prod.add(EntryType.DECISION_MADE, PROMOTED, decision, new=result)
        return decision

    def admit(self, **changes: Any) -> int:
        index = self.prod.add(EntryType.VERSION_ADMITTED, PROMOTED, **changes)
        self.prod.add(EntryType.ALIAS_MOVED, VERSION | {"alias": "champion"}, old="", new="1")
        return index

    def record(self, decision: Envelope, **changes: Any) -> int:
        return self.dev.add(EntryType.PROMOTION_RECORDED, PROMOTED, decision, **changes)

    def promote(self) -> Envelope:
        """Bring the version to prod as it should be."""
        dossier = self.ask()
        approvals = [self.approve(person, dossier) for person in ("carol", "dave")]
        decision = self.decide(self.decision(inputs=(self.evidence, *approvals)))
        self.admit()
        self.record(decision)
        return decision

    # --- the audit ------------------------------------------------------------------------------------------

    def export(self, directory: Path, *names: str) -> None:
        for log in (self.dev, self.prod):
            if names and log.name not in names:
                continue
            with ExportWriter(directory).environment(log.name) as export:
                export.write_log(log.entries, log.signed_checkpoint())
                for document in log.documents:
                    export.add_document(document)

    def pins_data(self) -> dict[str, Any]:
        return {
            "environments": {
                name: {
                    "log_key": LOG_KEYS[name].verifier.vkey,
                    "signing_key": KEYS[name].verification_key.pem,
                    "note": "passed over",
                }
                for name in ("dev", "prod")
            },
            "people": {
                name: {"keys": [KEYS[name].verification_key.pem], "subjects": [subject_of(name)]}
                for name in ("alice", "bob", "carol", "dave", "evaluator")
            },
        }

    def pins(self) -> Pins:
        return Pins.from_mapping(self.pins_data())

    def audit(self, directory: Path, **options: Any) -> AuditReport:
        self.export(directory)
        return verify_export(directory, self.pins(), **options)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def only() -> Callable[..., Finding]:
    """Return the one finding that a report has, or fail with all of them."""

    def find(report: AuditReport) -> Finding:
        assert len(report.findings) == 1, "\n".join(str(each) for each in report.findings)
        assert not report.ok
        return report.findings[0]

    return find


@pytest.fixture
def stranger() -> SigningKey:
    return STRANGER


@pytest.fixture
def keys() -> dict[str, SigningKey]:
    return KEYS


@pytest.fixture
def log_keys() -> dict[str, LogKey]:
    return LOG_KEYS


@pytest.fixture
def promoted() -> dict[str, str | int]:
    return dict(PROMOTED)


@pytest.fixture
def version() -> dict[str, str | int]:
    return dict(VERSION)
