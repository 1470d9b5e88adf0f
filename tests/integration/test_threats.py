"""What one stolen key, and everybody together, can and cannot do.

The other rows of the threat model have files of their own: those who hold disks and databases are in ``test_tampering`` and ``test_tables``, a log's own key and old backups
in ``test_witnesses``, the promotion service in ``test_forgeries``, keys that were taken back in
``test_compromise``.
"""

from __future__ import annotations

import time

import pytest

from carnet.audit.codes import Code
from carnet.audit.export import ExportWriter
from carnet.audit.layout import CHECKPOINT
from carnet.audit.report import Verdict
from carnet.client.audit_memory import federation_pins, verify_offline
from carnet.client.federation import Federation
from carnet.client.results import PromotionState
from carnet.errors import CarnetError
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint, unverified_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.keys import LogKey
from carnet.translog.tiles import entry_bundles, parse_bundle
from carnet.translog.tree import Frontier, leaf_hash
from carnet_server.config import load_config
from carnet_server.witnessing.starting import read_cosigner_key
from tests.support.federation import LocalFederation

MODEL = "risk/fraud"
ENVIRONMENTS = ("dev", "staging", "prod")


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation with one version in prod, whose logs witness each other every second."""
    folder = tmp_path_factory.mktemp("threats")
    federation = LocalFederation(folder / "carnet")
    for name in ENVIRONMENTS:
        path = federation.folder / "environments" / name / "environment.yaml"
        path.write_text(path.read_text() + "witness_every: 1s\n")
    federation.start()
    bring_to_prod(federation, federation.publish(folder, MODEL, seed=1))
    yield federation
    federation.stop()


def ask_for_prod(federation, reference):
    """Bring a version to staging, and ask for it in prod; returns the promotion, which awaits people."""
    assert federation.to_staging(reference, alias="champion").state is PromotionState.SUCCEEDED
    staged = f"staging/{MODEL}@{reference.version}"
    federation.test_integration(staged)
    with federation.client("ci") as ci:
        promotion = ci.promote(staged, "prod", alias="champion").id
        federation.wait_for_dossier(ci, promotion)
    return promotion


def bring_to_prod(federation, reference):
    promotion = ask_for_prod(federation, reference)
    federation.approve(promotion, "bob", "carol")
    with federation.client("ci") as ci:
        assert ci.wait(promotion, timeout=60).state is PromotionState.SUCCEEDED


def export_of(federation, directory):
    with federation.client("dave") as auditor:
        auditor.audit_export(directory)
    return directory


def audit(federation, export, *, kept=None):
    """Audit an export with the pinned keys, and with the checkpoints of an earlier one, if any."""
    pins = federation_pins(Federation.load(federation.folder))
    texts = {name: (kept / name / CHECKPOINT).read_text() for name in ENVIRONMENTS} if kept else {}
    return verify_offline(
        export, pins, earlier={name: unverified_checkpoint(text) for name, text in texts.items()}
    )


# --- a stolen approver's key --------------------------------------------------------------------------------------


def test_one_stolen_approvers_key_admits_nothing(federation, tmp_path):
    promotion = ask_for_prod(federation, federation.publish(tmp_path, MODEL, seed=2))
    for _ in range(2):
        federation.approve(promotion, "bob")
    with federation.client("ci") as ci:
        assert ci.promotion(promotion).state is PromotionState.AWAITING
        with pytest.raises(CarnetError):
            # Who asked for it cannot be the second.
            ci.approve(promotion, "in order", target="prod")
        assert ci.promotion(promotion).state is PromotionState.AWAITING


# --- everybody together -------------------------------------------------------------------------------------------


def entries_of(export, name):
    size = unverified_checkpoint((export / name / CHECKPOINT).read_text()).size
    for bundle in entry_bundles(size):
        yield from parse_bundle((export / name / bundle.path).read_bytes(), width=bundle.width)


def last_before_admission(export):
    """Return the time of the last entry that everybody lets stand: what came to prod never came."""
    entries = [parse_entry(each) for each in entries_of(export, "prod")]
    asked = next(each for each in entries if each.type is EntryType.PROMOTION_REQUESTED)
    return asked.time


def collude(federation, export, forged):
    """Rewrite all logs with all keys as they were before prod was asked, as those who hold them all can."""
    end = last_before_admission(export)
    configs = {
        name: load_config(federation.folder / "environments" / name / "environment.yaml")
        for name in ENVIRONMENTS
    }
    for name, config in configs.items():
        kept = [each for each in entries_of(export, name) if parse_entry(each).time < end]
        frontier = Frontier()
        for each in kept:
            frontier.append(leaf_hash(each))
        log = LogKey.load(config.log_origin, config.log_key)
        signed = sign_checkpoint(Checkpoint(log.name, frontier.size, frontier.root()), log)
        for other, witness in configs.items():
            if other != name:
                cosigner = read_cosigner_key(witness)
                signed = cosign_checkpoint(signed, log.verifier, cosigner, timestamp=int(time.time()))
        with ExportWriter(forged).environment(name) as writer:
            for each in kept:
                writer.append_entry(each)
            writer.finish_log(signed, signed)
            for each in kept:
                for digest in parse_entry(each).documents:
                    writer.add_document((export / name / "envelopes" / digest).read_bytes())
    return forged


def test_everybody_together_is_shown_only_by_checkpoints_that_are_kept_elsewhere(federation, tmp_path):
    kept = export_of(federation, tmp_path / "kept")
    assert audit(federation, kept).ok
    forged = collude(federation, kept, tmp_path / "forged")
    report = audit(federation, forged)
    assert report.ok, report.findings
    assert report.environments["prod"].admitted == 0
    report = audit(federation, forged, kept=kept)
    assert {each.environment for each in report.findings} == set(ENVIRONMENTS)
    assert {(each.verdict, each.code) for each in report.findings} == {(Verdict.TAMPERED, Code.LOG_CUT)}
