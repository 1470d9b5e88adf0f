"""A live database whose tables do not hold what its log leads to is found by ``carnet audit verify --database``."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from carnet.cli.exit_codes import ExitCode
from carnet.cli.main import main
from carnet.client.results import PromotionState
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.tree import Frontier
from tests.support.federation import LocalFederation

MODEL = "risk/fraud"


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation with a history in every table that entries tell of."""
    folder = tmp_path_factory.mktemp("tables")
    federation = LocalFederation(folder / "carnet")
    federation.start()
    with federation.client("ci") as ci:
        first = federation.publish(folder, MODEL, seed=1)
        second = federation.publish(folder, MODEL, seed=2)
        for reference in (first, second):
            assert federation.to_staging(reference, alias="champion").state is PromotionState.SUCCEEDED
        for number in (1, 2):
            federation.test_integration(f"staging/{MODEL}@{number}")
            federation.smoke_test(f"staging/{MODEL}@{number}")
            promotion = ci.promote(f"staging/{MODEL}@{number}", "prod", alias="champion").id
            federation.wait_for_dossier(ci, promotion)
            federation.approve(promotion, "bob", "carol")
            assert ci.wait(promotion, timeout=60).state is PromotionState.SUCCEEDED
        cancelled = ci.promote(f"staging/{MODEL}@1", "prod", alias="other").id
        federation.wait_for_dossier(ci, cancelled)
        ci.cancel(cancelled, "not wanted any more")
        ci.set_alias(f"dev/{MODEL}@live", 1)
        ci.set_alias(f"dev/{MODEL}@live", 2)
        ci.delete_alias(f"dev/{MODEL}@live")
        ci.set_alias(f"dev/{MODEL}@live", 1)
    with federation.client("dave") as operator:
        operator.rollback(f"prod/{MODEL}@champion", "bad-metrics")
    yield federation
    federation.stop()


def audit(federation, *databases, check=ExitCode.DONE, capsys):
    """Audit with live databases; returns the report."""
    given = [f"--database={name}={federation.database_url(name)}" for name in databases]
    code = main(["--dir", str(federation.folder), "--as", "dave", "audit", "verify", "-o", "json", *given])
    out = capsys.readouterr()
    assert code == check, out.out + out.err
    return json.loads(out.out)


def test_what_a_registry_wrote_itself_is_what_its_log_leads_to(federation, capsys):
    report = audit(federation, "dev", "staging", "prod", capsys=capsys)
    assert report["findings"] == []


_HOLD = """
    INSERT INTO holds (hold, namespace, model, version, actor, note_digest, created_at, releaser, log_index)
    VALUES (9, 'risk', 'fraud', 1, 'x', 'x', '2026-01-01 00:00:00', '', 1)
"""

# What somebody does to a copy of prod's database, and what is told of it.
EDITS = {
    "an alias that points elsewhere": ("UPDATE aliases SET version = 2", "aliases", "has version 2"),
    "an alias that is gone": ("DELETE FROM aliases", "aliases", "is missing"),
    "a move by somebody else": (
        "UPDATE alias_moves SET actor = 'spiffe://carnet.internal/person/mallory' WHERE revision = 1",
        "alias_moves",
        "mallory",
    ),
    "a move that is gone": ("DELETE FROM alias_moves WHERE revision = 2", "alias_moves", "is missing"),
    "a version of another stage": ("UPDATE versions SET stage = 'archived'", "versions", "has stage"),
    "a version that was revoked behind the log's back": (
        "UPDATE versions SET revoked_log_index = 3 WHERE version = 2",
        "versions",
        "revoked_log_index 3",
    ),
    "a manifest of other bytes": ("UPDATE versions SET manifest = x'7b7d'", "versions", "hash to"),
    "a file that is another": (
        "UPDATE version_files SET digest = replace(digest, 'a', 'b')",
        "version_files",
        "not those of its manifest",
    ),
    "a file that is gone": (
        "DELETE FROM version_files WHERE path LIKE '%.bin'",
        "version_files",
        "not those of its manifest",
    ),
    "evidence that is trusted no more": (
        "UPDATE evidence SET trusted = 1 - trusted",
        "evidence",
        "has trusted",
    ),
    "evidence of other bytes": ("UPDATE evidence SET envelope = x'00'", "evidence", "hash to"),
    "a promotion of another state": (
        "UPDATE admissions SET state = 'CANCELLED' WHERE state = 'ADMITTED'",
        "admissions",
        "has state 'CANCELLED'",
    ),
    "a promotion that nobody asked for": (
        "UPDATE admissions SET promotion = 'p' || substr(promotion, 2) WHERE state = 'ADMITTED'",
        "admissions",
        "no entry tells of it",
    ),
    "an approval that is gone": ("DELETE FROM approvals", "approvals", "is missing"),
    "an approval of another meaning": (
        "UPDATE approvals SET meaning = 'rejected' WHERE meaning = 'approved'",
        "approvals",
        "has meaning 'rejected'",
    ),
    "a cancellation that is gone": (
        "DELETE FROM admission_cancellations",
        "admission_cancellations",
        "is missing",
    ),
    "another policy in force": (
        "UPDATE documents_in_force SET digest = substr(digest, 2) || '0' WHERE kind = 'policy'",
        "documents_in_force",
        "has digest",
    ),
    "a hold that nobody placed": (
        _HOLD,
        "holds",
        "no entry tells of it",
    ),
    "a document of other bytes": (
        "UPDATE documents SET data = data || x'20' WHERE digest = (SELECT min(digest) FROM documents)",
        "documents",
        "hashes to",
    ),
    "documents that are gone": ("DELETE FROM documents", "documents", "is missing"),
    "an entry that was changed": (
        """UPDATE log_entries SET entry = replace(CAST(entry AS TEXT), 'champion', 'champiom') WHERE "index" > 9""",
        "log_entries",
        "does not hash to its stored leaf hash",
    ),
    "an entry that was taken out": (
        'DELETE FROM log_entries WHERE "index" = 5',
        "log_entries",
        "entry 5 is missing",
    ),
    "a node of other bytes": (
        'UPDATE log_nodes SET hash = zeroblob(32) WHERE level = 1 AND "index" = 0',
        "log_nodes",
        "is another",
    ),
    "a root that is another": ("UPDATE log_head SET root = zeroblob(32)", "log_head", "the head says"),
    "a root that is a text": ("UPDATE log_head SET root = 'r'", "log_head", "no bytes"),
    "a size that is a text": ("UPDATE log_head SET size = 'many'", "log_head", "no number"),
    "a node that is a text": ("UPDATE log_nodes SET hash = 'h'", "log_nodes", "is another"),
    "an entry that is a text": ("UPDATE log_entries SET entry = 'e'", "log_entries", "leaf hash"),
    "another log": ("UPDATE log_head SET origin = 'elsewhere'", "log_head", "'elsewhere'"),
}


