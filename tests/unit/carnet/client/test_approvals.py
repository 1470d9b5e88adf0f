"""An approver signs what they saw, and sees what is there."""

from __future__ import annotations

from datetime import timedelta

import pytest

import carnet
from carnet import errors
from carnet.signing.approval import Approval
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.statement import parse_statement

PROMOTION = "ab" * 16


@pytest.fixture
async def bob(federation):
    async with carnet.connect_async(federation.folder, identity="bob") as client:
        yield client


@pytest.fixture
async def waiting(federation, fraud):
    """A promotion that prod has issued a dossier for, with an evaluation among its evidence."""
    federation.prod.hear_of(PROMOTION, fraud, source="dev")
    async with carnet.connect_async(federation.folder, identity="evaluator") as evaluator:
        added = await evaluator.attest(
            "dev/risk/fraud@1",
            {
                "suite": "evaluation",
                "result": "PASSED",
                "metrics": [{"name": "roc_auc", "value": 0.99, "direction": "higher_is_better"}],
            },
        )
    federation.prod.evidence[fraud.digest] = [added.evidence.envelope]
    federation.prod.issue_dossier(PROMOTION, fraud)
    return federation.prod.admissions[PROMOTION].message


async def test_an_approver_sees_everything_that_the_dossier_rests_on(bob, waiting, fraud):
    shown = await bob.admission(PROMOTION, target="prod")
    assert (shown.source, shown.target, shown.state) == ("dev", "prod", "awaiting")
    assert shown.manifest == fraud
    assert shown.dossier_subject == "dev/risk/fraud@1"
    assert [each.signer for each in shown.evidence] == ["spiffe://carnet.internal/service/evaluator"]
    assert shown.evidence[0].metrics[0].value == 0.99


async def test_an_approver_sees_that_a_rollout_is_to_move_the_alias(federation, bob, waiting, fraud):
    waiting.by_rollout = True
    federation.prod.issue_dossier(PROMOTION, fraud)
    shown = await bob.admission(PROMOTION, target="prod")
    assert (shown.alias, shown.by_rollout, shown.dossier.by_rollout) == ("champion", True, True)


async def test_an_approval_is_over_the_dossier_that_was_shown(bob, waiting, federation, fraud):
    shown = await bob.admission(PROMOTION, target="prod")
    federation.prod.issue_dossier(PROMOTION, fraud, valid=timedelta(days=2))
    result = await bob.approve(shown, "in order")
    (held,) = waiting.approvals
    envelope = parse_envelope(held.envelope)
    verify_envelope(envelope, bob.federation.keys)
    approval = Approval.parse(parse_statement(envelope))
    assert approval.dossier_digest == shown.dossier_digest == result.dossier_digest
    assert approval.evidence_set_digest == shown.dossier.evidence_set_digest
    assert approval.expires_at == shown.dossier.expires_at
    assert (result.meaning, result.counts) == ("approved", True)
    assert result.receipt.entry.envelope_digest == envelope.digest


@pytest.mark.parametrize("word", ["rejected", "withdrawn", "reviewed"])
async def test_other_words_are_signed_as_they_are(bob, waiting, word):
    calls = {
        "rejected": lambda: bob.reject(PROMOTION, "no", target="prod"),
        "withdrawn": lambda: bob.withdraw(PROMOTION, "no", target="prod"),
        "reviewed": lambda: bob.approve(PROMOTION, "no", target="prod", meaning="reviewed"),
    }
    result = await calls[word]()
    assert (result.meaning, result.counts) == (word, False)
    shown = await bob.admission(PROMOTION, target="prod")
    (said,) = shown.approvals
    assert (said.meaning, said.signer) == (word, "spiffe://carnet.internal/person/bob")


async def test_the_promotion_service_is_asked_only_for_the_way(federation, bob, fraud, client):
    promotion = await client.promote("dev/risk/fraud@1", "prod")
    federation.prod.hear_of(promotion.id, fraud, source="dev")
    federation.prod.issue_dossier(promotion.id, fraud)
    assert (await bob.approve(promotion.id, "in order")).target == "prod"


def _by_rollout_after_all(admission, federation, fraud):
    admission.by_rollout = True


def _edited_dossier(admission, federation, fraud):
    admission.dossier = admission.dossier.replace(b"e", b"f", 1)


