"""An evaluation is stored as it was, and compared by what it found."""

from __future__ import annotations

from datetime import timedelta

from carnet_policies.evaluation import RuleStatus
from carnet_server.admission.stored_evaluation import StoredEvaluation, describe_unmet
from tests.unit.carnet_server.admission.admissions import NOW, an_evaluation


def stored(*statuses, log_size=3, at=NOW):
    return StoredEvaluation(an_evaluation(*statuses), log_size, at)


def test_it_reads_back_as_it_was_written():
    before = stored(RuleStatus.PASSED, RuleStatus.AWAITING)
    after = StoredEvaluation.from_json(before.to_json())
    assert after == before
    assert after.outcome is RuleStatus.AWAITING


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