@pytest.fixture(scope="module")
def export(federation, tmp_path_factory):
    """What an auditor took along before anybody edited anything."""
    directory = tmp_path_factory.mktemp("exported") / "export"
    with federation.client("dave") as auditor:
        auditor.audit_export(directory)
    return directory


@pytest.fixture
def copied(federation, export, tmp_path):
    """A copy of prod's database that an editor may have, no older than the export."""
    path = tmp_path / "registry.db"
    source = sqlite3.connect(federation.database("prod"), timeout=10)
    target = sqlite3.connect(path)
    with contextlib.closing(source), contextlib.closing(target):
        source.backup(target)
    return path


def judged(federation, export, path, capsys):
    given = [f"--offline={export}", f"--database=prod=sqlite:///{path}"]
    code = main(["--dir", str(federation.folder), "--as", "dave", "audit", "verify", "-o", "json", *given])
    out = capsys.readouterr()
    assert code == ExitCode.INTEGRITY, out.out + out.err
    return json.loads(out.out)["findings"]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_behind_the_logs_back_is_named(edit, federation, export, copied, capsys):
    statement, table, told = EDITS[edit]
    with contextlib.closing(sqlite3.connect(copied)) as database, database:
        assert database.execute(statement).rowcount > 0
    findings = [
        each for each in judged(federation, export, copied, capsys) if each["affects"] == [f"table {table}"]
    ]
    assert findings
    assert all(each["environment"] == "prod" for each in findings)
    assert any(told in each["message"] for each in findings), findings
    assert {each["verdict"] for each in findings} <= {"tampered", "incomplete"}


def test_a_database_that_was_put_back_is_told_from_one_that_was_edited(federation, export, copied, capsys):
    with contextlib.closing(sqlite3.connect(copied)) as database, database:
        size = unverified_checkpoint((export / "prod" / "checkpoint").read_text()).size
        kept = [row[0] for row in database.execute('SELECT leaf_hash FROM log_entries ORDER BY "index"')]
        frontier = Frontier()
        for value in kept[: size - 3]:
            frontier.append(value)
        database.execute('DELETE FROM log_entries WHERE "index" >= ?', (size - 3,))
        database.execute("UPDATE log_head SET size = ?, root = ?", (size - 3, frontier.root()))
    (found,) = judged(federation, export, copied, capsys)
    assert "put back to an older state" in found["message"]
    assert found["index"] == size - 3


def test_a_database_that_goes_on_while_it_is_read_is_judged_as_it_stands(federation, tmp_path, capsys):
    with federation.client("ci") as ci:
        for number in (2, 1):
            ci.set_alias(f"dev/{MODEL}@live", number)
            audit(federation, "dev", capsys=capsys)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("prod", "ENV=URL is wanted"),
        ("prod=sqlite:////nowhere/registry.db", "there is no file"),
        ("prod=mysql://host/prod", "not supported"),
        ("other=sqlite:///registry.db", "no log of 'other' was verified"),
    ],
)
def test_a_database_that_cannot_be_compared_is_refused_with_a_reason(given, told, federation, capsys):
    code = main(["--dir", str(federation.folder), "--as", "dave", "audit", "verify", f"--database={given}"])
    assert code in {ExitCode.USAGE, ExitCode.NOT_FOUND}
    assert told in capsys.readouterr().err
