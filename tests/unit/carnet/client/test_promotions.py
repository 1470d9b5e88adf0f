"""Asking for promotions, following them, and believing only proof."""

from __future__ import annotations

import pytest

from carnet import errors
from carnet.client.promotions import promotion_resource
from carnet.client.results import PromotionState
from carnet.registry.v1 import policy_pb2
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement
from tests.unit.carnet.client.fake_federation import signing_key

TO_THE_END = [
    ("PENDING", "taken in"),
    ("CHECKING", "asked staging"),
    ("TRANSFERRING", "2 files"),
    ("SUCCEEDED", "admitted"),
]
SOURCE = "dev/risk/fraud@1"


async def test_a_promotion_is_asked_for_with_a_signed_request(federation, client, fraud):
    promotion = await client.promote(SOURCE, "staging", alias="champion")
    assert promotion.state is PromotionState.CHECKING
    assert (str(promotion.reference), promotion.target, promotion.alias) == (SOURCE, "staging", "champion")
    envelope = parse_envelope(federation.sync.requests[0])
    signer = verify_envelope(envelope, client.federation.keys)
    assert signer == signing_key("ci").key_id
    statement = parse_statement(envelope)
    assert (statement.subject_name, statement.subject_digest) == (SOURCE, fraud.digest)
    assert PromotionRequest.parse(statement).promotion == promotion.id


async def test_a_promotion_by_rollout_says_so_in_its_request_and_in_every_answer(federation, client, fraud):
    federation.sync.plan = TO_THE_END
    promotion = await client.promote(SOURCE, "staging", alias="champion", by_rollout=True)
    request = PromotionRequest.parse(parse_statement(parse_envelope(federation.sync.requests[0])))
    assert (request.alias, request.by_rollout) == ("champion", True)
    ended = await client.promotion(promotion.id)
    (listed,) = await client.promotions()
    assert (promotion.by_rollout, ended.by_rollout, listed.by_rollout) == (True, True, True)
    assert ended.receipt is not None


@pytest.mark.parametrize("wish", [{}, {"alias": "champion", "emergency": True}])
async def test_a_rollout_of_no_alias_or_in_an_emergency_is_not_asked_for(federation, client, fraud, wish):
    with pytest.raises(errors.InvalidInputError) as caught:
        await client.promote(SOURCE, "staging", by_rollout=True, **wish)
    assert caught.value.metadata["field"] == "by_rollout"
    assert federation.sync.requests == []


async def test_waiting_tells_every_event_and_proves_the_end(federation, client, fraud):
    federation.sync.plan = TO_THE_END
    promotion = await client.promote(SOURCE, "staging")
    told = []
    ended = await client.wait(promotion.id, on_update=told.append)
    assert [each.event.message for each in told] == [message for _, message in TO_THE_END]
    assert ended.state is PromotionState.SUCCEEDED
    assert ended.receipt.entry.subject["promotion"] == promotion.id
    assert ended.receipt.environment == "staging"
    assert [each.sequence for each in ended.events] == [1, 2, 3, 4]


async def test_following_goes_on_after_the_service_was_away(federation, client, fraud):
    federation.sync.plan = TO_THE_END
    federation.sync.watches_to_break = 2
    promotion = await client.promote(SOURCE, "staging")
    seen = [each.event.sequence async for each in client.watch_promotion(promotion.id)]
    assert seen == [1, 2, 3, 4]


async def test_following_from_the_last_event_of_one_that_ended_ends(federation, client, fraud):
    federation.sync.plan = TO_THE_END
    promotion = await client.promote(SOURCE, "staging")
    assert [each async for each in client.watch_promotion(promotion.id, after_sequence=4)] == []


async def test_waiting_ends_at_the_timeout_with_how_it_stands(federation, client, fraud):
    federation.sync.plan = [("AWAITING", "2 approvals")]
    promotion = await client.promote(SOURCE, "staging")
    waiting = await client.wait(promotion.id, timeout=0.3)
    assert waiting.state is PromotionState.AWAITING
    assert not waiting.ended


def _nothing(promotion):
    promotion.admission.ClearField("decision")
    promotion.admission.ClearField("receipt")


def _receipt_only(promotion):
    promotion.admission.receipt.entry = promotion.admission.receipt.entry.replace(b"admitted", b"admitteb")


def _other_bundle(promotion):
    promotion.bundle_digest = "0" * 64


def _other_target(promotion):
    promotion.target = "prod"


