"""push, pull, verify, ls, show, compare, revoke, attest, evidence, environments."""

from __future__ import annotations

import json

import pytest

from tests.support.bundles import make_bundle_directory


def test_a_push_says_what_it_did_and_a_second_that_it_did_nothing(carnet, tmp_path):
    folder = make_bundle_directory(tmp_path)
    first = carnet("push", "dev/risk/fraud", folder)
    assert (first.code, first.out.splitlines()[0]) == (0, "dev/risk/fraud@1 published")
    assert "hashing" in first.err
    second = carnet("push", "dev/risk/fraud", folder, "-o", "json")
    assert second.json["already_published"] is True
    assert second.json["reference"] == "dev/risk/fraud@1"
    assert second.json["receipt"]["type"] == "version.published"
    assert "published before" in carnet("push", "dev/risk/fraud", folder).out


def test_a_document_with_mistakes_names_file_line_and_field(carnet, tmp_path):
    folder = make_bundle_directory(tmp_path)
    (folder / "carnet.yaml").write_text("owner: me\nmetrics: 3\nfiles: {model.bin: model}\n")
    ran = carnet("push", "dev/risk/fraud", folder, "-o", "json")
    assert ran.code == 2
    assert ran.json["reason"] == "DOCUMENT_INVALID"
    assert "carnet.yaml:2:1: metrics" in ran.json["error"]


def test_a_pull_is_whole_and_pulling_again_changes_nothing(carnet, fraud, tmp_path):
    ran = carnet("pull", "dev/risk/fraud@1", "--to", tmp_path / "fraud")
    assert ran.code == 0
    assert "pulled and verified" in ran.out
    again = carnet("pull", "dev/risk/fraud@1", "--to", tmp_path / "fraud", "-o", "json")
    assert again.json["already_there"] is True
    assert again.json["manifest"]["files"]
    other = carnet("pull", "dev/risk/fraud@1", "--to", tmp_path)
    assert other.code == 7


def test_a_bundle_that_was_tampered_with_is_exit_code_6(carnet, fraud, federation, tmp_path):
    carnet("pull", "dev/risk/fraud@1", "--to", tmp_path / "fraud")
    assert carnet("verify", tmp_path / "fraud").code == 0
    assert carnet("verify", "dev/risk/fraud@1").code == 0
    (tmp_path / "fraud" / "model.bin").write_bytes(b"evil")
    ran = carnet("verify", tmp_path / "fraud", "-o", "json")
    assert ran.code == 6
    assert "model.bin" in ran.json["error"]
    key = next(iter(federation.dev.blobs))
    federation.dev.blobs[key] = b"evil"
    assert carnet("verify", "dev/risk/fraud@1").code == 6
    assert carnet("pull", "dev/risk/fraud@1", "--to", tmp_path / "other").code == 6
    assert not (tmp_path / "other").exists()


def test_lists_for_people_and_for_scripts(carnet, fraud):
    assert "dev/risk/fraud" in carnet("ls").out
    assert "no models here yet" in carnet("ls", "prod").out
    assert carnet("ls", "dev/risk", "-o", "json").json["models"][0]["version_count"] == 1
    (version,) = carnet("ls", "dev/risk/fraud", "-o", "json").json["versions"]
    assert version["bundle_digest"] == fraud.digest
    assert "registered" in carnet("ls", "dev/risk/fraud").out
    assert carnet("ls", "nowhere").code == 3


def test_showing_a_version_shows_what_is_known_of_it(carnet, fraud):
    carnet("alias", "set", "dev/risk/fraud@challenger", "1")
    page = carnet("show", "dev/risk/fraud@1").out
    for word in (fraud.digest, "challenger", "risk-team", "roc_auc", "model.bin", "decision", "registered"):
        assert word in page
    answer = carnet("show", "dev/risk/fraud@challenger", "-o", "json").json
    assert answer["aliases"] == ["challenger"]
    assert answer["evidence"][0]["result"] == "PASSED"
    assert "envelope" not in answer["evidence"][0]
    assert answer["manifest"]["owner"] == "risk-team"
    model = carnet("show", "dev/risk/fraud", "-o", "json").json
    assert model["model"]["latest_version"] == 1
    assert "challenger" in carnet("show", "dev/risk/fraud").out


def test_text_from_elsewhere_does_not_act_on_the_terminal(carnet, federation, fraud):
    def escape(answer):
        answer.models[0].owner = "\x1b[2J[bold]team[/bold]"

    federation.dev.lies["ListModels"] = escape
    page = carnet("ls", "dev").out
    assert "\x1b" not in page
    assert "[bold]team[/bold]" in page


def test_comparing(carnet, federation, fraud, tmp_path):
    federation.publish(tmp_path, seed=2, version=2)
    page = carnet("compare", "dev/risk/fraud@1", "dev/risk/fraud@2").out
    assert "roc_auc" in page
    assert "model.bin" in page
    answer = carnet("compare", "dev/risk/fraud@1", "dev/risk/fraud@2", "-o", "json").json
    assert {each["verdict"] for each in answer["metrics"]} <= {"improved", "regressed"}
    assert "nothing else differs" in carnet("compare", "dev/risk/fraud@1", "dev/risk/fraud@1").out


def test_revoking(carnet, fraud):
    assert "is revoked" in carnet("revoke", "dev/risk/fraud@1", "--reason", "leak").out
    assert carnet("revoke", "dev/risk/fraud", "--reason", "leak").code == 2
    assert carnet("revoke", "dev/risk/fraud@1").code == 2


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(
        json.dumps({"metrics": [{"name": "recall", "value": 0.95, "direction": "higher_is_better"}]})
    )
    return path


def test_attesting_and_listing(carnet, fraud, metrics):
    ran = carnet(
        *("attest", "dev/risk/fraud@1", "--type", "test-result", "--file", metrics),
        *("--suite", "evaluation", "--result", "PASSED", "--as", "evaluator"),
    )
    assert (ran.code, ran.out.splitlines()[0]) == (0, "evaluation attested")
    page = carnet("evidence", "ls", "dev/risk/fraud@1").out
    assert "recall=0.95" in page
    listed = carnet("evidence", "ls", "dev/risk/fraud@1", "-o", "json").json["evidence"]
    assert [each["suite"] for each in listed] == ["", "evaluation"]


def test_attesting_without_a_result_names_the_field(carnet, fraud, metrics):
    ran = carnet("attest", "dev/risk/fraud@1", "--file", metrics, "--suite", "evaluation", "-o", "json")
    assert ran.code == 2
    assert ran.json["metadata"]["field"] == "result"


def test_environments(carnet, federation):
    federation.servers["prod"].stop(None).wait()
    page = carnet("environments").out
    assert "answers" in page
    assert "cannot be reached" in page
    answer = carnet("environments", "-o", "json").json["environments"]
    assert [(each["name"], each["reachable"]) for each in answer] == [
        ("dev", True),
        ("staging", True),
        ("prod", False),
    ]


def test_a_registry_that_is_away_is_exit_code_8(carnet, federation, fraud):
    federation.servers["dev"].stop(None).wait()
    ran = carnet("show", "dev/risk/fraud@1", "-o", "json")
    assert ran.code == 8
    assert ran.json["reason"] == "UNAVAILABLE"
