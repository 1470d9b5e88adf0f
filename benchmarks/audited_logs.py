"""Two environments' logs of any length for an auditor, with real signatures, as a busy federation makes them.

A version is published in dev and evaluated twice, becomes a candidate, and takes an alias there; it is
promoted to prod: request, evidence, dossier, two approvals, decision, admission, alias. In both, aliases then
move back and forth, as they do when rollbacks are drilled, with the changes of stages that this makes, and
now and then calls are refused. So of about 37 entries of a version 10 rest on a signed statement of their
own. Everything is drawn from one seed but the signatures, which are never the same twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec

from carnet.audit.export import EnvironmentExport, ExportWriter
from carnet.audit.layout import ENVELOPES, read_tile
from carnet.audit.pins import Pins
from carnet.canonical import sha256_hex
from carnet.signing.approval import Approval
from carnet.signing.decision import Decision, verifier_id, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.keys import SigningKey
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.test_result import TestResult
from carnet.stages import Stage, admitting, following
from carnet.translog.checkpoint import Checkpoint, LogKey, sign_checkpoint
from carnet.translog.entry import Actor, Entry, EntryType
from carnet.translog.refused_calls import RefusedCalls
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tiles import entry_bundles, parse_bundle
from carnet.translog.tree import leaf_hash

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.signing.dsse import Envelope

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEP = timedelta(milliseconds=250)
MODELS = 20
MOVES = 3
_PEOPLE = ("alice", "bob", "carol", "dave", "evaluator")


def _key(seed: random.Random) -> SigningKey:
    return SigningKey(ec.derive_private_key(seed.getrandbits(250) + 1, ec.SECP256R1()))


@dataclass
class _Log:
    """One environment's log as it is written: its export, its tree, and where its versions stand."""

    name: str
    export: EnvironmentExport
    clock: Clock
    tree: TileBuilder = field(default_factory=TileBuilder)
    policy: str = ""
    stages: dict[tuple[str, int], Stage] = field(default_factory=dict)
    pointed: dict[tuple[str, str], int] = field(default_factory=dict)
    digests: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(
        self,
        kind: EntryType,
        subject: dict[str, str | int],
        document: Envelope | bytes | str = "",
        **fields: Any,
    ) -> None:
        if isinstance(document, str):
            digest = document or None
        else:
            digest = self.export.add_document(
                document if isinstance(document, bytes) else document.to_bytes()
            )
        fields = {
            "envelope_digest": digest,
            "actor": Actor("spiffe://example.com/alice", "", "mtls"),
        } | fields
        event = f"{self.clock.seed.getrandbits(128):032x}"
        entry = Entry(event, kind, self.name, self.clock.tick(), subject=subject, **fields).to_bytes()
        value = leaf_hash(entry)
        self.tree.append(value)
        self.export.append_entry(entry, value)

    def begin(self) -> None:
        self.add(EntryType.ENVIRONMENT_INITIALIZED, {})
        for kind in (EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED):
            text = f"the {kind} of {self.name}".encode()
            self.add(kind, {}, text, new=sha256_hex(text))
        self.policy = sha256_hex(f"the {EntryType.POLICY_CHANGED} of {self.name}".encode())

    def stage(self, version: dict[str, str | int], new: Stage, document: str = "") -> None:
        name = str(version["model"]), int(version["version"])
        self.add(EntryType.VERSION_STAGE_CHANGED, version, document, old=self.stages[name], new=new)
        self.stages[name] = new

    def move(self, version: dict[str, str | int], alias: str, document: str = "") -> None:
        """Move an alias, with the changes of stages that this makes."""
        model, number = str(version["model"]), int(version["version"])
        before = self.pointed.get((model, alias), 0)
        self.pointed[model, alias] = number
        fields = {"old": str(before or ""), "new": str(number)}
        self.add(EntryType.ALIAS_MOVED, version | {"alias": alias}, document, **fields)
        for each in dict.fromkeys(each for each in (before, number) if each):
            live = any(other == each for (name, _), other in self.pointed.items() if name == model)
            wanted = following(self.stages[model, each], live=live)
            if wanted is not self.stages[model, each]:
                self.stage(self.version(model, each), wanted)

    def version(self, model: str, number: int) -> dict[str, str | int]:
        digest = self.digests[model, number]
        return {"namespace": "risk", "model": model, "version": number, "bundle_digest": digest}

    def refuse(self) -> None:
        now = self.clock.now
        calls = RefusedCalls(
            "carnet.registry.v1.AdmissionService/Admit", "STALE_EPOCH", 3, now, now, ("risk",)
        )
        fields = {"new": calls.summary}
        self.add(EntryType.ACCESS_REFUSED, dict(calls.subject), calls.to_bytes(), **fields)


