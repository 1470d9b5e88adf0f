"""The command line as scripts and people meet it: the real executable against real processes.

Every command is run for its page and for its one JSON object; exit codes are those of the table.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
import pytest

from carnet.cli.application import SECTIONS, build
from carnet.cli.contributed import KNOWN
from carnet.cli.main import main
from carnet_server.local.processes import processes_of
from tests.support.bundles import make_bundle_directory
from tests.support.federation import CARNET, LocalFederation

GOOD = {
    "suite": "evaluation",
    "result": "PASSED",
    "metrics": [
        {"name": "roc_auc", "value": 0.99, "direction": "higher_is_better"},
        {"name": "recall", "value": 0.97, "direction": "higher_is_better"},
    ],
}
WEAK = GOOD | {"metrics": [GOOD["metrics"][0] | {"value": 0.6}, GOOD["metrics"][1]]}


@pytest.fixture
def json_of(federation, monkeypatch, capsys):
    """Run a command with ``-o json`` in this process, and insist on exactly one object on stdout."""

    def run(*arguments: str, identity: str = "ci", check: int = 0) -> dict:
        monkeypatch.setenv("CARNET_DIR", str(federation.folder))
        monkeypatch.setenv("CARNET_IDENTITY", identity)
        capsys.readouterr()
        code = main([*arguments, "-o", "json"])
        said = capsys.readouterr()
        assert code == check, f"exit {code}\n{said.out}\n{said.err}"
        assert said.out.count("\n") == 1, said.out
        assert "\x1b" not in said.out + said.err
        answer = json.loads(said.out)
        assert isinstance(answer, dict)
        return answer

    return run


@pytest.fixture
def file(tmp_path):
    def write(value) -> str:
        path = tmp_path / "result.json"
        path.write_text(json.dumps(value))
        return str(path)

    return write


@dataclass
class Lived:
    """A model with a whole life: versions 1 and 2 in prod, and version 3 that waits for approvals."""

    admitted: str
    waiting: str


@pytest.fixture(scope="module")
def lived(federation, tmp_path_factory) -> Lived:
    folder = tmp_path_factory.mktemp("lived")
    _, admitted = (admit_to_prod(federation, folder, "cli/lived", number) for number in (1, 2))
    return Lived(admitted, promote_to_prod(federation, folder, "cli/lived", 3))


def promote_to_prod(federation, folder: Path, model: str, number: int = 1, *, loads: bool = False) -> str:
    """Bring a new version to prod's door; returns the promotion that waits for approvals."""
    federation.to_staging(federation.publish(folder, model, seed=number), alias="champion")
    staged = f"staging/{model}@{number}"
    federation.test_integration(staged)
    if loads:
        federation.smoke_test(staged)
    with federation.client("ci") as ci:
        promotion = ci.promote(staged, "prod", alias="champion").id
        assert federation.wait_for_dossier(ci, promotion).state == "AWAITING"
    return promotion


def admit_to_prod(federation, folder: Path, model: str, number: int, *, loads: bool = False) -> str:
    """Bring a new version into prod, as its champion; returns the promotion."""
    promotion = promote_to_prod(federation, folder, model, number, loads=loads)
    federation.approve(promotion, "bob", "carol")
    with federation.client("ci") as ci:
        assert ci.wait(promotion, timeout=60).state == "SUCCEEDED"
    return promotion


# --- what only looks --------------------------------------------------------------------------------------

