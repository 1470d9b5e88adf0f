from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import CarnetError, DocumentInvalidError
from carnet_policies.document import MAX_POLICY_BYTES, load_policy
from carnet_policies.schema_fields import parse_duration
from carnet_policies.shipped import SHIPPED, shipped_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.document import Policy

HEAD = "schema: carnet.policy/v1\nenvironment: staging\nversion: 1\nsources: [dev]\n"
EVIDENCE = "evidence: [{rule: evaluation, type: t, signers: [evaluator], metrics: true}]\n"
RULE = {"rule": "r", "needs": ["evaluation"], "expression": "true", "message": "m", "remedy": "r"}


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy(text.encode(), name="p.yaml")
    return caught.value.message.splitlines()


def with_rule(**fields: Any) -> str:
    return f"{HEAD}{EVIDENCE}rules: {json.dumps([RULE | fields])}\n"


def test_a_policy_keeps_its_bytes_and_their_digest() -> None:
    policy = load_policy(HEAD.encode())
    assert policy.bytes == HEAD.encode()
    assert policy.digest == hashlib.sha256(HEAD.encode()).hexdigest()


def test_what_a_policy_leaves_out_is_strict() -> None:
    document = load_policy(HEAD.encode()).document
    assert document.signature.required
    assert not document.publishing
    assert document.release_max_age == timedelta(minutes=10)
    assert document.dossier_valid_for == timedelta(days=7)
    assert document.protected_aliases == ()


def test_what_a_policy_leaves_out_of_rollbacks_keeps_nobody_from_going_back() -> None:
    assert load_policy(HEAD.encode()).document.rollback.smoke_test == "heeded"
    text = HEAD + "rollback: {smoke_test: required}\n"
    assert load_policy(text.encode()).document.rollback.smoke_test == "required"


def test_rule_ids_are_in_the_order_of_results() -> None:
    policy = load_policy(shipped_policy("prod"))
    assert policy.rule_ids == (
        "source",
        "scope",
        "signature",
        "metadata",
        "metadata-of-critical",
        "contract",
        "integration-tests",
        "pii-review",
        "smoke-test",
        "latency-budget",
        "admitted-to-staging",
        "soaked-in-staging",
        "change-window",
        "approvals",
    )


def test_a_signature_that_is_not_required_is_no_rule() -> None:
    policy = load_policy((HEAD + "signature: {required: false}\n").encode())
    assert policy.rule_ids == ("source",)


def test_the_documented_policy_is_sound() -> None:
    page = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert len(load_policy(example.encode()).rule_ids) == 13


def test_the_documented_gate_on_skew_is_sound() -> None:
    page = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()
    example = page.partition("\n## Skew\n")[2].partition("```yaml\n")[2].partition("```")[0]
    rules = load_policy((HEAD + example).encode()).rule_ids
    assert rules == ("source", "signature", "skew-report", "input-skew")


@pytest.mark.parametrize("environment", SHIPPED)
def test_the_shipped_policies_are_for_their_environments(environment: str) -> None:
    assert load_policy(shipped_policy(environment)).document.environment == environment


