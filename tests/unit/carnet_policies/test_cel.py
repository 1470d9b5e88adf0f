from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.registry.v1 import policy_pb2
from carnet_policies import cel as cel_module
from carnet_policies.cel import VARIABLES, Evaluator, Outcome

EVALUATOR = Evaluator()


def evaluate(expression: str, **facts: object) -> Outcome:
    return EVALUATOR.evaluate(expression, EVALUATOR.bind(policy_pb2.PolicyFacts(**facts)))


def test_every_field_of_the_facts_is_a_variable() -> None:
    for name in VARIABLES:
        assert EVALUATOR.check(f"{name} == {name}", condition=True) == (), name


def test_every_variable_can_be_read() -> None:
    for name in VARIABLES:
        assert evaluate(f"{name} == {name}") == Outcome("boolean", value=True, text="true"), name


def test_the_variables_hold_the_facts() -> None:
    facts = {
        "source": "dev",
        "metrics": {"roc_auc": 0.9},
        "manifest": {"owner": "ana", "labels": {"tier": "high"}},
        "evidence": [policy_pb2.EvidenceFact(suite="evaluation")],
    }
    source = (
        'source == "dev" && metrics["roc_auc"] == 0.9 && manifest.owner == "ana" '
        '&& manifest.labels["tier"] == "high" && evidence.exists(e, e.suite == "evaluation")'
    )
    assert evaluate(source, **facts).value is True


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('metrics["missing"] >= 0.0', 'Key not found in map : "missing"'),
        ('manifest.labels["missing"] == ""', "Key not found"),
        ("1 / 0 == 1", "divide by zero"),
        ("[true][1]", "Index"),
        ("9223372036854775807 + 1 > 0", "overflow"),
        ('int("x") == 1', ""),
    ],
)
def test_an_error_is_never_a_boolean(source: str, says: str) -> None:
    outcome = evaluate(source)
    assert outcome.kind == "error"
    assert outcome.value is False
    assert says in outcome.text


def test_an_error_beside_true_is_true_which_is_why_evidence_is_settled_before() -> None:
    assert evaluate('metrics["missing"] >= 0.9 || true').value is True


@pytest.mark.parametrize("source", ["manifest.owner", "1", "metrics", '"true"', "null", "type(1)", "[true]"])
def test_a_value_that_is_no_boolean_is_never_true(source: str) -> None:
    outcome = evaluate(source, manifest={"owner": "true"})
    assert (outcome.kind, outcome.value) == ("value", False)


def test_the_budget_of_iterations_ends_an_expression_with_an_error() -> None:
    ten = "[1,2,3,4,5,6,7,8,9,10]"
    source = "true"
    for name in "abcde":
        source = f"{ten}.all({name}, {source})"
    outcome = evaluate(source)
    assert outcome.kind == "error"
    assert "Iteration budget exceeded" in outcome.text


@pytest.mark.parametrize(
    ("source", "line", "column", "says"),
    [
        (
            'manifest.ownr == "x"',
            1,
            9,
            "undefined field 'ownr' not found in struct 'carnet.registry.v1.Manifest'",
        ),
        ("true &&\n  unknown", 2, 3, "undeclared reference to 'unknown'"),
        ('metrics["a"] >= "x"', 1, 14, "no matching overload for '_>=_' applied to '(double, string)'"),
        ('metrics["a"] >= 1', 1, 14, "with a decimal point, such as 1.0"),
        ("true &&", 1, 8, "Syntax error"),
        ("manifest.owner", 1, 1, "must give true or false, and gives STRING"),
        ("dyn(true)", 1, 1, "must give true or false, and gives DYN"),
        ("", 1, 1, "Syntax error"),
        ("(" * 900 + "true" + ")" * 900, 1, 1, "recursion limit exceeded"),
    ],
)
def test_a_wrong_expression_is_found_at_load_with_line_and_column(
    source: str, line: int, column: int, says: str
) -> None:
    problem = EVALUATOR.check(source, condition=True)[0]
    assert (problem.line, problem.column) == (line, column)
    assert says in problem.message
    assert "INVALID_ARGUMENT" not in problem.message


def test_every_wrong_reference_in_an_expression_is_reported() -> None:
    problems = EVALUATOR.check("one && two", condition=True)
    assert [problem.column for problem in problems] == [1, 8]


@pytest.mark.parametrize("source", ['metrics["a"]', "manifest.owner", "has_baseline", "manifest.version"])
def test_a_shown_value_may_be_any_scalar(source: str) -> None:
    assert EVALUATOR.check(source, condition=False) == ()


@pytest.mark.parametrize("source", ["metrics", "manifest", "evidence", "b'x'"])
def test_a_shown_value_is_nothing_but_a_scalar(source: str) -> None:
    assert "must give a number, a text or a boolean" in EVALUATOR.check(source, condition=False)[0].message


@pytest.mark.parametrize(
    ("source", "text"),
    [("0.1", "0.1"), ("1", "1"), ("true", "true"), ('"x"', "x"), ("1.0 / 3.0", "0.3333333333333333")],
)
def test_a_value_is_shown_as_people_write_it(source: str, text: str) -> None:
    assert evaluate(source).text == text


def test_a_long_value_is_cut() -> None:
    assert len(evaluate("manifest.owner", manifest={"owner": "x" * 10_000}).text) < 300


def test_an_expression_that_does_not_compile_fails_when_evaluated() -> None:
    assert evaluate("unknown").kind == "error"


@given(st.text(max_size=80))
def test_no_text_makes_the_evaluator_raise(source: str) -> None:
    EVALUATOR.check(source, condition=True)
    assert evaluate(source).kind in ("boolean", "value", "error")


METRICS = st.dictionaries(st.sampled_from(["roc_auc", "recall", "x"]), st.floats(), max_size=3)


@given(METRICS)
def test_a_floor_holds_exactly_when_the_metric_is_there_and_reaches_it(metrics: dict[str, float]) -> None:
    outcome = evaluate('metrics["roc_auc"] >= 0.97', metrics=metrics)
    assert outcome.value is ("roc_auc" in metrics and metrics["roc_auc"] >= 0.97)
    assert (outcome.kind == "error") is ("roc_auc" not in metrics)


def test_the_cache_of_compiled_expressions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel_module, "MAX_CACHED", 3)
    evaluator = Evaluator()
    activation = evaluator.bind(policy_pb2.PolicyFacts())
    for number in range(10):
        assert evaluator.evaluate(f"{number} == {number}", activation).value is True
        assert len(evaluator._compiled) <= 3


def test_running_out_of_memory_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hungry:
        def eval(self, _: object) -> object:
            raise MemoryError

    evaluator = Evaluator()
    monkeypatch.setattr(evaluator, "_compile", lambda _: Hungry())
    assert evaluator.evaluate("true", None) == Outcome("memory", value=False, text="out of memory")