LOOKING = {
    "ls": (("ls",), "ci", "models", "dev/cli/lived"),
    "ls environment": (("ls", "prod"), "ci", "models", "prod/cli/lived"),
    "ls namespace": (("ls", "dev/cli"), "ci", "models", "dev/cli/lived"),
    "ls empty namespace": (("ls", "dev/nobody-is-here"), "ci", "models", "no models here yet"),
    "ls model": (("ls", "staging/cli/lived"), "ci", "versions", "staging/cli/lived@3"),
    "show model": (("show", "prod/cli/lived"), "bob", "model", "champion"),
    "show version": (("show", "dev/cli/lived@1"), "ci", "version", "risk-team"),
    "show alias": (("show", "prod/cli/lived@champion"), "bob", "alias", "prod/cli/lived@2"),
    "compare": (("compare", "prod/cli/lived@champion", "dev/cli/lived@1"), "ci", "metrics", "roc_auc"),
    "verify": (("verify", "prod/cli/lived@champion"), "ci", "subject", "whole and signed"),
    "evidence ls": (("evidence", "ls", "staging/cli/lived@1"), "ci", "evidence", "integration"),
    "promotions ls": (("promotions", "ls"), "ci", "promotions", "SUCCEEDED"),
    "promotions ls active": (("promotions", "ls", "--active"), "ci", "promotions", "AWAITING"),
    "alias ls": (("alias", "ls", "prod/cli/lived"), "ci", "aliases", "prod/cli/lived@champion"),
    "alias history": (("alias", "history", "prod/cli/lived@champion"), "ci", "moves", "admitted"),
    "alias watch": (
        ("alias", "watch", "prod/cli/lived@champion", "--count", "1"),
        "ci",
        "reference",
        "version 2",
    ),
    "environments": (("environments",), "bob", "environments", "approver"),
    "audit verify": (("audit", "verify"), "dave", "environments", "found nothing wrong"),
    "audit verify one": (("audit", "verify", "--environment", "prod"), "dave", "ok", "prod"),
    "status": (("status",), "ci", "processes", "serving"),
}


@pytest.mark.parametrize(("arguments", "identity", "key", "text"), LOOKING.values(), ids=LOOKING)
def test_looking_gives_a_page_or_one_object(federation, json_of, lived, arguments, identity, key, text):
    page = federation.cli(*arguments, identity=identity)
    assert text in page.stdout
    assert not page.stdout.startswith("{")
    assert key in json_of(*arguments, identity=identity)


def test_a_version_is_shown_with_everything_about_it(json_of, lived):
    found = json_of("show", "prod/cli/lived@champion")
    assert found["version"]["reference"] == "prod/cli/lived@2"
    assert found["version"]["promotion"] == lived.admitted
    assert found["version"]["source"] == "staging"
    assert found["aliases"] == ["champion"]
    assert found["manifest"]["version"] == 2
    assert found["receipt"]["type"] == "alias.moved"
    assert {"integration", "evaluation", "decision"} >= {
        each["suite"] or "decision" for each in found["evidence"]
    }


def test_a_promotion_is_shown_with_its_events_rules_and_next_commands(federation, json_of, lived):
    ended = json_of("promotions", "show", lived.admitted)
    assert (ended["state"], ended["ended"], ended["next"]) == ("SUCCEEDED", True, [])
    assert ended["events"][0]["state"] == "PENDING"
    assert {rule["status"] for rule in ended["rules"]} == {"PASSED"}
    waiting = json_of("promotions", "show", lived.waiting)
    (awaited,) = [rule for rule in waiting["rules"] if rule["status"] == "AWAITING"]
    assert awaited["awaits_people"]
    assert waiting["next"][0].startswith(f"carnet approve {lived.waiting} --reason")
    page = federation.cli("promotions", "show", lived.waiting).stdout
    assert f"next: {waiting['next'][0]}" in page


def test_following_a_promotion_that_ended_tells_its_end(federation, json_of, lived):
    page = federation.cli("promotions", "watch", lived.admitted)
    assert "prod admitted cli/lived@2 as champion" in page.stdout
    assert json_of("promotions", "watch", lived.admitted)["state"] == "SUCCEEDED"
    still = json_of("promotions", "watch", lived.waiting, "--timeout", "1s", check=5)
    assert still["state"] == "AWAITING"


# --- versions ---------------------------------------------------------------------------------------------


