from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from carnet_policies.commands import policy
from carnet_policies.shipped import shipped_cases, shipped_policy

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: object) -> Result:
    return CliRunner().invoke(policy, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prod.yaml").write_bytes(shipped_policy("prod"))
    (tmp_path / "prod.cases.yaml").write_bytes(shipped_cases("prod"))
    return tmp_path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text("schema: carnet.policy/v1\nenvironment: x\nversion: one\nsources: [dev]\nrules: 7\n")
    return path


def test_a_sound_policy_is_described(folder: Path) -> None:
    result = run("check", folder / "prod.yaml")
    assert result.exit_code == 0
    assert (
        f"✓ {folder / 'prod.yaml'}: prod, version 1, 14 rules, 4 guardrails, retention, digest "
        in result.stdout
    )


def test_every_problem_of_every_file_is_printed(folder: Path, broken: Path) -> None:
    result = run("check", broken, folder / "prod.yaml", folder / "missing.yaml")
    assert result.exit_code == 2
    assert f"{broken}:3:1: version" in result.stdout
    assert f"{broken}:5:1: rules" in result.stdout
    assert "missing.yaml cannot be read" in result.stdout
    assert "prod, version 1" in result.stdout


def test_check_prints_one_json_object(folder: Path, broken: Path) -> None:
    result = run("check", folder / "prod.yaml", broken, "-o", "json")
    assert result.exit_code == 2
    sound, unsound = json.loads(result.stdout)["policies"]
    assert (sound["sound"], sound["environment"], sound["rules"][0]) == (True, "prod", "source")
    assert (sound["guardrails"][0], sound["retention"], sound["quotas"]) == ("error-rate", True, 0)
    assert unsound["sound"] is False
    assert len(unsound["problems"]) == 2


def test_cases_that_pass(folder: Path) -> None:
    result = run("test", folder)
    assert result.exit_code == 0
    assert "✓ everything is there" in result.stdout
    assert "58 passed, 0 failed" in result.stdout


def test_a_case_that_fails_is_shown_with_its_rule(folder: Path) -> None:
    policy_file = folder / "prod.yaml"
    policy_file.write_text(policy_file.read_text().replace("count: 2", "count: 3"))
    result = run("test", policy_file)
    assert result.exit_code == 5
    assert "✗ everything is there" in result.stdout
    assert "approvals: expected PASSED, was AWAITING: 2 of 3 approvals (cleo, dan)" in result.stdout


def test_test_prints_one_json_object(folder: Path) -> None:
    result = run("test", folder / "prod.cases.yaml", "-o", "json")
    assert result.exit_code == 0
    (file,) = json.loads(result.stdout)["files"]
    assert (file["passed"], file["never_refused"], len(file["cases"])) == (True, [], 50)
    assert [each["passed"] for each in file["rollouts"]] == [True] * 8


def test_a_case_of_a_rollout_that_fails_is_shown_with_its_guardrail(folder: Path) -> None:
    policy_file = folder / "prod.yaml"
    policy_file.write_text(policy_file.read_text().replace("max_regression: 0.005", "max_regression: 0.05"))
    result = run("test", policy_file)
    assert result.exit_code == 5
    assert "✗ a challenger that fails twice as often is stopped" in result.stdout
    assert "error-rate: expected BREACHED, was HOLDING: error_rate 0.04 over 4,000 samples" in result.stdout


def test_a_policy_is_explained_without_asking_anybody(folder: Path) -> None:
    result = run("explain", folder / "prod.yaml")
    assert result.exit_code == 0
    assert "prod, version 1, once a version is in\n" in result.stdout
    assert "    error_rate (lower is better) must be at most 0.005 above the champion's\n" in result.stdout
    assert "    kept all the same: the newest 10 archived versions of each model\n" in result.stdout
    told = json.loads(run("explain", folder / "prod.yaml", "-o", "json").stdout)
    assert told["retention"]["purge"]["min_age"] == "2557d"
    assert told["in_words"]["quotas"] == ["no namespace has one"]


def test_explaining_needs_a_policys_file_or_an_environment() -> None:
    result = run("explain", "dev/a/b@1")
    assert "dev/a/b@1 is no policy's file; to ask an environment about a version, name it with --to" in (
        result.stderr
    )


@pytest.mark.parametrize("name", ["missing.cases.yaml", "broken.yaml", "empty"])
def test_cases_that_cannot_be_run_are_malformed_input(folder: Path, broken: Path, name: str) -> None:
    assert broken.exists()
    (folder / "empty").mkdir()
    result = run("test", folder / "prod.yaml", folder / name)
    assert result.exit_code == 2
    assert name.removesuffix(".cases.yaml").removesuffix(".yaml") in result.stdout
    assert "58 passed" in result.stdout


def test_a_rule_that_no_case_refuses_is_told(folder: Path) -> None:
    (folder / "prod.cases.yaml").write_text(
        "schema: carnet.policy-cases/v1\npolicy: prod.yaml\ncases:\n"
        "  - case: nothing\n    facts: {evidence: [], source: staging}\n"
        "    expect: {integration-tests: AWAITING, admitted-to-staging: AWAITING, approvals: AWAITING}\n"
    )
    result = run("test", folder)
    assert result.exit_code == 0
    assert "no case shows a refusal by: source, scope, signature, metadata, " in result.stdout


@pytest.mark.parametrize(
    "arguments", [["check"], ["test"], ["check", "x", "-o", "xml"], ["explain"], ["explain", "dev/a/b@1"]]
)
def test_wrong_usage_is_malformed_input(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
