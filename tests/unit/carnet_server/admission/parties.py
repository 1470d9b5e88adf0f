"""Who takes part in a promotion from dev to staging, with their keys, and what they sign."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from carnet.bundle.paths import MANIFEST_NAME
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.cancellation import Cancellation
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.release import Release
from carnet.signing.statement import parse_statement
from carnet.signing.test_result import TestResult
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.keys import LogKey
from carnet.translog.receipt import Receipt
from carnet.translog.tree import inclusion_proof, leaf_hash, node_hash, root_of
from carnet_server.access.identity import Caller
from carnet_server.access.trust import Trust
from tests.support.bundles import make_manifest
from tests.support.trusted import document_bytes, log_key, signing_key, trust_of

DOMAIN = "spiffe://carnet.test"
PROMOTER = f"{DOMAIN}/sync"
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
SERVICES = ("ci", "evaluator", "stranger")
ENVIRONMENTS = ("dev", "staging")
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


def subject(name: str) -> str:
    """The SPIFFE id of a person, service or registry of the cast."""
    kind = "person" if name in PEOPLE else "registry" if name in ENVIRONMENTS else "service"
    return PROMOTER if name == "sync" else f"{DOMAIN}/{kind}/{name}"


@dataclass
class Parties:
    """The cast: alice publishes and requests through ci, bob and carol approve, dave operates."""

    keys: dict[str, SigningKey] = field(
        default_factory=lambda: {name: signing_key(name) for name in PEOPLE + SERVICES + ENVIRONMENTS}
    )
    logs: dict[str, LogKey] = field(
        default_factory=lambda: {name: log_key(f"carnet.test/{name}") for name in ENVIRONMENTS}
    )

    def trust_yaml(self, environment: str, **changes: object) -> bytes:
        """The trust document of an environment; ``changes`` replace its parts."""
        purposes = {
            "ci": ["bundle", "request", "cancellation"],
            "alice": ["bundle", "request", "approval", "break-glass", "cancellation"],
            "bob": ["approval", "break-glass", "request", "cancellation"],
            "carol": ["approval", "break-glass"],
            "dave": ["break-glass", "cancellation"],
            "erin": ["approval", "break-glass"],
        }
        document = {
            "schema": "carnet.trust/v1",
            "environment": environment,
            "version": 1,
            "people": [
                {"name": name, "subjects": [subject(name)] + ([subject("ci")] if name == "alice" else [])}
                for name in ("alice", "bob", "dave", "erin")
            ],
            "keys": [
                {"subject": subject(name), "pem": self.keys[name].verification_key.pem, "purposes": allowed}
                for name, allowed in purposes.items()
            ]
            + [
                {
                    "subject": subject("evaluator"),
                    "pem": self.keys["evaluator"].verification_key.pem,
                    "evidence": [{"role": "evaluator", "type": TEST_RESULT}],
                }
            ],
            "peers": [
                {
                    "environment": peer,
                    "subject": subject(peer),
                    "endpoint": "127.0.0.1:1",
                    "server_name": f"{peer}.carnet.test",
                    "signing_keys": [self.keys[peer].verification_key.pem],
                    "log_key": self.logs[peer].verifier.vkey,
                }
                for peer in ENVIRONMENTS
                if peer != environment
            ],
            "roles": [
                {"subject": PROMOTER, "roles": ["promoter"]},
                {"subject": subject("ci"), "roles": ["publisher", "requester"]},
                {"subject": subject("alice"), "roles": ["publisher", "requester", "approver", "breaker"]},
                {
                    "subject": subject("bob"),
                    "roles": ["approver", "requester", "breaker"],
                    "namespaces": ["risk"],
                },
                {"subject": subject("carol"), "roles": ["approver", "breaker"]},
                {"subject": subject("dave"), "roles": ["operator", "auditor", "breaker"]},
                {"subject": subject("erin"), "roles": ["approver", "breaker"]},
                {"subject": subject("evaluator"), "roles": ["evaluator"]},
            ],
        }
        return document_bytes({**document, **changes})

    def trust(self, environment: str, **changes: object) -> Trust:
        return trust_of(self.trust_yaml(environment, **changes), environment)

    def caller(self, name: str, trust: Trust) -> Caller:
        return Caller(subject(name), trust.person_of(subject(name)), DOMAIN, "mtls", trust)

    # --- what they sign -----------------------------------------------------------------------------------

    def request(self, manifest, *, by="ci", alias="", promotion=None, about=None, **changes) -> bytes:
        wish = PromotionRequest(
            **{
                "promotion": promotion or uuid.uuid4().hex,
                "source": "dev",
                "target": "staging",
                "namespace": manifest.namespace,
                "model": manifest.model,
                "version": manifest.version,
                "alias": alias,
                "requested_at": datetime.now(UTC),
                **changes,
            }
        )
        name, digest = about or (manifest.subject_name, manifest.digest)
        return wish.sign(name, digest, self.keys[by]).to_bytes()

    def signature(self, manifest, *, by="ci", files=None) -> bytes:
        covered = [(file.path, file.digest) for file in manifest.files] if files is None else files
        return sign_model(manifest.model, [*covered, (MANIFEST_NAME, manifest.digest)], self.keys[by])

    def release(
        self, request, manifest, *, by="dev", log_size=1, evidence=(), about=None, **changes
    ) -> bytes:
        wish = read(request, PromotionRequest)
        release = Release(
            **{
                "promotion": wish.promotion,
                "environment": wish.source,
                "target": wish.target,
                "namespace": wish.namespace,
                "model": wish.model,
                "version": wish.version,
                "evidence": tuple(sorted(evidence)),
                "revoked": False,
                "log_origin": self.logs["dev"].name,
                "log_size": log_size,
                "issued_at": datetime.now(UTC),
                **changes,
            }
        )
        name, digest = about or (manifest.subject_name, manifest.digest)
        return release.sign(name, digest, self.keys[by]).to_bytes()

    def arrival(self, manifest, *, kind=EntryType.VERSION_PUBLISHED, environment="dev", log="dev", **changes):
        about = {
            "namespace": manifest.namespace,
            "model": manifest.model,
            "version": manifest.version,
            "bundle_digest": manifest.digest,
        }
        entry = Entry(
            event_id=uuid.uuid4().hex,
            type=kind,
            environment=environment,
            time=datetime.now(UTC),
            actor=Actor(subject("ci"), DOMAIN, "mtls"),
            subject={**about, **changes},
        )
        return receipt_for([entry.to_bytes()], 0, self.logs[log])

    def test_result(self, manifest, *, by="evaluator", result="PASSED", suite="evaluation", metrics=None):
        figures = {"roc_auc": 0.99} if metrics is None else metrics
        said = TestResult(
            result=result,
            configuration=(),
            suite=suite,
            metrics=tuple(
                {"name": name, "value": value, "direction": "higher_is_better"}
                for name, value in figures.items()
            ),
            finished_at=datetime.now(UTC),
        )
        return said.sign(manifest.subject_name, manifest.digest, self.keys[by]).to_bytes()

    def approval(self, admission, dossier, *, by="bob", meaning="approved", about=None, **changes) -> bytes:
        said = Approval(
            **{
                "promotion": admission.promotion,
                "dossier_digest": admission.dossier_digest,
                "source": dossier.source,
                "target": dossier.target,
                "policy_digest": dossier.policy_digest,
                "evidence_set_digest": dossier.evidence_set_digest,
                "meaning": meaning,
                "reason": "Looked at the figures.",
                "signed_at": datetime.now(UTC),
                "expires_at": datetime.now(UTC) + timedelta(days=1),
                "nonce": uuid.uuid4().hex,
                **changes,
            }
        )
        name, digest = about or (admission.subject_name, admission.bundle_digest)
        return said.sign(name, digest, self.keys[by]).to_bytes()

    def break_glass(self, admission, dossier, *, by="bob", about=None, **changes) -> bytes:
        now = datetime.now(UTC)
        said = BreakGlass(
            **{
                "promotion": admission.promotion,
                "dossier_digest": admission.dossier_digest,
                "source": dossier.source,
                "target": dossier.target,
                "policy_digest": dossier.policy_digest,
                "evidence_set_digest": dossier.evidence_set_digest,
                "skips": ("approvals",),
                "reason": "Payments are down.",
                "ticket": "INC-7",
                "signed_at": now,
                "expires_at": now + timedelta(hours=1),
                "nonce": uuid.uuid4().hex,
                **changes,
            }
        )
        name, digest = about or (admission.subject_name, admission.bundle_digest)
        return said.sign(name, digest, self.keys[by]).to_bytes()

    def review(self, admission, *, by="erin", about=None, **changes) -> bytes:
        said = BreakGlassReview(
            **{
                "promotion": admission.promotion,
                "target": "staging",
                "decision_digest": admission.decision_digest,
                "verdict": "accepted",
                "reason": "It was one.",
                "signed_at": datetime.now(UTC),
                "nonce": uuid.uuid4().hex,
                **changes,
            }
        )
        name, digest = about or (admission.subject_name, admission.bundle_digest)
        return said.sign(name, digest, self.keys[by]).to_bytes()

    def cancellation(self, request, manifest, *, by="ci", about=None, **changes) -> bytes:
        wish = read(request, PromotionRequest)
        said = Cancellation(
            **{
                "promotion": wish.promotion,
                "reason": "Not this one.",
                "cancelled_at": datetime.now(UTC),
                **changes,
            }
        )
        name, digest = about or (manifest.subject_name, manifest.digest)
        return said.sign(name, digest, self.keys[by]).to_bytes()


def read(envelope: bytes, kind):
    """What an envelope says, without verifying it."""
    return kind.parse(parse_statement(parse_envelope(envelope)))


def manifest_of(**overrides):
    """A manifest of ``dev/risk/fraud@1``."""
    return make_manifest(description="Scores card payments.", owner="risk-team", **overrides)


def receipt_for(entries: list[bytes], index: int, key: LogKey) -> Receipt:
    """The receipt of an entry in a small log."""
    leaves = [leaf_hash(entry) for entry in entries]

    def node_at(level: int, at: int) -> bytes:
        if level == 0:
            return leaves[at]
        return node_hash(node_at(level - 1, 2 * at), node_at(level - 1, 2 * at + 1))

    proof = tuple(inclusion_proof(index, len(leaves), node_at))
    checkpoint = sign_checkpoint(Checkpoint(key.name, len(leaves), root_of(leaves)), key)
    return Receipt(entries[index], index, len(leaves), proof, checkpoint)