def test_a_folder_is_pushed_once(federation, json_of, tmp_path):
    folder = str(make_bundle_directory(tmp_path))
    first = federation.cli("push", "dev/cli/pushed", folder)
    assert "dev/cli/pushed@1 published" in first.stdout
    assert "carnet attest dev/cli/pushed@1" in first.stdout
    before = federation.changes("dev")
    again = json_of("push", "dev/cli/pushed", folder)
    assert (again["reference"], again["already_published"]) == ("dev/cli/pushed@1", True)
    said = federation.cli("push", "dev/cli/pushed", folder).stdout
    assert "was published before, nothing was changed" in said
    assert federation.changes("dev") == before
    other = make_bundle_directory(tmp_path, seed=1)
    (other / "carnet.yaml").rename(tmp_path / "described.yaml")
    second = json_of("push", "dev/cli/pushed", str(other), "--manifest", str(tmp_path / "described.yaml"))
    assert (second["reference"], second["already_published"]) == ("dev/cli/pushed@2", False)


def test_a_version_is_pulled_whole_and_verified_on_disk(federation, json_of, lived, tmp_path):
    target = tmp_path / "serving"
    pulled = federation.cli("pull", "prod/cli/lived@champion", "--to", str(target), identity="bob")
    assert "prod/cli/lived@2 pulled and verified" in pulled.stdout
    assert {"manifest.json", "model.sig", "model.bin"} <= {path.name for path in target.iterdir()}
    again = json_of("pull", "prod/cli/lived@champion", "--to", str(target), identity="bob")
    assert again["already_there"]
    assert json_of("verify", str(target))["subject"] == "dev/cli/lived@2"
    with (target / "model.bin").open("r+b") as file:
        file.write(b"\x00")
    broken = federation.cli("verify", str(target), check=6)
    assert "model.bin" in broken.stderr
    assert broken.stdout == ""


def test_a_revoked_version_is_revoked_for_good(federation, json_of, tmp_path):
    for seed in (1, 2):
        federation.publish(tmp_path, "cli/revoked", seed=seed)
    refused = federation.cli("revoke", "dev/cli/revoked@1", "--reason", "leak", identity="evaluator", check=4)
    assert "operator" in refused.stderr
    assert "is revoked" in federation.cli("revoke", "dev/cli/revoked@1", "--reason", "leak").stdout
    revoked = json_of("revoke", "dev/cli/revoked@2", "--reason", "leak", identity="dave")
    assert revoked["version"]["stage"] == "revoked"
    assert "revoked" in json_of("alias", "set", "dev/cli/revoked@shadow", "1", check=7)["error"]


# --- evidence and promotion -------------------------------------------------------------------------------


def test_evidence_is_attested_and_listed(federation, json_of, file, tmp_path):
    federation.publish(tmp_path, "cli/attested")
    attest = ("attest", "dev/cli/attested@1", "--type", "test-result", "--file", file(GOOD))
    page = federation.cli(*attest, identity="evaluator")
    assert "evaluation attested" in page.stdout
    weak = file(WEAK | {"result": "FAILED"})
    failed = json_of("attest", "dev/cli/attested@1", "--file", weak, identity="evaluator")
    assert (failed["evidence"]["result"], failed["evidence"]["trusted"]) == ("FAILED", True)
    bare = file({"metrics": []})
    given = ("--suite", "evaluation", "--result", "WARNED")
    assert (
        json_of("attest", "dev/cli/attested@1", "--file", bare, *given, identity="evaluator")["evidence"][
            "result"
        ]
        == "WARNED"
    )
    listed = json_of("evidence", "ls", "dev/cli/attested@1")["evidence"]
    assert sorted(each["result"] for each in listed if each["suite"]) == ["FAILED", "PASSED", "WARNED"]


