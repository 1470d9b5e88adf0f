"""An evaluation is stored as it was, and compared by what it found."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus
from carnet_server.admission.stored_evaluation import StoredEvaluation, describe_unmet
from tests.unit.carnet_server.admission.admissions import NOW, an_evaluation


def stored(*statuses, log_size=3, at=NOW):
    return StoredEvaluation(an_evaluation(*statuses), log_size, at)


def test_it_reads_back_as_it_was_written():
    before = stored(RuleStatus.PASSED, RuleStatus.AWAITING)
    after = StoredEvaluation.from_json(before.to_json())
    assert after == before
    assert after.outcome is RuleStatus.AWAITING


def test_the_time_at_which_a_rule_opens_is_kept():
    waiting = RuleResult("soak", RuleStatus.AWAITING, "too early", opens_at=NOW + timedelta(hours=1))
    before = StoredEvaluation(Evaluation("c" * 64, (waiting,)), 3, NOW)
    after = StoredEvaluation.from_json(before.to_json())
    assert after == before
    assert after.evaluation.results[0].awaits_a_time
    later = replace(waiting, opens_at=NOW + timedelta(hours=2))
    assert not before.says_the_same(StoredEvaluation(Evaluation("c" * 64, (later,)), 3, NOW))


def test_what_was_stored_without_such_a_time_reads_back():
    value = json.loads(stored(RuleStatus.AWAITING).to_json())
    del value["results"][0]["opens_at"]
    assert StoredEvaluation.from_json(json.dumps(value)) == stored(RuleStatus.AWAITING)


def test_the_moment_makes_no_difference_and_a_result_does():
    first = stored(RuleStatus.PASSED)
    assert first.says_the_same(stored(RuleStatus.PASSED, log_size=9, at=NOW + timedelta(hours=1)))
    assert not first.says_the_same(stored(RuleStatus.FAILED))
    assert not first.says_the_same(None)


def test_what_is_unmet_is_told_with_what_to_do():
    text = describe_unmet(an_evaluation(RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.AWAITING))
    assert text.splitlines() == [
        "rule-1: failed: because. do this",
        "rule-2: awaiting: because. do this",
    ]