class Clock:
    """Time as the logs have it, and the one source of chance."""

    def __init__(self, seed: int) -> None:
        self.seed = random.Random(seed)
        self.now = START

    def tick(self) -> datetime:
        """Return the time of the next entry."""
        self.now += STEP
        return self.now


class Federation:
    """Keys, people and two logs.

    Args:
        seed: What everything is drawn from.

    Attributes:
        statements: How many signed statements were written.
        sizes: How many entries each log has.
        sizes_before: How many they had when the last hundredth of them was still to come.
    """

    def __init__(self, seed: int = 1) -> None:
        self.clock = Clock(seed)
        self.keys = {name: _key(self.clock.seed) for name in ("dev", "prod", *_PEOPLE)}
        self.log_keys = {name: LogKey.generate(f"example.com/{name}") for name in ("dev", "prod")}
        self.statements = 0
        self.sizes: dict[str, int] = {}
        self.sizes_before: dict[str, int] = {}

    def pins_data(self) -> dict[str, Any]:
        """Return what an auditor of these logs trusts, as a file has it."""
        return {
            "environments": {
                name: {"log_key": key.verifier.vkey, "signing_key": self.keys[name].verification_key.pem}
                for name, key in self.log_keys.items()
            },
            "people": {
                name: {
                    "keys": [self.keys[name].verification_key.pem],
                    "subjects": [f"spiffe://example.com/{name}"],
                }
                for name in _PEOPLE
            },
        }

    def pins(self) -> Pins:
        """Return what an auditor of these logs trusts."""
        return Pins.from_mapping(self.pins_data())

    def write(self, directory: Path, entries: int) -> int:
        """Write an export of at least so many entries in both logs together; return how many."""
        writer = ExportWriter(directory)
        with writer.environment("dev") as dev_export, writer.environment("prod") as prod_export:
            dev, prod = _Log("dev", dev_export, self.clock), _Log("prod", prod_export, self.clock)
            dev.begin()
            prod.begin()
            number = 0
            while dev.tree.size + prod.tree.size < entries:
                self._bring(dev, prod, f"model-{number % MODELS}", number // MODELS + 1)
                number += 1
                self.sizes = {log.name: log.tree.size for log in (dev, prod)}
                if not self.sizes_before and sum(self.sizes.values()) >= entries * 99 // 100:
                    self.sizes_before = self.sizes
            for log in (dev, prod):
                key = self.log_keys[log.name]
                log.export.finish_log(
                    sign_checkpoint(Checkpoint(key.name, log.tree.size, log.tree.root()), key)
                )
        return dev.tree.size + prod.tree.size

    def cut_back(self, export: Path, directory: Path) -> None:
        """Write the export as it was before the last hundredth, with the documents of all."""
        for name, size in self.sizes_before.items():
            with ExportWriter(directory).environment(name) as copy:
                tree = TileBuilder()
                for bundle in entry_bundles(self.sizes[name]):
                    data = read_tile(export / name, bundle)
                    entries = parse_bundle(data, width=bundle.width)[: max(size - bundle.first_index, 0)]
                    tree.extend([leaf_hash(entry) for entry in entries])
                    for entry in entries:
                        copy.append_entry(entry)
                key = self.log_keys[name]
                copy.finish_log(sign_checkpoint(Checkpoint(key.name, size, tree.root()), key))
            (directory / name / ENVELOPES).symlink_to(export / name / ENVELOPES)

    def _bring(self, dev: _Log, prod: _Log, model: str, number: int) -> None:
        digest = f"{self.clock.seed.getrandbits(256):064x}"
        dev.digests[model, number] = prod.digests[model, number] = digest
        version = dev.version(model, number)
        name = f"dev/risk/{model}@{number}"
        dev.add(EntryType.VERSION_PUBLISHED, version)
        dev.stages[model, number] = Stage.REGISTERED
        dev.stage(version, Stage.CANDIDATE)
        evidence = [
            TestResult(result="PASSED", configuration=(), url=f"https://example.com/{suite}/{digest}").sign(
                name, digest, self.keys["evaluator"]
            )
            for suite in ("accuracy", "fairness")
        ]
        for each in evidence:
            dev.add(EntryType.EVIDENCE_ADDED, version, each)
        dev.move(version, "champion")
        decision = self._promote(dev, prod, model, number, evidence)
        promoted = version | {"promotion": self._promotion}
        dev.add(EntryType.PROMOTION_RECORDED, promoted, decision)
        self.statements += 10
        for log in (dev, prod):
            for each in range(MOVES):
                back = max(1, number - 1 + each % 2)
                if log.pointed[model, "champion"] != back:
                    log.move(log.version(model, back), "champion")
        if number % 4 == 0:
            prod.refuse()

    def _promote(self, dev: _Log, prod: _Log, model: str, number: int, evidence: list[Envelope]) -> Envelope:
        now, digest = self.clock.now, dev.digests[model, number]
        name, self._promotion = f"dev/risk/{model}@{number}", f"{self.clock.seed.getrandbits(128):032x}"
        subject = prod.version(model, number) | {"promotion": self._promotion}
        asked: dict[str, Any] = {
            "promotion": self._promotion,
            "source": "dev",
            "target": "prod",
            "namespace": "risk",
            "model": model,
            "version": number,
            "alias": "champion",
        }
        request = PromotionRequest(**asked, requested_at=now).sign(name, digest, self.keys["bob"])
        prod.add(EntryType.PROMOTION_REQUESTED, subject, request)
        for each in evidence:
            prod.add(EntryType.EVIDENCE_ADDED, subject, each)
        listed = tuple(sorted(each.digest for each in evidence))
        bound = {"policy_digest": prod.policy, "evidence_set_digest": evidence_set_digest(listed)}
        dossier = Dossier(
            **asked,
            **bound,
            evidence=listed,
            requester="spiffe://example.com/bob",
            publisher="spiffe://example.com/alice",
            issued_at=now,
            expires_at=now + timedelta(days=7),
        ).sign(name, digest, self.keys["prod"])
        prod.add(EntryType.DOSSIER_ISSUED, subject, dossier)
        approvals = [
            Approval(
                promotion=self._promotion,
                dossier_digest=dossier.digest,
                source="dev",
                target="prod",
                **bound,
                meaning="approved",
                reason="the figures are right",
                signed_at=now,
                expires_at=now + timedelta(days=7),
                nonce=f"{self.clock.seed.getrandbits(128):032x}",
            ).sign(name, digest, self.keys[person])
            for person in ("carol", "dave")
        ]
        for each in approvals:
            prod.add(EntryType.APPROVAL_RECORDED, subject, each, new="approved")
        decision = Decision(
            verifier={"id": verifier_id("prod")},
            time_verified=now,
            resource_uri=version_uri("prod", "risk", model, number),
            policy={"uri": "policy.yaml", "digest": {"sha256": prod.policy}},
            input_attestations=[{"digest": {"sha256": each.digest}} for each in (*evidence, *approvals)],
            verification_result="PASSED",
            verified_levels=["CARNET_ADMITTED"],
            promotion=self._promotion,
            alias="champion",
        ).sign(name, digest, self.keys["prod"])
        prod.add(EntryType.DECISION_MADE, subject | {"alias": "champion"}, decision, new="PASSED")
        prod.add(EntryType.VERSION_ADMITTED, subject, decision.digest)
        prod.stages[model, number] = Stage.REGISTERED
        prod.stage(subject, admitting(Stage.REGISTERED), decision.digest)
        prod.move(subject, "champion", decision.digest)
        return decision