def test_a_dry_run_tells_what_is_missing_and_stores_nothing(federation, json_of, file, tmp_path):
    federation.publish(tmp_path, "cli/rehearsed")
    promote = ("promote", "dev/cli/rehearsed@1", "--to", "staging", "--dry-run")
    page = federation.cli(*promote, check=5)
    assert "nothing was stored" in page.stdout
    assert "no evaluation attestation" in page.stdout
    awaited = json_of(*promote, check=5)
    assert {rule["rule"] for rule in awaited["rules"] if rule["status"] == "AWAITING"} >= {"evaluation"}
    federation.cli("attest", "dev/cli/rehearsed@1", "--file", file(GOOD), identity="evaluator")
    assert "staging would admit it" in federation.cli(*promote).stdout
    assert {rule["status"] for rule in json_of(*promote)["rules"]} == {"PASSED"}
    assert json_of("ls", "staging/cli")["models"] is not None
    promotions = json_of("promotions", "ls", "--limit", "1000")["promotions"]
    assert not [each for each in promotions if each["reference"] == "dev/cli/rehearsed@1"]


def test_a_dry_run_that_awaits_only_people_is_a_yes(federation, lived):
    page = federation.cli("promote", "staging/cli/lived@3", "--to", "prod", "--dry-run")
    assert "prod would wait for what is awaited above" in page.stdout


def test_a_wait_ends_at_its_timeout_with_what_is_awaited(federation, json_of, tmp_path):
    federation.publish(tmp_path, "cli/waiting")
    promote = ("promote", "dev/cli/waiting@1", "--to", "staging", "--wait", "--timeout", "1s")
    page = federation.cli(*promote, check=5)
    assert "no evaluation attestation" in page.stdout
    assert "next: carnet promotions watch" in page.stdout
    waiting = json_of(*promote, check=5)
    assert (waiting["state"], waiting["ended"]) == ("AWAITING", False)
    federation.evaluate("dev/cli/waiting@1")
    assert json_of("promotions", "watch", waiting["id"], "--timeout", "30s")["state"] == "SUCCEEDED"


def test_a_wait_for_a_weak_model_ends_with_the_rule_that_refused_it(federation, json_of, file, tmp_path):
    federation.publish(tmp_path, "cli/weak")
    federation.cli("attest", "dev/cli/weak@1", "--file", file(WEAK), identity="evaluator")
    promote = ("promote", "dev/cli/weak@1", "--to", "staging", "--alias", "champion", "--wait")
    page = federation.cli(*promote, check=5)
    assert "rejected by staging's policy" in page.stdout
    assert "roc-auc-floor" in page.stdout
    assert "0.6" in page.stdout
    refused = json_of(*promote, check=5)
    assert refused["state"] == "REJECTED"
    (failed,) = [rule for rule in refused["rules"] if rule["status"] == "FAILED"]
    assert failed["rule"] == "roc-auc-floor"
    assert failed["remedy"]


def test_a_good_model_is_promoted_in_one_command(federation, tmp_path):
    reference = federation.publish(tmp_path, "cli/good")
    federation.evaluate(reference)
    done = federation.cli("promote", str(reference), "--to", "staging", "--alias", "champion", "--wait")
    assert "admitted: staging/cli/good@1, and champion points at it" in done.stdout
    for state in ("PENDING", "CHECKING", "TRANSFERRING", "ADMITTING", "SUCCEEDED"):
        assert state in done.stdout


def test_a_promotion_is_cancelled_for_good(federation, json_of, tmp_path):
    federation.publish(tmp_path, "cli/cancelled")
    identifiers = [json_of("promote", "dev/cli/cancelled@1", "--to", "staging")["id"] for _ in range(2)]
    page = federation.cli("promotions", "cancel", identifiers[0], "--reason", "wrong version")
    assert "cancelled" in page.stdout
    assert json_of("promotions", "cancel", identifiers[1], "--reason", "too")["state"] == "CANCELLED"
    assert "FAILED" in json_of("promotions", "retry", identifiers[0], check=7)["error"]
    assert json_of("promotions", "watch", identifiers[0], check=5)["state"] == "CANCELLED"


def test_retrying_is_for_what_failed(federation, lived):
    refused = federation.cli("promotions", "retry", lived.admitted, check=7)
    assert "only one that is FAILED can be retried" in refused.stderr


# --- people -----------------------------------------------------------------------------------------------


