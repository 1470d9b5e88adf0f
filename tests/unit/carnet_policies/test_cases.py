from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carnet.errors import DocumentInvalidError, FileUnreadableError
from carnet_policies.case_forms import FactsForm
from carnet_policies.cases import find_cases, run_cases
from carnet_policies.facts import MetricValue
from carnet_policies.shipped import SHIPPED, shipped_cases, shipped_policy

if TYPE_CHECKING:
    from pathlib import Path

    from carnet_policies.engine import PolicyEngine

POLICY = "schema: carnet.policy/v1\nenvironment: lab\nversion: 1\npublishing: true\nmetadata: {required: [owner]}\n"
CASES = "schema: carnet.policy-cases/v1\npolicy: lab.yaml\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.yaml").write_text(POLICY)
    return tmp_path


def write(folder: Path, cases: str) -> Path:
    path = folder / "lab.cases.yaml"
    path.write_text(CASES + cases)
    return path


@pytest.mark.parametrize("environment", SHIPPED)
def test_the_shipped_cases_pass_and_show_a_refusal_by_every_rule(
    environment: str, engine: PolicyEngine, tmp_path: Path
) -> None:
    (tmp_path / f"{environment}.yaml").write_bytes(shipped_policy(environment))
    path = tmp_path / f"{environment}.cases.yaml"
    path.write_bytes(shipped_cases(environment))
    report = run_cases(path, engine)
    assert [outcome.mismatches for outcome in report.outcomes if not outcome.passed] == []
    assert report.passed
    assert report.never_refused == ()


def test_a_rule_that_is_not_named_must_pass(folder: Path, engine: PolicyEngine) -> None:
    report = run_cases(write(folder, "cases: [{case: none, facts: {without: [owner]}}]"), engine)
    (outcome,) = report.outcomes
    assert not report.passed
    assert outcome.mismatches == ("metadata: expected PASSED, was FAILED: the manifest lacks owner",)


def test_a_rule_that_is_named_must_say_so(folder: Path, engine: PolicyEngine) -> None:
    report = run_cases(write(folder, "cases: [{case: all, expect: {metadata: FAILED}}]"), engine)
    assert report.outcomes[0].mismatches[0].startswith("metadata: expected FAILED, was PASSED")


SCOPED = (
    "schema: carnet.policy/v1\nenvironment: lab\nversion: 1\nsources: [dev]\n"
    "decisions: [{rule: soaked, environment: dev, soak: 2d, when: {aliases: [champion]}}]\n"
)


@pytest.mark.parametrize(
    ("alias", "expected", "mismatch"),
    [
        ("shadow", "NOT_DEMANDED", None),
        ("shadow", "FAILED", "soaked: expected FAILED, and it is not demanded here"),
        ("champion", "AWAITING", None),
        ("champion", "NOT_DEMANDED", "soaked: expected NOT_DEMANDED, was AWAITING: no decision by dev"),
    ],
)
def test_a_case_can_say_that_a_rule_is_not_demanded(
    folder: Path, engine: PolicyEngine, alias: str, expected: str, mismatch: str | None
) -> None:
    (folder / "lab.yaml").write_text(SCOPED)
    case = f"{{case: c, facts: {{source: dev, alias: {alias}}}, expect: {{soaked: {expected}}}}}"
    (outcome,) = run_cases(write(folder, f"cases: [{case}]"), engine).outcomes
    assert outcome.passed is (mismatch is None)
    assert mismatch is None or outcome.mismatches[0].startswith(mismatch)


def test_a_case_can_say_what_time_it_is(folder: Path, engine: PolicyEngine) -> None:
    (folder / "lab.yaml").write_text(
        "schema: carnet.policy/v1\nenvironment: lab\nversion: 1\nsources: [dev]\n"
        "freezes: [{rule: f, from: 2026-12-24T00:00:00Z, until: 2026-12-27T00:00:00Z, reason: r}]\n"
    )
    cases = """\
facts: {source: dev}
cases:
  - {case: before}
  - {case: meanwhile, facts: {now: 2026-12-25T10:00:00+01:00}, expect: {f: AWAITING}}
"""
    assert run_cases(write(folder, cases), engine).passed
    with pytest.raises(DocumentInvalidError, match="is not a moment"):
        run_cases(write(folder, "cases: [{case: c, facts: {now: soon}}]"), engine)


def test_rules_that_no_case_refuses_are_told(folder: Path, engine: PolicyEngine) -> None:
    cases = "cases: [{case: unsigned, facts: {signed: false}, expect: {signature: FAILED}}]"
    assert run_cases(write(folder, cases), engine).never_refused == ("source", "metadata")


def test_a_case_takes_from_the_shared_facts_what_it_leaves_out(folder: Path, engine: PolicyEngine) -> None:
    cases = "facts: {without: [owner], signed: false}\ncases: [{case: one, facts: {signed: true}, expect: {metadata: FAILED}}]"
    assert run_cases(write(folder, cases), engine).passed