@pytest.mark.parametrize(
    ("text", "begins", "says"),
    [
        ("", "p.yaml: document", "should be an object"),
        ("[]", "p.yaml:1:1: document", ""),
        (HEAD + "surces: [dev]\n", "p.yaml:5:1: surces", "did you mean 'sources'?"),
        (HEAD.replace("version: 1", "version: one"), "p.yaml:3:1: version", "integer"),
        (HEAD.replace("version: 1", "version: true"), "p.yaml:3:1: version", "integer"),
        (HEAD.replace("version: 1\n", ""), "p.yaml:1:1: version", "required, and missing"),
        (HEAD.replace("staging", "Staging"), "p.yaml:2:1: environment", "'Staging' is not a name"),
        (HEAD.replace("/v1", "/v2"), "p.yaml:1:1: schema", "carnet.policy/v1"),
        (HEAD + "release_max_age: 10\n", "p.yaml:5:1: release_max_age", "10 is not a duration"),
        (HEAD + "release_max_age: 0m\n", "p.yaml:5:1: release_max_age", "is not a duration"),
        (HEAD + "version: 2\n", "p.yaml:5:1", "twice"),
        (HEAD + "rollback: {smoke_test: always}\n", "p.yaml:5:12: rollback.smoke_test", "required"),
        (HEAD + "rollback: {smoke: required}\n", "p.yaml:5:12: rollback.smoke", "smoke_test"),
        (HEAD + "publishing: maybe\n", "p.yaml:5:1: publishing", "boolean"),
        (HEAD.replace("[dev]", "[]"), "p.yaml:4:1: sources", "nothing can come in"),
        (HEAD.replace("[dev]", "[staging]"), "p.yaml:4:1: sources", "its own source"),
        (HEAD + "metadata: {required: []}\n", "p.yaml:5:12: metadata.required", "at least one"),
        (HEAD + "metadata: {required: [a..b]}\n", "p.yaml:5:23: metadata.required[0]", "is not a field"),
        (
            HEAD + "metadata: {required: [ownr]}\n",
            "p.yaml:5:23: metadata.required[0]",
            "no manifest has 'ownr'; did you mean 'owner'?",
        ),
        (
            HEAD + "metadata: {required: [lineage.code.comit]}\n",
            "p.yaml:5:23: metadata.required[0]",
            "did you mean 'commit'?",
        ),
        (HEAD + "metadata: {required: [owner.name]}\n", "p.yaml:5:23", "nothing stands below it"),
        (HEAD + "evidence: [{rule: a, type: t}]\n", "p.yaml:5:12: evidence[0].signers", "missing"),
        (
            HEAD + "evidence: [{rule: a, type: t, signers: []}]\n",
            "p.yaml:5:31: evidence[0].signers",
            "at least one",
        ),
        (
            HEAD + "approvals: {rule: a, count: 0}\n",
            "p.yaml:5:22: approvals.count",
            "greater than or equal to 1",
        ),
        (
            HEAD + "approvals: {rule: a, count: 1, independent_of: [author]}\n",
            "p.yaml:5:49: approvals.independent_of[0]",
            "'publisher' or 'requester'",
        ),
        (
            HEAD + "decisions: [{rule: a, environment: x}, {rule: a, environment: y}]\n",
            "p.yaml:5:41: decisions[1].rule",
            "'a' is the id of another rule",
        ),
        (
            HEAD + "approvals: {rule: signature, count: 1}\n",
            "p.yaml:5:13: approvals.rule",
            "'signature' is the id of another rule",
        ),
        (
            HEAD + "approvals: {rule: revocation, count: 1}\n",
            "p.yaml:5:13: approvals.rule",
            "'revocation' is the id of another rule",
        ),
        (with_rule(expression="1"), "p.yaml:6:", "must give true or false"),
        (
            with_rule(needs=["evluation"]),
            "p.yaml:6:",
            "'evluation' is not a rule of evidence or of a decision",
        ),
        (with_rule(message="{x}"), "p.yaml:6:", "{x} is not one of the rule's values"),
        (with_rule(remedy="{x!r}", values={"x": "1"}), "p.yaml:6:", "{x!r} is not one of the rule's values"),
        (
            with_rule(values={"x": "metrics"}),
            "p.yaml:6:",
            "rules[0].values.x: the expression must give a number",
        ),
        (with_rule(expression="has_baseline"), "p.yaml:6:", "the policy has no baseline_alias"),
        (with_rule(values={"x": "has_baseline"}), "p.yaml:6:", "the policy has no baseline_alias"),
        (
            with_rule(needs=[], expression='metrics["a"] > 0.5'),
            "p.yaml:6:",
            "needs must name a rule of evidence",
        ),
        (
            with_rule(needs=[], expression="evidence == []"),
            "p.yaml:6:",
            "needs must name the rule of evidence",
        ),
        (with_rule(message=""), "p.yaml:6:", "at least 1 character"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_field(text: str, begins: str, says: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(begins)
    assert says in problem


def test_metrics_need_evidence_that_carries_them() -> None:
    text = with_rule(expression='metrics["a"] > 0.5').replace("metrics: true", "metrics: false")
    assert "with metrics: true" in problems(text)[0]


@pytest.mark.parametrize(
    "path", ["labels.risk_tier", "hyperparameters.depth.max", "lineage.datasets.window.start"]
)
def test_mandatory_fields_may_lie_in_maps_lists_and_free_structures(path: str) -> None:
    load_policy((HEAD + f"metadata: {{required: [{path}]}}\n").encode())


def test_all_mistakes_are_listed_at_once_in_the_order_of_the_file() -> None:
    text = (
        HEAD
        + "surces: [dev]\n"
        + EVIDENCE
        + """\
rules:
  - rule: one
    expression: manifest.ownr == "x" && metrics["a"] >= 1
    message: m
    remedy: r
  - rule: two
    expression: |

      true &&

        unknown == "x"
    message: m
    remedy: 7
  - rule: three
    expression: >-
      true &&
      1
    message: m
    remedy: r
  - rule: four
    expression: 'manifest.no == ""'
    message: m
    remedy: r
"""
    )
    found = problems(text)
    places = [problem.split(" ")[0] for problem in found]
    assert places == [
        "p.yaml:5:1:",
        "p.yaml:9:25:",
        "p.yaml:9:54:",
        "p.yaml:17:9:",
        "p.yaml:19:5:",
        "p.yaml:21:5:",
        "p.yaml:27:26:",
    ]
    assert "(line 1, column 6 of the expression)" in found[5]


def test_a_policy_has_a_largest_size() -> None:
    comment = b"#" * (MAX_POLICY_BYTES - len(HEAD))
    load_policy(HEAD.encode() + comment)
    with pytest.raises(DocumentInvalidError, match="at most 262144"):
        load_policy(HEAD.encode() + comment + b"#")


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(DocumentInvalidError, match="not UTF-8"):
        load_policy(b"\xff\xfe\x00")


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEAD + "rules: " + text).encode()))
def test_no_bytes_make_anything_but_a_typed_error(data: bytes) -> None:
    try:
        load_policy(data)
    except CarnetError as error:
        assert isinstance(error, DocumentInvalidError)  # noqa: PT017


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rules", "expression", "values", "rule", "needs", "evidence", "approvals", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


PARTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["a", "*", "1%", "09:00", "mon", "UTC", "2026-01-01T00:00:00Z", "evaluation", "\ud800"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "rule",
                    "when",
                    "labels",
                    "a",
                    "values",
                    "default",
                    "aliases",
                    "needs",
                    "metric",
                    "slices",
                    "at_least",
                    "max_regression",
                    "time_zone",
                    "open",
                    "days",
                    "from",
                    "until",
                    "reason",
                    "exempt",
                    "type",
                    "signers",
                    "count",
                    "required",
                    "environment",
                    "soak",
                ]
            ),
            inner,
            max_size=8,
        )
    ),
    max_leaves=20,
)
FIELDS = ["labels", "metadata", "compatibility", "evidence", "metrics", "decisions", "change_windows"]


