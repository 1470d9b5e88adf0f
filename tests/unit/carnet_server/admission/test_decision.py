"""A decision names its policy, its inputs and every rule; anything but PASSED is a refusal."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.signing.decision import Decision
from carnet.signing.keys import SigningKey
from carnet_policies.evaluation import RuleStatus
from carnet_server.admission.decision import make_decision
from carnet_server.admission.revocation import with_revocation
from tests.unit.carnet_server.admission.admissions import NOW, an_admission, an_evaluation
from tests.unit.carnet_server.admission.parties import read

INPUTS = {"evidence": ["e" * 64, "a" * 64, "e" * 64], "approval": ["b" * 64]}


def decide(*statuses, **admission):
    return make_decision(
        an_admission(**admission),
        an_evaluation(*statuses),
        INPUTS,
        environment="staging",
        permit_valid_for=timedelta(days=2),
        now=NOW,
    )


def test_it_reads_back_as_it_was_signed():
    admission = an_admission()
    decision = decide(RuleStatus.PASSED)
    signed = decision.sign(admission.subject_name, admission.bundle_digest, SigningKey.generate()).to_bytes()
    back = read(signed, Decision)
    assert back == decision
    assert (back.environment, back.promotion, back.alias) == ("staging", admission.promotion, "champion")
    assert back.resource_uri == "urn:carnet:environment:staging/risk/fraud@1"
    assert [each.digest.sha256 for each in back.input_attestations] == ["a" * 64, "e" * 64, "b" * 64]


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        ((RuleStatus.PASSED,), "PASSED"),
        ((RuleStatus.PASSED, RuleStatus.FAILED), "FAILED"),
        ((RuleStatus.PASSED, RuleStatus.AWAITING), "FAILED"),
        ((), "FAILED"),
    ],
)
def test_only_a_pass_of_every_rule_says_yes(statuses, result):
    assert decide(*statuses).verification_result == result


@pytest.mark.parametrize(
    ("status", "by_rollout", "ends"),
    [
        (RuleStatus.PASSED, True, NOW + timedelta(days=2)),
        (RuleStatus.FAILED, True, None),
        (RuleStatus.PASSED, False, None),
    ],
)
def test_only_a_yes_by_rollout_permits_and_says_until_when(status, by_rollout, ends):
    decision = decide(status, by_rollout=by_rollout)
    assert (decision.by_rollout, decision.permit_expires_at) == (by_rollout, ends)


def test_a_revocation_fails_whatever_the_policy_said():
    evaluation = an_evaluation(RuleStatus.PASSED)
    revoked = with_revocation(evaluation, ["dev"], asked=["dev", "staging"])
    assert revoked.outcome is RuleStatus.FAILED
    assert revoked.results[-1].message == "the version is revoked at dev"
    assert with_revocation(evaluation, [], asked=["dev", "staging"]).outcome is RuleStatus.PASSED