def test_approvers_see_what_they_sign_and_two_of_them_admit(federation, json_of, tmp_path):
    promotion = promote_to_prod(federation, tmp_path, "cli/approved")
    reason = ("--reason", "in order")
    asked = federation.cli("approve", promotion, *reason, identity="bob", check=2)
    assert "add --yes" in asked.stderr
    page = federation.cli("approve", promotion, *reason, "--yes", identity="bob")
    for shown in (
        promotion,
        "dev/cli/approved@1",
        "recomputed from the manifest",
        "signed by prod",
        "roc_auc",
    ):
        assert shown in page.stdout
    assert "approved, and written down by prod" in page.stdout
    reviewed = json_of("approve", promotion, *reason, "--yes", "--reviewed", identity="carol")
    assert (reviewed["approval"]["meaning"], reviewed["approval"]["target"]) == ("reviewed", "prod")
    withdrawn = json_of("withdraw", promotion, *reason, "--yes", identity="bob")
    assert withdrawn["approval"]["meaning"] == "withdrawn"
    for name in ("bob", "carol"):
        federation.cli("approve", promotion, *reason, "--yes", "--target", "prod", identity=name)
    assert json_of("promotions", "watch", promotion, "--timeout", "30s")["state"] == "SUCCEEDED"


def test_nobody_approves_their_own_work_or_without_the_role(federation, lived):
    own = federation.cli("approve", lived.waiting, "--reason", "mine", "--yes", identity="alice", check=4)
    assert "alice published this version" in own.stderr
    other = federation.cli("approve", lived.waiting, "--reason", "x", "--yes", identity="dave", check=4)
    assert "approver" in other.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_rejection_ends_a_promotion(federation, json_of, tmp_path, form):
    promotion = promote_to_prod(federation, tmp_path, f"cli/rejected-{form}")
    reject = ("reject", promotion, "--reason", "drift on new customers", "--yes")
    if form == "text":
        assert "rejected, and written down by prod" in federation.cli(*reject, identity="carol").stdout
    else:
        assert json_of(*reject, identity="carol")["approval"]["meaning"] == "rejected"
    ended = json_of("promotions", "watch", promotion, "--timeout", "30s", check=5)
    assert ended["state"] == "REJECTED"
    assert "carol" in ended["message"]


# --- aliases ----------------------------------------------------------------------------------------------


def test_an_alias_lives_its_life(federation, json_of, tmp_path):
    for seed in (1, 2):
        federation.publish(tmp_path, "cli/aliased", seed=seed)
    alias = "dev/cli/aliased@challenger"
    page = federation.cli("alias", "set", alias, "1", "--expected-revision", "0", "--note", "first")
    assert f"{alias} points at version 1" in page.stdout
    moved = json_of("alias", "set", alias, "2", "--expected-revision", "1")
    assert (moved["alias"]["version"], moved["alias"]["revision"]) == (2, 2)
    conflict = federation.cli("alias", "set", alias, "1", "--expected-revision", "1", check=7)
    assert "revision 2" in conflict.stderr
    moves = json_of("alias", "history", alias)["moves"]
    assert [(each["old_version"], each["new_version"], each["note"]) for each in moves] == [
        (1, 2, ""),
        (0, 1, "first"),
    ]
    assert "is removed" in federation.cli("alias", "rm", alias, "--expected-revision", "2").stdout
    assert json_of("alias", "ls", "dev/cli/aliased")["aliases"] == []
    assert "no aliases here yet" in federation.cli("alias", "ls", "dev/cli/aliased").stdout
    federation.cli("alias", "set", alias, "1")
    assert json_of("alias", "rm", alias)["removed"] == alias