def _anothers_dossier(admission, federation, fraud):
    staging = federation.staging
    staging.hear_of(PROMOTION, fraud, source="dev")
    staging.issue_dossier(PROMOTION, fraud)
    admission.dossier = staging.admissions[PROMOTION].message.dossier


def _another_promotions_dossier(admission, federation, fraud):
    federation.prod.hear_of("cd" * 16, fraud, source="dev")
    federation.prod.issue_dossier("cd" * 16, fraud)
    admission.dossier = federation.prod.admissions["cd" * 16].message.dossier


def _another_alias(admission, federation, fraud):
    admission.alias = "challenger"


def _another_requester(admission, federation, fraud):
    admission.requester = "spiffe://carnet.internal/person/mallory"


def _another_bundle(admission, federation, fraud):
    admission.bundle_digest = "0" * 64


LIES = [
    (_edited_dossier, errors.IntegrityError),
    (_by_rollout_after_all, errors.StatementInvalidError),
    (_anothers_dossier, errors.KeyUntrustedError),
    (_another_promotions_dossier, errors.StatementInvalidError),
    (_another_alias, errors.StatementInvalidError),
    (_another_requester, errors.StatementInvalidError),
    (_another_bundle, errors.StatementInvalidError),
]


@pytest.mark.parametrize(("lie", "error"), LIES, ids=lambda each: each.__name__)
async def test_nothing_is_signed_over_what_does_not_hold(federation, bob, waiting, fraud, lie, error):
    federation.prod.lies["GetAdmission"] = lambda answer: lie(answer.admission, federation, fraud)
    with pytest.raises(error):
        await bob.approve(PROMOTION, "in order", target="prod")
    assert list(waiting.approvals) == []


async def test_evidence_that_is_not_shown_is_not_approved(federation, bob, waiting, fraud):
    federation.prod.evidence[fraud.digest] = []
    with pytest.raises(errors.StatementInvalidError, match="what cannot be seen"):
        await bob.approve(PROMOTION, "in order", target="prod")


async def test_another_manifest_at_the_source_is_not_approved(federation, bob, waiting, fraud, tmp_path):
    del federation.dev.versions["risk", "fraud", 1]
    federation.publish(tmp_path, seed=5)
    with pytest.raises(errors.StatementInvalidError, match="at its source"):
        await bob.approve(PROMOTION, "in order", target="prod")


async def test_a_source_that_cannot_be_read_is_said_and_does_not_hinder(federation, bob, waiting):
    federation.servers["dev"].stop(None).wait()
    shown = await bob.admission(PROMOTION, target="prod")
    assert shown.manifest is None
    assert "cannot be reached" in shown.manifest_problem
    assert (await bob.approve(shown, "in order")).counts


async def test_without_a_dossier_there_is_nothing_to_approve(federation, bob, fraud):
    federation.prod.hear_of(PROMOTION, fraud, source="dev")
    shown = await bob.admission(PROMOTION, target="prod")
    assert shown.dossier is None
    with pytest.raises(errors.PreconditionFailedError, match="no dossier"):
        await bob.approve(shown, "in order")


async def test_a_dossier_that_ended_is_not_approved(federation, bob, waiting, fraud):
    federation.prod.issue_dossier(PROMOTION, fraud, valid=timedelta(minutes=-1))
    with pytest.raises(errors.PreconditionFailedError, match="ended"):
        await bob.approve(PROMOTION, "in order", target="prod")


async def test_a_reason_must_be_given(bob, waiting):
    with pytest.raises(errors.InvalidInputError, match="reason"):
        await bob.approve(PROMOTION, "  ", target="prod")


async def test_a_target_that_logs_another_approval_is_caught(federation, bob, waiting):
    other = await bob.approve(PROMOTION, "in order", target="prod")

    def the_first_receipt(answer):
        answer.receipt.CopyFrom(federation.prod.log.receipt(other.receipt.receipt.index))

    federation.prod.lies["SubmitApproval"] = the_first_receipt
    with pytest.raises(errors.StatementInvalidError, match="another statement"):
        await bob.approve(PROMOTION, "in order", target="prod")


async def test_an_approval_that_the_target_misquotes_is_caught(federation, bob, waiting):
    await bob.reject(PROMOTION, "no", target="prod")

    def misquote(answer):
        answer.admission.approvals[0].meaning = "approved"

    federation.prod.lies["GetAdmission"] = misquote
    with pytest.raises(errors.StatementInvalidError, match="says 'rejected'"):
        await bob.admission(PROMOTION, target="prod")