@pytest.mark.parametrize(
    ("cases", "says"),
    [
        ("cases: []", "lab.cases.yaml:3:1: cases: at least one is needed"),
        ("cases: [{case: x, fcts: {}}]", "did you mean 'facts'?"),
        ("cases: [{case: x, expect: {metadata: failed}}]", "cases[0].expect.metadata"),
        ("cases: [{case: x, expect: {metdata: FAILED}}]", "lab.yaml has no rule 'metdata'"),
        ("cases: [{case: x, facts: {evidence: [{metrics: {'a{b}': 1.0}}]}}]", "'a{b}' is not a metric"),
        ("cases: [{case: x, facts: {evidence: [{age: 1}]}}]", "1 is not a duration"),
        ("cases: [{case: x, facts: {publisher: 1}}]", "string"),
    ],
)
def test_malformed_cases_are_refused_with_their_place(
    folder: Path, engine: PolicyEngine, cases: str, says: str
) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        run_cases(write(folder, cases), engine)
    assert "lab.cases.yaml:3:" in caught.value.message
    assert says in caught.value.message


def test_cases_of_a_policy_that_is_not_there_are_refused(tmp_path: Path, engine: PolicyEngine) -> None:
    with pytest.raises(FileUnreadableError, match=r"lab\.yaml"):
        run_cases(write(tmp_path, "cases: [{case: x}]"), engine)


def test_cases_are_found_by_file_by_policy_and_by_folder(folder: Path) -> None:
    path = write(folder, "")
    assert find_cases(path) == find_cases(folder / "lab.yaml") == find_cases(folder) == [path]


def test_a_folder_without_cases_is_refused(folder: Path) -> None:
    with pytest.raises(DocumentInvalidError, match="no file ends in"):
        find_cases(folder)


def test_metrics_of_slices_and_their_directions_can_be_written() -> None:
    form = FactsForm.model_validate_json(
        '{"evidence": [{"metrics": {"a": 1, "b{x=1,y=2}": 2.5}, "lower_is_better": ["b{x=1,y=2}"]}]}'
    )
    assert form.spell_out("lab").evidence[0].metrics == (
        MetricValue("a", 1.0, "higher_is_better", {}),
        MetricValue("b", 2.5, "lower_is_better", {"x": "1", "y": "2"}),
    )


def test_fields_can_be_taken_out_of_every_element_of_a_list() -> None:
    form = FactsForm.model_validate_json('{"without": ["lineage.datasets.name", "no.such.field"]}')
    assert "name" not in form.spell_out("lab").manifest["lineage"]["datasets"][0]
    assert "name" in FactsForm().spell_out("lab").manifest["lineage"]["datasets"][0]


GLASS = (
    "schema: carnet.policy/v1\nenvironment: lab\nversion: 1\nsources: [dev]\n"
    "approvals: {rule: people, count: 1}\nbreak_glass: {skips: [people], count: 1}\n"
)


@pytest.mark.parametrize(
    ("facts", "expected", "mismatch"),
    [
        ("break_glass: [{person: cleo}]", "people: SKIPPED", None),
        ("break_glass: [{person: cleo}]", "people: AWAITING", "people: expected AWAITING, was SKIPPED"),
        ("break_glass: [{person: publisher}]", "people: SKIPPED", "people: expected SKIPPED, was AWAITING"),
        ("break_glass: []", "people: AWAITING", None),
        ("emergency: true", "people: AWAITING, break-glass: AWAITING", None),
        ("emergency: true", "people: AWAITING", "break-glass: expected PASSED, was AWAITING"),
    ],
)
def test_a_case_can_break_the_glass(
    folder: Path, engine: PolicyEngine, facts: str, expected: str, mismatch: str | None
) -> None:
    (folder / "lab.yaml").write_text(GLASS)
    case = f"{{case: c, facts: {{source: dev, {facts}}}, expect: {{{expected}}}}}"
    (outcome,) = run_cases(write(folder, f"cases: [{case}]"), engine).outcomes
    assert outcome.passed is (mismatch is None), outcome.mismatches
    assert mismatch is None or outcome.mismatches[0].startswith(mismatch)


def test_a_skip_shows_no_refusal(folder: Path, engine: PolicyEngine) -> None:
    (folder / "lab.yaml").write_text(GLASS)
    case = "{case: c, facts: {source: dev, break_glass: [{person: cleo}]}, expect: {people: SKIPPED}}"
    assert "people" in run_cases(write(folder, f"cases: [{case}]"), engine).never_refused


def test_where_no_glass_can_be_broken_its_rule_is_unknown(folder: Path, engine: PolicyEngine) -> None:
    with pytest.raises(DocumentInvalidError, match="has no rule 'break-glass'"):
        run_cases(write(folder, "cases: [{case: c, expect: {break-glass: PASSED}}]"), engine)