def test_a_protected_alias_moves_by_promotion_or_rollback_only(federation, json_of, tmp_path):
    for number in (1, 2):
        admit_to_prod(federation, tmp_path, "cli/rolled", number, loads=number == 1)
    champion = "prod/cli/rolled@champion"
    refused = federation.cli("alias", "set", champion, "1", identity="dave", check=5)
    assert "carnet promote" in refused.stderr
    reason = ("--reason-code", "metric-degradation")
    assert "operator" in json_of("rollback", "prod/cli/rolled", *reason, check=4)["error"]
    assert "--reason-code" in json_of("rollback", "prod/cli/rolled", identity="dave", check=2)["error"]
    page = federation.cli("rollback", "prod/cli/rolled", *reason, "--note", "recall fell", identity="dave")
    assert f"{champion} points at version 1, back from version 2" in page.stdout
    moves = json_of("alias", "history", champion)["moves"]
    assert (moves[0]["kind"], moves[0]["reason_code"], moves[0]["note"], moves[0]["new_version"]) == (
        "rolled_back",
        "metric-degradation",
        "recall fell",
        1,
    )
    never = json_of("rollback", champion, *reason, "--to", "9", identity="dave", check=7)
    assert "never pointed at version 9" in never["error"]
    untested = json_of("rollback", champion, *reason, "--to", "2", identity="dave", check=7)
    assert "version 2 holds no smoke test by a signer who is trusted here" in untested["error"]
    accepted = ("--without-smoke-test", "--note", "on fire")
    again = json_of("rollback", champion, *reason, "--to", "2", *accepted, identity="dave")
    assert (again["alias"]["version"], again["rolled_back_version"]) == (2, 1)
    assert json_of("alias", "history", champion)["moves"][0]["accepted_untested"]
    assert "without a smoke test: on fire" in federation.cli("alias", "history", champion).stdout


# --- audit ------------------------------------------------------------------------------------------------