@given(st.sampled_from([*FIELDS, "freezes", "approvals"]), PARTS)
def test_no_part_of_a_policy_makes_anything_but_a_typed_error(field: str, part: object) -> None:
    try:
        load_policy(f"{HEAD}{field}: {json.dumps(part)}\n".encode())
    except CarnetError as error:
        assert isinstance(error, DocumentInvalidError)  # noqa: PT017


@given(TREES)
def test_no_tree_makes_anything_but_a_typed_error(tree: object) -> None:
    with pytest.raises(DocumentInvalidError):
        load_policy(json.dumps(tree).encode())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3650d", 315_360_000),
        ("30s", 30),
        ("10m", 600),
        ("12h", 43_200),
        ("7d", 604_800),
        ("999999s", 999_999),
    ],
)
def test_durations_are_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "value", ["", "10", "m", "1w", "-1d", "1.5h", "1d2h", " 1d", "٣d", 10, None, True, ["1d"]]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)


def test_a_duration_has_a_largest_size() -> None:
    with pytest.raises(ValueError, match="longer than 3650d"):
        parse_duration("3651d")


def test_a_policy_made_by_the_tests_is_sound(policy_of: Callable[..., Policy]) -> None:
    assert policy_of("true").rule_ids == ("source", "signature", "evaluation", "r0")
