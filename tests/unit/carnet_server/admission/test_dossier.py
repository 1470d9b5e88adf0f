"""A dossier is issued once everything but people is there, and again only for another policy or after its time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.keys import SigningKey
from carnet_policies.evaluation import RuleStatus
from carnet_server.admission.dossier import make_dossier, needs_dossier, standing_dossier
from tests.unit.carnet_server.admission.admissions import (
    NOW,
    POLICY,
    an_admission,
    an_evaluation,
    policy_of,
)

PASSED, FAILED, AWAITING = RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.AWAITING
KEY = SigningKey.generate()


def a_dossier(**changes):
    given = {"environment": "staging", "policy": policy_of(), "now": NOW, **changes}
    return make_dossier(an_admission(), ["e" * 64, "a" * 64], **given)


def issued(dossier):
    admission = an_admission()
    signed = dossier.sign(admission.subject_name, admission.bundle_digest, KEY)
    return an_admission(dossier=signed.to_bytes(), dossier_digest=signed.digest)


def test_it_freezes_policy_evidence_and_parties():
    dossier = a_dossier()
    assert dossier.evidence == ("a" * 64, "e" * 64)
    assert dossier.evidence_set_digest == evidence_set_digest(dossier.evidence)
    assert dossier.policy_digest == policy_of().digest
    assert (dossier.requester, dossier.publisher) == (an_admission().requester, an_admission().publisher)
    assert dossier.expires_at - dossier.issued_at == timedelta(days=2)


@pytest.mark.parametrize(
    ("statuses", "people", "needed"),
    [
        ((PASSED, AWAITING), True, True),
        ((PASSED, AWAITING), False, False),
        ((PASSED, PASSED), False, True),
        ((FAILED, AWAITING), True, False),
        ((FAILED,), False, False),
    ],
)
def test_it_is_issued_when_only_people_are_awaited(statuses, people, needed):
    assert needs_dossier(an_evaluation(*statuses, people=people), policy_of(), None) is needed


def test_a_policy_that_asks_nobody_needs_none():
    quiet = policy_of(b"schema: carnet.policy/v1\nenvironment: staging\nversion: 1\nsources: [dev]\n")
    assert not needs_dossier(an_evaluation(PASSED), quiet, None)


def test_a_standing_one_is_not_issued_again():
    assert not needs_dossier(an_evaluation(PASSED, AWAITING, people=True), policy_of(), a_dossier())


def test_it_stands_until_another_policy_or_the_end_of_its_time():
    dossier = a_dossier()
    admission = issued(dossier)
    digest = policy_of().digest
    assert standing_dossier(admission, policy_digest=digest, now=NOW) == dossier
    changed = policy_of(POLICY.replace(b"version: 1", b"version: 2")).digest
    assert standing_dossier(admission, policy_digest=changed, now=NOW) is None
    assert standing_dossier(admission, policy_digest=digest, now=dossier.expires_at) is None
    assert standing_dossier(an_admission(), policy_digest=digest, now=NOW) is None
    assert standing_dossier(None, policy_digest=digest, now=NOW) is None


@given(st.lists(st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}"), max_size=5))
def test_the_set_of_evidence_does_not_depend_on_order_or_repetition(digests):
    made = [
        make_dossier(an_admission(), given, environment="staging", policy=policy_of(), now=NOW)
        for given in (digests, [*reversed(digests), *digests])
    ]
    assert made[0].evidence_set_digest == made[1].evidence_set_digest
