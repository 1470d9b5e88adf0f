"""Reports of a real federation: each derives, is signed, and is found to say what the logs say; or is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from carnet.audit.reports.query import ReportKind
from carnet.audit.reports.sealing import REPORT_PAYLOAD_TYPE
from carnet.canonical import canonical_json
from carnet.cli.main import main
from carnet.signing.dsse import sign_payload
from tests.support.federation import LocalFederation
from tests.support.reports import rows, value_of

LABELS = {"risk_tier": "high", "country": "nl"}
NOW = "2100-01-01"
KINDS = sorted(ReportKind)


@dataclass
class Story:
    """A federation with a version that two people approved for prod, and one that staging refused."""

    federation: LocalFederation
    promotion: str
    digest: str
    export: Path

    def run(self, *arguments, identity="dave"):
        """Run a command of ``carnet`` as an auditor, and return its exit code."""
        return main(["--dir", str(self.federation.folder), "--as", identity, *map(str, arguments)])

    @property
    def offline(self):
        return ("--offline", str(self.export), "--trust", str(self.federation.folder / "federation.yaml"))

    def asking(self, kind):
        """The command that makes a report of a kind."""
        if kind == "at":
            return ("audit", "at", NOW, "prod/risk/fraud@champion")
        more = ("--promotion", self.promotion) if kind == "dossier" else ()
        return ("audit", "report", kind, *more)

    def make(self, kind, out, *more):
        assert self.run(*self.asking(kind), *more, "--out", out) == 0
        return out


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    federation = LocalFederation(tmp_path_factory.mktemp("reports") / "carnet")
    federation.start()
    folder = tmp_path_factory.mktemp("bundles")
    reference = federation.publish(folder / "first", labels=LABELS, owner="fraud team")
    federation.to_staging(reference)
    at_staging = f"staging/risk/fraud@{reference.version}"
    federation.test_integration(at_staging)
    federation.smoke_test(at_staging)
    with federation.client("ci") as ci:
        asked = ci.promote(at_staging, "prod", alias="champion")
        federation.wait_for_dossier(ci, asked.id)
        federation.approve(asked.id, "bob", "carol")
        done = ci.wait(asked.id, timeout=60)
        weak = federation.publish(folder / "second", seed=2, labels=LABELS)
        bad = [{"name": "roc_auc", "value": 0.5, "direction": "higher_is_better"}]
        federation.evaluate(weak, metrics=bad)
        ci.wait(ci.promote(str(weak), "staging").id, timeout=60)
    export = tmp_path_factory.mktemp("copied") / "export"
    with federation.client("dave") as auditor:
        auditor.audit_export(export)
    yield Story(federation, asked.id, done.bundle_digest, export)
    federation.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_each_report_derives_from_an_export_and_is_found_to_say_what_the_logs_say(
    story, tmp_path, kind, capsys
):
    out = story.make(kind, tmp_path / "report.json", *story.offline)
    capsys.readouterr()
    assert story.run("audit", "verify", "--report", out, *story.offline, "-o", "json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["ok"], verdict["signer"], verdict["differences"]) == (True, "dave", [])
    assert verdict["rows"] > 0


def test_the_rows_are_those_of_the_story(story, tmp_path):
    dossier = story.make("dossier", tmp_path / "dossier.json", *story.offline)
    (promotion,) = rows(dossier, "promotion")
    assert (promotion["source"], promotion["target"], promotion["alias"]) == ("staging", "prod", "champion")
    assert (promotion["requested_by"], promotion["published_by"]) == ("alice", "alice")
    assert promotion["outcome"] == "passed"
    assert [(each["person"], each["meaning"], each["counted"]) for each in rows(dossier, "approvals")] == [
        ("bob", "approved", True),
        ("carol", "approved", True),
    ]
    assert {each["status"] for each in rows(dossier, "rules")} == {"PASSED"}
    assert all(each["in_dossier"] for each in rows(dossier, "evidence"))
    inventory = story.make("inventory", tmp_path / "inventory.json", *story.offline)
    assert [(each["owner"], each["risk_tier"], each["live"]) for each in rows(inventory, "owners")] == [
        ("fraud team", "high", 1),
        ("risk-team", "high", 0),
    ]
    exceptions = story.make("exceptions", tmp_path / "exceptions.json", *story.offline)
    (denial,) = rows(exceptions, "denials")
    assert (denial["environment"], denial["version"]) == ("staging", "risk/fraud@2")
    assert denial["failed_rules"]
    live = story.make("live", tmp_path / "live.json", *story.offline)
    (span,) = rows(live, "aliases")
    assert (span["environment"], span["alias"], span["promotion"]) == (
        "prod",
        "risk/fraud@champion",
        story.promotion,
    )
    governance = story.make("governance", tmp_path / "governance.json", *story.offline)
    signed = {each["environment"]: each["signed_by"] for each in rows(governance, "documents")}
    assert signed == {"dev": [], "prod": ["bob", "carol"], "staging": []}
    at = story.make("at", tmp_path / "at.json", *story.offline)
    (was_live,) = rows(at, "live")
    assert (was_live["version"], was_live["promotion"]) == ("risk/fraud@1", story.promotion)


def test_the_change_population_counts_every_entry_of_every_tree(story, tmp_path):
    changes = story.make("changes", tmp_path / "changes.json", *story.offline)
    logs = {each["environment"]: each["count"] for each in value_of(changes)["logs"]}
    coverage = {each["environment"]: each for each in rows(changes, "coverage")}
    found = rows(changes, "changes")
    for name, count in logs.items():
        told = coverage[name]
        assert (told["entries"], told["in_period"], told["first_entry"]) == (count, count, 0)
        assert told["changes"] == sum(1 for each in found if each["environment"] == name)
        assert told["changes"] + told["others"] == count
    assert {each["authorisation"] for each in found if each["type"] == "alias.moved"} == {
        next(
            each["authorisation"]
            for each in found
            if each["type"] == "version.admitted" and each["environment"] == "prod"
        )
    }


def test_the_same_logs_give_the_same_report_but_for_the_time(story, tmp_path):
    first, second = (
        value_of(story.make("changes", tmp_path / name, *story.offline)) for name in ("a.json", "b.json")
    )
    assert first.pop("generated_at") != second.pop("generated_at")
    assert canonical_json(first) == canonical_json(second)


def test_a_report_of_the_registries_verifies_against_them_after_they_went_on(story, tmp_path, capsys):
    out = story.make("drift", tmp_path / "drift.json")
    assert [each["differences"] for each in rows(out, "observed-registries")] == [0, 0, 0]
    assert rows(out, "observed-differences") == []
    with story.federation.client("dave") as operator:
        operator.set_alias("dev/risk/fraud@newest", 1)
    capsys.readouterr()
    assert story.run("audit", "verify", "--report", out, "-o", "json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["ok"], verdict["observed"]) == (True, ["observed-registries", "observed-differences"])


def test_the_tables_are_shown_where_no_form_is_wanted(story, capsys):
    assert story.run(*story.asking("duties"), *story.offline) == 0
    page = capsys.readouterr().out
    assert "People and their parts" in page
    assert "carol" in page
    assert "A conflict is:" in page


def test_one_json_object_on_stdout_is_the_signed_report(story, tmp_path, capfdbinary):
    for form in (("-o", "json"), ("--format", "json")):
        assert story.run(*story.asking("health"), *story.offline[:2], *form) == 0
        out = tmp_path / "report.json"
        out.write_bytes(capfdbinary.readouterr().out)
        assert story.run("audit", "verify", "--report", out, *story.offline[:2]) == 0
        assert b"signed by" in capfdbinary.readouterr().out


def test_each_drawing_is_written_where_it_is_wanted(story, tmp_path, capsys):
    for name, begins in (("duties.html", b"<!"), ("duties.pdf", b"%PDF-")):
        assert story.make("duties", tmp_path / name, *story.offline).read_bytes()[:8].startswith(begins)
    folder = story.make("duties", tmp_path / "csv", *story.offline, "--format", "csv")
    assert any("carol" in each.read_text() for each in folder.iterdir())
    capsys.readouterr()
    assert story.run("audit", "verify", "--report", tmp_path / "duties.pdf", *story.offline) == 6
    assert "Only the JSON of a report can be verified" in capsys.readouterr().err
    assert story.run(*story.asking("duties"), *story.offline, "--format", "csv") == 2


def test_what_is_no_json_object_cannot_be_asked_for_as_one(story, capsys):
    assert story.run(*story.asking("health"), *story.offline, "-o", "json", "--format", "csv") == 2
    assert story.run("audit", "verify", "--report", "x.json", "--environment", "dev", *story.offline) == 2
    assert story.run("audit", "verify", "--report", "x.json", *story.offline) == 2
    assert "x.json cannot be read" in capsys.readouterr().err


def test_an_identity_without_a_key_makes_an_unsigned_report_and_is_warned(story, tmp_path, capsys):
    key = story.federation.folder / "identities" / "dave" / "signing-key.pem"
    out = tmp_path / "report.json"
    hidden = key.rename(key.with_suffix(".away"))
    try:
        assert story.run(*story.asking("health"), *story.offline, "--out", out) == 0
    finally:
        hidden.rename(key)
    assert "nobody signed the report" in capsys.readouterr().err
    assert json.loads(out.read_bytes())["schema"] == "carnet.report/v1"
    assert story.run("audit", "verify", "--report", out, *story.offline) == 0
    assert "NOBODY" in capsys.readouterr().out


def test_without_a_federation_a_report_is_made_and_verified_from_files_alone(
    story, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("CARNET_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "report.json"
    assert main(["audit", "report", "changes", *story.offline, "--out", str(out)]) == 0
    assert main(["audit", "verify", "--report", str(out), *story.offline]) == 0


def test_rows_that_were_changed_are_named_even_where_somebody_pinned_signed_them(story, tmp_path, capsys):
    out = story.make("changes", tmp_path / "report.json", *story.offline)
    value = value_of(out)
    (changes,) = [each for each in value["tables"] if each["name"] == "changes"]
    changes["rows"][5][4] = "mallory"
    del changes["rows"][7]
    with story.federation.client("dave") as auditor:
        key = auditor.identity.signing_key()
    out.write_bytes(sign_payload(canonical_json(value), REPORT_PAYLOAD_TYPE, key).to_bytes())
    capsys.readouterr()
    assert story.run("audit", "verify", "--report", out, *story.offline, "-o", "json") == 6
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [(each["table"], each["row"]) for each in found] == [
        ("changes", 6),
        ("changes", None),
        ("changes", None),
    ]
    assert "mallory" in found[0]["message"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[: len(data) // 2], "JSON"),
        (lambda data: data.replace(b'"payload":"', b'"payload":"AAAA', 1), "signature"),
        (lambda data: b"environment,entry\r\nprod,1\r\n", "Only the JSON of a report can be verified"),
        (lambda data: b"", "Only the JSON of a report can be verified"),
    ],
)
def test_a_file_that_is_no_report_is_refused_with_what_is_wrong(story, tmp_path, capsys, spoil, said):
    out = story.make("health", tmp_path / "report.json", *story.offline)
    out.write_bytes(spoil(out.read_bytes()))
    capsys.readouterr()
    assert story.run("audit", "verify", "--report", out, *story.offline) == 6
    assert said in capsys.readouterr().err


def test_there_is_no_report_of_an_edited_log_but_one_that_says_so(story, tmp_path, capsys):
    export = tmp_path / "export"
    shutil.copytree(story.export, export)
    tile = next((export / "prod" / "tile" / "entries").rglob("*.p/*"))
    tile.write_bytes(tile.read_bytes().replace(b'"champion"', b'"xhampion"', 1))
    where = ("--offline", export, *story.offline[2:])
    out = tmp_path / "report.json"
    assert story.run(*story.asking("changes"), *where, "--out", out) == 6
    assert "no report was made" in capsys.readouterr().out
    assert not out.exists()
    assert story.run(*story.asking("changes"), *where, "--out", out, "--despite-findings") == 6
    value = value_of(out)
    assert value["completeness"][0].startswith("THE LOGS DO NOT VERIFY")
    assert "Nothing is told of prod: its log is not intact." in value["completeness"]
    assert {row[0] for row in rows_of(value, "changes")} == {"dev", "staging"}
    assert any((row[0], row[2]) == ("tampered", "prod") for row in rows_of(value, "findings"))
    assert story.run("audit", "verify", "--report", out, *where) == 6


def rows_of(value, name):
    return next(each["rows"] for each in value["tables"] if each["name"] == name)


def test_what_is_asked_wrongly_is_usage_and_what_is_not_there_is_not_found(story):
    assert story.run("audit", "report", "dossier", *story.offline) == 2
    assert story.run("audit", "report", "everything", *story.offline) == 2
    assert story.run("audit", "report", "health", "--from", "2026-01-01", *story.offline) == 2
    assert story.run("audit", "report", "changes", "--from", "yesterday", *story.offline) == 2
    assert story.run("audit", "report", "dossier", "--promotion", "0" * 32, *story.offline) == 3
    assert story.run("audit", "report", "changes", "--environment", "qa", *story.offline) == 3
    assert story.run("audit", "at", "1999-01-01", "prod/risk/fraud@champion", *story.offline) == 3
    assert story.run("audit", "at", NOW, "prod/risk/fraud@1", *story.offline) == 2


def test_a_moment_between_two_moves_tells_what_was_live_then(story, tmp_path):
    live = story.make("live", tmp_path / "live.json", *story.offline)
    (span,) = [each for each in rows(live, "aliases") if each["environment"] == "prod"]
    out = tmp_path / "at.json"
    asked = ("audit", "at", span["from"], "prod/risk/fraud@champion", *story.offline, "--out", out)
    assert story.run(*asked) == 0
    assert [each["bundle_digest"] for each in rows(out, "live")] == [span["bundle_digest"]]
    assert value_of(out)["query"]["at"] == span["from"]


def test_a_registry_whose_tables_were_edited_answers_otherwise_than_its_log_says(story, tmp_path):
    with story.federation.client("dave") as operator:
        operator.set_alias("dev/risk/fraud@edited", 1)
    edit = "UPDATE aliases SET version = ? WHERE alias = 'edited'"
    database = sqlite3.connect(story.federation.database("dev"), timeout=10)
    with contextlib.closing(database):
        with database:
            database.execute(edit, (2,))
        try:
            out = story.make("drift", tmp_path / "drift.json")
        finally:
            with database:
                database.execute(edit, (1,))
    (found,) = rows(out, "observed-differences")
    assert (found["environment"], found["what"]) == ("dev", "alias risk/fraud@edited")
    assert (found["log_says"][:2], found["registry_says"][:2]) == ("1,", "2,")
    assert found["after_checkpoint"] is False
