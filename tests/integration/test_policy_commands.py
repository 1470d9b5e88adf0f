"""Explaining and replaying policies from the command line, over real processes."""

from __future__ import annotations

import pytest

from carnet_policies.shipped import shipped_policy

MODEL = "cli/explained"


@pytest.fixture(scope="module")
def version(federation, tmp_path_factory):
    """A version that is in staging, and that prod asks more for; its promotion to prod waits for people."""
    reference = federation.publish(tmp_path_factory.mktemp("explained"), MODEL)
    assert federation.to_staging(reference).state == "SUCCEEDED"
    return reference.version


def test_what_an_environment_would_say_is_explained_and_nothing_is_stored(federation, version):
    staging = f"staging/{MODEL}@{version}"
    before = federation.changes("prod"), federation.changes("staging")
    asked = ("policy", "explain", staging, "--to", "prod", "--alias", "champion")
    page = federation.cli(*asked, check=5).stdout
    assert "… integration-tests AWAITING" in page
    assert "prod would wait\n" in page
    assert (
        "in an emergency: 2 people could skip integration-tests, approvals, each for 4h at most, to be "
        "reviewed within 3d"
    ) in page
    told = federation.cli_json(*asked, check=5)
    assert (told["outcome"], told["opens_at"], told["target"]) == ("AWAITING", None, "prod")
    assert told["break_glass"]["skips"] == ["integration-tests", "approvals"]
    assert told["break_glass"]["review_overdue"] is None
    waiting = {each["rule"]: each for each in told["rules"]}
    assert waiting["approvals"]["awaits_people"]
    assert not waiting["integration-tests"]["awaits_clock"]
    assert (federation.changes("prod"), federation.changes("staging")) == before
    missing = federation.cli("policy", "explain", f"{staging}9", "--to", "prod", check=3).stderr
    assert f"there is no version {version}9" in missing


def test_past_decisions_are_replayed_under_another_policy(federation, version, tmp_path):
    in_force = tmp_path / "same.yaml"
    in_force.write_bytes(shipped_policy("staging"))
    same = ("policy", "replay", str(in_force), "--environment", "staging")
    assert "0 would be different" in federation.cli(*same, identity="dave").stdout
    stricter = tmp_path / "stricter.yaml"
    stricter.write_bytes(shipped_policy("staging").replace(b"at_least: 0.97", b"at_least: 0.999"))
    before = federation.changes("staging")
    replay = ("policy", "replay", str(stricter), "--environment", "staging")
    page = federation.cli(*replay, identity="dave", check=5).stdout
    (line,) = [line for line in page.splitlines() if f"staging/{MODEL}@{version}" in line]
    assert line.split()[-3:] == ["PASSED", "FAILED", "roc-auc-floor"]
    told = federation.cli_json(*replay, "--limit", "1", identity="dave", check=5)
    assert told["different"] + told["same"] + told["not_replayed"] == 1
    (decision,) = told["decisions"]
    assert (decision["decided"], decision["replayed"]) == ("PASSED", "FAILED")
    assert len(decision["policy_digest"]) == 64
    assert federation.changes("staging") == before


def test_replaying_is_for_auditors_and_for_policies_of_that_environment(federation, version, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_bytes(shipped_policy("staging"))
    asked = ("policy", "replay", str(policy), "--environment")
    assert "auditor" in federation.cli(*asked, "staging", identity="ci", check=4).stderr
    refused = federation.cli(*asked, "prod", identity="dave", check=2).stderr
    assert "environment: is 'staging', and the decisions are prod's" in refused
    policy.write_bytes(shipped_policy("staging").replace(b"metric: recall", b"metrik: recall", 1))
    broken = federation.cli(*asked, "staging", identity="dave", check=2).stderr
    assert f"{policy}:" in broken
    assert "metrik" in broken