def test_an_export_is_verified_without_a_server_and_an_edit_is_found(federation, json_of, lived, tmp_path):
    export = tmp_path / "export"
    page = federation.cli("audit", "export", str(export), "--environment", "dev", identity="dave")
    assert "next: carnet audit verify --offline" in page.stdout
    whole = json_of("audit", "export", str(tmp_path / "whole"), identity="dave")
    assert set(whole["entries"]) == {"dev", "staging", "prod"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(federation.folder / "federation.yaml", elsewhere)
    verify = ("audit", "verify", "--offline", str(tmp_path / "whole"))
    assert json_of(*verify, "--dir", str(elsewhere))["ok"]
    assert "found nothing wrong" in federation.cli(*verify).stdout
    documents = [
        path for path in (tmp_path / "whole").rglob("*") if path.is_file() and path.stat().st_size > 500
    ]
    victim = max(documents, key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    found = json_of(*verify, check=6)
    assert not found["ok"]
    assert found["findings"][0]["verdict"]
    assert "the audit failed" in federation.cli(*verify, check=6).stdout


def test_auditing_is_for_auditors(federation):
    assert "auditor" in federation.cli("audit", "verify", check=4).stderr


# --- a federation of one's own ----------------------------------------------------------------------------


def test_a_federation_is_made_started_found_and_stopped(federation, json_of, tmp_path):
    folder = tmp_path / "carnet"
    made = federation.cli("init", str(folder), "--base-port", "0")
    assert f"carnet up --dir {folder}" in made.stdout
    assert "is there already" in federation.cli("init", str(folder), check=7).stderr
    stopped = json_of("status", "--dir", str(folder), check=8)
    assert {each["state"] for each in stopped["processes"]} == {"stopped"}
    assert "carnet up" in federation.cli("status", "--dir", str(folder), check=8).stderr
    up = subprocess.Popen(
        [CARNET, "up", "--dir", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert up.stderr.readline().startswith("Press Ctrl-C"), up.stderr.read()
        assert {each["state"] for each in json_of("--dir", str(folder), "status")["processes"]} == {"serving"}
        dev = next(process for process in processes_of(folder) if process.name == "dev")
        os.kill(dev.pid(), signal.SIGKILL)
        assert up.stderr.readline().startswith("dev ended; see ")
        again = json_of("up", "--dir", str(folder), "--detach")
        assert {each["state"] for each in again["processes"]} == {"serving"}
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=40)
    finally:
        up.kill()
        up.communicate()
    assert up.returncode == 0
    assert [process.pid() for process in processes_of(folder)] == [None] * 4
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(folder) in str(each.info["cmdline"])]
    assert "Nothing was running." in federation.cli("down", "--dir", str(folder)).stdout
    assert json_of("down", "--dir", str(folder)) == {"stopped": []}


def test_a_federation_in_the_background_is_stopped_by_another_command(federation, json_of, tmp_path):
    made = json_of("init", str(tmp_path / "carnet"), "--base-port", "0")
    assert sorted(made["processes"]) == ["dev", "prod", "staging", "sync"]
    elsewhere = LocalFederation(tmp_path / "carnet")
    assert "serving" in elsewhere.cli("up", "--detach").stdout
    watching = subprocess.Popen(
        [CARNET, "up", "--dir", str(elsewhere.folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stderr.readline().startswith("Press Ctrl-C")
        assert elsewhere.cli_json("ls") == {"models": []}
    finally:
        stopped = elsewhere.cli_json("down")["stopped"]
        _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said) == (0, ""), "what is stopped by another command is not started again"
    assert stopped[0] == "sync"
    assert sorted(stopped) == ["dev", "prod", "staging", "sync"]


# --- errors, help, terminals ------------------------------------------------------------------------------

REFUSED = {
    "no such command": (("nope",), 2, "there is no command 'nope'"),
    "nearly a command": (("promot", "x"), 2, "Did you mean 'promote'?"),
    "nothing at all": ((), 2, "Usage: carnet"),
    "unknown option": (("ls", "--all"), 2, "--all"),
    "missing argument": (("push", "dev/cli/lived"), 2, "PATH"),
    "no reference": (("show", "fraud"), 2, "is not a reference"),
    "a model where a version is wanted": (("verify", "dev/cli/lived"), 2, "a version is wanted"),
    "no duration": (("promote", "dev/a/b@1", "--to", "prod", "--timeout", "soon"), 2, "30s, 10m or 1h30m"),
    "no promotion id": (("promotions", "show", "zz"), 2, "32 hexadecimal digits"),
    "no federation": (("ls", "--dir", "/nonexistent"), 2, "carnet init"),
    "unknown identity": (("ls", "--as", "mallory"), 3, "no identity 'mallory'"),
    "unknown environment": (("ls", "nowhere"), 3, "no environment 'nowhere'"),
    "unknown target": (("promote", "dev/cli/lived@1", "--to", "nowhere"), 3, "no environment 'nowhere'"),
    "unknown model": (("show", "dev/cli/absent"), 3, "there is no model cli/absent here"),
    "unknown version": (("show", "dev/cli/lived@99"), 3, "there is no version 99"),
    "unknown alias": (("show", "dev/cli/lived@absent"), 3, "alias 'absent'"),
    "unknown promotion": (("promotions", "show", "0" * 32), 3, "is unknown to this promotion service"),
    "no route": (("promote", "prod/cli/lived@1", "--to", "dev"), 7, "there is no route from 'prod' to 'dev'"),
    "no signing key": (("push", "dev/cli/lived", ".", "--as", "dave"), 2, "carnet.yaml"),
}


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_a_failure_is_told_on_stderr_and_as_one_object(
    federation, json_of, lived, monkeypatch, capsys, arguments, code, message
):
    capsys.readouterr()
    monkeypatch.setenv("CARNET_DIR", str(federation.folder))
    monkeypatch.setenv("CARNET_IDENTITY", "ci")
    assert main(arguments) == code
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, "Traceback" in said.err) == ("", False)
    if arguments:
        told = json_of(*arguments, check=code)
        assert message in told["error"]
        assert told["reason"].isupper()


def test_the_executable_fails_as_the_function_does(federation):
    done = federation.cli("show", "dev/cli/absent", "-o", "json", check=3)
    assert done.stderr == "error: there is no model cli/absent here\n"
    assert json.loads(done.stdout)["reason"] == "NOT_FOUND"


def test_a_traceback_is_for_those_who_ask(federation):
    assert "Traceback" in federation.cli("show", "fraud", "--verbose", check=2).stderr


def test_global_options_are_taken_before_and_behind_a_command(federation):
    before = federation.cli("--as", "bob", "-o", "json", "environments", identity="ci").stdout
    behind = federation.cli("environments", "--as", "bob", "-ojson", identity="ci").stdout
    assert [each["roles"] for each in json.loads(before)["environments"]] == [
        each["roles"] for each in json.loads(behind)["environments"]
    ]
    assert json.loads(before)["environments"][0]["roles"] == ["approver", "breaker"]


def commands(command: click.Command, path: tuple[str, ...] = ()):
    """Every command and group below one, with the words that lead to it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


COMMANDS = {" ".join(path) or "carnet": path for path, _ in commands(build())}
WANTED = {
    "init",
    "up",
    "down",
    "status",
    "demo",
    "push",
    "pull",
    "verify",
    "ls",
    "show",
    "compare",
    "revoke",
    "attest",
    "evidence",
    "promote",
    "promotions",
    "approve",
    "reject",
    "withdraw",
    "alias",
    "rollback",
    "environments",
    "audit",
    "policy",
    "promotions ls",
    "promotions show",
    "promotions watch",
    "promotions cancel",
    "promotions retry",
    "alias set",
    "alias ls",
    "alias history",
    "alias rm",
    "alias watch",
    "audit verify",
    "audit export",
    "evidence ls",
}


def test_every_command_that_scripts_rely_on_is_there():
    assert set(COMMANDS) >= WANTED


@pytest.mark.parametrize("path", COMMANDS.values(), ids=COMMANDS)
def test_every_command_has_help_with_an_example(path, capsys):
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: carnet")
    if not path:
        assert all(name in text for section in SECTIONS.values() for name in section)
        assert all(name in text for name in KNOWN)
        return
    examples = [line.strip() for line in text.splitlines() if line.startswith("    ") and " carnet " in line]
    assert any(line.startswith(f"carnet {' '.join(path)}") for line in examples), "no example"


def test_the_executable_itself_gives_help_and_its_version(federation):
    assert "Exit codes: 0 done" in federation.cli("--help").stdout
    assert federation.cli("-h").stdout == federation.cli("--help").stdout
    assert federation.cli("--version").stdout.startswith("carnet ")


def test_progress_has_bars_on_a_terminal_only(federation, lived, tmp_path):
    pull = ("pull", "prod/cli/lived@1", "--to")
    plain = federation.cli(*pull, str(tmp_path / "plain"))
    assert "\x1b" not in plain.stderr + plain.stdout
    assert plain.stderr.splitlines() == [plain.stderr.strip()]
    terminal, stderr = pty.openpty()
    environment = os.environ | {
        "CARNET_DIR": str(federation.folder),
        "CARNET_IDENTITY": "ci",
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [CARNET, *pull, str(tmp_path / "seen"), "-o", "json"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as command:
        os.close(stderr)
        output = command.stdout.read()
    seen = bytearray()
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(terminal)
    assert command.returncode == 0
    assert b"\x1b[" in seen
    assert json.loads(output)["reference"] == "prod/cli/lived@1"
    assert Path(json.loads(output)["path"]) == tmp_path / "seen"


def test_whoever_stops_reading_is_no_failure_of_ours(federation, lived):
    environment = os.environ | {"CARNET_DIR": str(federation.folder), "CARNET_IDENTITY": "ci"}
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [CARNET, "ls", "-o", "json"], env=environment, stdout=writing, stderr=subprocess.PIPE, text=True
    ) as command:
        os.close(writing)
        said = command.stderr.read()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert command.returncode == 1


@pytest.fixture
def interruptible():
    """What a test starts can be interrupted, also where whoever runs the tests ignores that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_a_wait(federation, lived):
    environment = os.environ | {"CARNET_DIR": str(federation.folder), "CARNET_IDENTITY": "ci"}
    with subprocess.Popen(
        [CARNET, "promotions", "watch", lived.waiting],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert lived.waiting in command.stdout.readline()
        time.sleep(0.2)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "Traceback" not in said
