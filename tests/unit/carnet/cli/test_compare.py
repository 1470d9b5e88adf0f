"""compare as a build's gate."""

from __future__ import annotations

import json

import pytest

OLD, NEW = "dev/risk/fraud@1", "dev/risk/fraud@2"


@pytest.fixture
def measured(carnet, federation, fraud, tmp_path):
    """Two versions, of which the second was evaluated as 0.02 worse."""
    federation.publish(tmp_path, seed=2, version=2)
    for reference, value in ((OLD, 0.97), (NEW, 0.95)):
        path = tmp_path / "metrics.json"
        metric = {"name": "recall", "value": value, "direction": "higher_is_better"}
        path.write_text(json.dumps({"metrics": [metric]}))
        ran = carnet(
            *("attest", reference, "--type", "test-result", "--file", path),
            *("--suite", "evaluation", "--result", "PASSED", "--as", "evaluator"),
        )
        assert ran.code == 0, ran.err


def test_the_page_says_where_each_figure_is_from(carnet, measured):
    ran = carnet("compare", OLD, NEW)
    assert ran.code == 0
    (line,) = [line for line in ran.out.splitlines() if line.strip().startswith("recall")]
    assert line.split() == [
        "recall",
        "0.97",
        "0.95",
        "-0.02",
        "higher",
        "regressed",
        "evidence",
        "evaluation",
    ]
    assert any("manifest" in line for line in ran.out.splitlines() if line.strip().startswith("roc_auc"))
    assert "recall" not in carnet("compare", OLD, NEW, "--no-evidence").out


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("regression:recall=0.01", 5),
        ("regression:recall=0.02", 0),
        ("schema-breaking", 0),
        ("regression", 5),
        ("any", 5),
    ],
)
def test_the_exit_code_is_5_where_a_condition_holds(carnet, measured, condition, code):
    ran = carnet("compare", OLD, NEW, "--fail-on", condition, "-o", "json")
    assert ran.code == code
    assert ran.json["passed"] is (code == 0)
    assert bool(ran.json["findings"]) is (code == 5)
    page = carnet("compare", OLD, NEW, "--fail-on", condition)
    assert page.code == code
    assert ("no condition of --fail-on holds" in page.out) is (code == 0)


def test_one_of_several_conditions_is_enough_and_the_reason_is_told(carnet, measured):
    ran = carnet("compare", OLD, NEW, "--fail-on", "schema-breaking", "--fail-on", "regression:recall=0.001")
    assert ran.code == 5
    assert "recall (evaluation) is 0.95, and was 0.97: worse by 0.02, and 0.001 is allowed" in ran.out


def test_without_a_condition_a_regression_is_no_failure(carnet, measured):
    assert carnet("compare", OLD, NEW, "-o", "json").json["passed"] is True


@pytest.mark.parametrize(
    "condition", ["worse", "regression:recall", "regression:recall=nan", "regression:rekall=1"]
)
def test_a_condition_that_means_nothing_is_usage(carnet, measured, condition):
    ran = carnet("compare", OLD, NEW, "--fail-on", condition)
    assert (ran.code, "fail-on" in ran.err) == (2, True)