def _other_alias(promotion):
    promotion.alias = "shadow"


def _permitted_only(promotion):
    promotion.by_rollout = True


PROOFS = [
    (_receipt_only, errors.ProofInvalidError),
    (_other_bundle, errors.StatementInvalidError),
    (_other_target, errors.KeyUntrustedError),
    (_other_alias, errors.StatementInvalidError),
    (_permitted_only, errors.StatementInvalidError),
]


@pytest.mark.parametrize(("lie", "error"), PROOFS, ids=lambda each: each.__name__)
async def test_a_success_that_the_target_did_not_sign_is_refused(federation, client, fraud, lie, error):
    federation.sync.plan = TO_THE_END
    promotion = await client.promote(SOURCE, "staging", alias="champion")
    federation.sync.lies["GetPromotion"] = lambda answer: lie(answer.promotion)
    with pytest.raises(error):
        await client.promotion(promotion.id)


async def test_a_made_up_success_is_refused(federation, client, fraud):
    promotion = await client.promote(SOURCE, "staging")

    def success(answer):
        answer.promotion.state = 6

    federation.sync.lies["GetPromotion"] = success
    with pytest.raises(errors.NotFoundError, match="has not heard of"):
        await client.promotion(promotion.id)


async def test_the_target_is_asked_where_the_service_leaves_the_proof_out(federation, client, fraud):
    federation.sync.plan = TO_THE_END
    promotion = await client.promote(SOURCE, "staging")
    federation.sync.lies["GetPromotion"] = lambda answer: _nothing(answer.promotion)
    assert (await client.promotion(promotion.id)).receipt is not None
    assert "GetAdmission" in federation.staging.calls


async def test_a_refusing_decision_proves_no_success(federation, client, fraud):
    federation.sync.plan = TO_THE_END
    promotion = await client.promote(SOURCE, "staging")
    refusal = federation.staging.decide(fraud, promotion=promotion.id, result="FAILED")

    def refused(answer):
        answer.promotion.admission.decision = refusal

    federation.sync.lies["GetPromotion"] = refused
    with pytest.raises(errors.StatementInvalidError, match="FAILED"):
        await client.promotion(promotion.id)


async def test_a_dry_run_stores_nothing_and_shows_the_rules(federation, client, fraud):
    federation.sync.rules = [
        policy_pb2.RuleResult(
            rule="roc-auc-floor",
            status=policy_pb2.RULE_STATUS_FAILED,
            message="0.95 is below 0.97",
            remedy="train a better one",
            values={"roc_auc": "0.95"},
        )
    ]
    promotion = await client.promote(SOURCE, "staging", dry_run=True)
    (rule,) = promotion.rules
    assert (rule.rule, rule.status, rule.values) == ("roc-auc-floor", "FAILED", {"roc_auc": "0.95"})
    assert await client.promotions() == ()


async def test_cancelling_is_signed_and_retrying_is_not_repeated(federation, client, fraud):
    promotion = await client.promote(SOURCE, "staging")
    cancelled = await client.cancel(promotion.id, "wrong version")
    assert cancelled.state is PromotionState.CANCELLED
    said = federation.sync.cancelled_with
    assert (said.subject_digest, said.predicate["reason"]) == (fraud.digest, "wrong version")
    assert len(said.predicate["nonce"]) == 32
    assert (await client.retry(promotion.id)).message == "tried again"
    assert [each.id for each in await client.promotions(limit=5)] == [promotion.id]


async def test_an_unknown_state_is_said_and_no_crash(federation, client, fraud):
    promotion = await client.promote(SOURCE, "staging")

    def new_state(answer):
        answer.promotion.state = 55

    federation.sync.lies["GetPromotion"] = new_state
    with pytest.raises(errors.InternalError, match="does not know"):
        await client.promotion(promotion.id)


@pytest.mark.parametrize("promotion", ["", "x", "A" * 32, "0" * 31, "promotions/" + "0" * 32])
def test_what_is_no_promotions_id_is_refused(promotion):
    with pytest.raises(errors.InvalidInputError, match="promotions ls"):
        promotion_resource(promotion)


async def test_an_unknown_target_or_promotion_is_not_found(client, fraud):
    with pytest.raises(errors.NotFoundError):
        await client.promote(SOURCE, "nowhere")
    with pytest.raises(errors.NotFoundError):
        await client.promotion("0" * 32)
    with pytest.raises(errors.NotFoundError):
        await client.wait("0" * 32)
