from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.report import Verdict
from carnet.canonical import sha256_hex
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.signing.keys import SigningKey

VIOLATED = Verdict.POLICY_VIOLATED


def approved(world: Any, *people: str, **changes: Any) -> Any:
    """Bring a promotion to prod as far as its approvals; returns the dossier."""
    dossier = world.ask()
    for person in people:
        world.approve(person, dossier, **changes)
    return dossier


# --- what is right ------------------------------------------------------------------------------------------


def test_a_refusal_before_the_decision_that_said_yes_is_right(tmp_path: Path, world: Any) -> None:
    approved(world, "carol", "dave")
    world.decide(result="FAILED")
    world.decide()
    world.admit()
    report = world.audit(tmp_path)
    assert report.ok
    assert report.environments["prod"].refused == 1


def test_a_promotion_without_approvals_is_for_the_policy_to_judge(tmp_path: Path, world: Any) -> None:
    world.ask()
    decision = world.decide()
    world.admit(document=decision)
    assert world.audit(tmp_path).ok


def test_an_approval_that_the_decision_did_not_count_is_no_violation(tmp_path: Path, world: Any) -> None:
    dossier = approved(world, "bob", "alice")
    counted = world.approve("carol", dossier)
    world.decide(world.decision(inputs=(counted,)))
    world.admit()
    assert world.audit(tmp_path).ok


def test_a_review_is_no_approval(tmp_path: Path, world: Any) -> None:
    dossier = approved(world, "carol")
    world.approve("bob", dossier, meaning="reviewed")
    world.decide()
    world.admit()
    assert world.audit(tmp_path).ok


def test_a_person_may_approve_again_after_a_withdrawal(tmp_path: Path, world: Any) -> None:
    dossier = approved(world, "carol")
    world.approve("carol", dossier, meaning="withdrawn")
    again = world.approve("carol", dossier, nonce="ef" * 16)
    world.decide(world.decision(inputs=(again,)))
    world.admit()
    assert world.audit(tmp_path).ok


def test_a_dossier_that_is_issued_anew_is_the_one_that_counts(tmp_path: Path, world: Any) -> None:
    approved(world, "carol")
    world.prod.change_policy("a stricter policy")
    dossier = world.dossier()
    world.prod.add(EntryType.DOSSIER_ISSUED, world.prod_subject(), dossier)
    counted = world.approve("dave", dossier)
    world.decide(world.decision(inputs=(counted,)))
    world.admit()
    assert world.audit(tmp_path).ok


def test_another_environments_decision_may_be_evidence(tmp_path: Path, world: Any) -> None:
    decision = world.promote()
    world.dev.add(EntryType.EVIDENCE_ADDED, {"bundle_digest": world.bundle}, decision)
    assert world.audit(tmp_path).ok


def test_a_publication_is_decided_without_a_promotion(
    tmp_path: Path, world: Any, version: dict[str, Any], keys: dict[str, SigningKey]
) -> None:
    decision = world.decision(
        keys["dev"],
        verifier={"id": "urn:carnet:environment:dev"},
        resource_uri="urn:carnet:environment:dev/risk/fraud@1",
        policy={"uri": "policy.yaml", "digest": {"sha256": world.policies["dev"]}},
        promotion="",
    )
    world.dev.add(EntryType.DECISION_MADE, version, decision, new="PASSED")
    assert world.audit(tmp_path).ok


# --- decisions and admissions -------------------------------------------------------------------------------


def test_an_admission_without_a_decision_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.ask()
    index = world.admit()
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.environment, finding.index) == (VIOLATED, "prod", index)
    assert "no decision" in finding.message
    assert "version risk/fraud@1" in finding.affects


def test_an_admission_on_a_refusal_is_found(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.ask()
    world.decide(result="FAILED")
    world.admit()
    assert "no decision with the result PASSED" in only(world.audit(tmp_path)).message


def test_an_admission_before_its_decision_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.ask()
    world.admit()
    world.decide()
    assert "no decision" in only(world.audit(tmp_path)).message


def test_two_decisions_for_one_admission_are_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.ask()
    world.decide()
    world.decide(world.decision(time_verified=world.now))
    world.admit()
    assert "2 decisions" in only(world.audit(tmp_path)).message


def test_a_decision_about_another_bundle_admits_nothing(
    tmp_path: Path, world: Any, promoted: dict[str, Any]
) -> None:
    world.ask()
    other = promoted | {"bundle_digest": sha256_hex(b"another manifest")}
    world.prod.add(EntryType.DECISION_MADE, other, world.decision(), new="PASSED")
    world.admit()
    messages = [finding.message for finding in world.audit(tmp_path).findings]
    assert len(messages) == 2
    assert "its statement about" in messages[0]
    assert "no decision" in messages[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verifier": {"id": "urn:carnet:environment:dev"}}, "the decision is by"),
        ({"promotion": "00" * 16}, "another promotion"),
        ({"verification_result": "FAILED"}, "the decision says 'FAILED'"),
        ({"resource_uri": "urn:carnet:environment:prod/risk/fraud@2"}, "the decision about"),
        ({"policy": {"uri": "p", "digest": {"sha256": "00" * 32}}}, "under the policy 0000"),
    ],
)
def test_a_decision_that_says_something_else_than_its_entry_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any], changes: dict[str, Any], words: str
) -> None:
    world.ask()
    world.decide(world.decision(**changes))
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert words in finding.message


def test_a_decision_under_a_policy_that_was_replaced_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.ask()
    decision = world.decision()
    world.prod.change_policy("a stricter policy")
    world.decide(decision)
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert f"{world.policies['prod']} was in force" in finding.message


@pytest.mark.parametrize(
    ("signer", "verdict"), [("dev", VIOLATED), ("carol", VIOLATED), ("", "cannot_verify")]
)
def test_a_decision_that_the_environment_did_not_sign_is_found(
    tmp_path: Path,
    world: Any,
    only: Callable[..., Any],
    keys: dict[str, SigningKey],
    stranger: SigningKey,
    signer: str,
    verdict: str,
) -> None:
    world.ask()
    world.decide(world.decision(keys.get(signer, stranger)))
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict == verdict
    assert signer in finding.message


def test_an_admission_rests_on_its_own_decision(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.ask()
    refusal = world.decide(result="FAILED")
    world.decide()
    world.admit(document=refusal)
    assert "rests on another decision" in only(world.audit(tmp_path)).message


@pytest.mark.parametrize("missing", ["bundle_digest", "promotion"])
def test_an_admission_that_names_no_bundle_or_promotion_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any], promoted: dict[str, Any], missing: str
) -> None:
    del promoted[missing]
    world.prod.add(EntryType.VERSION_ADMITTED, promoted)
    assert "names no bundle or no promotion" in only(world.audit(tmp_path)).message


def test_an_admission_that_nobody_asked_for_is_incomplete(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.decide()
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict is Verdict.INCOMPLETE
    assert "neither a request nor a dossier" in finding.message


def test_a_late_admission_after_a_cancellation_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any], promoted: dict[str, Any]
) -> None:
    world.ask()
    world.decide()
    world.prod.add(EntryType.PROMOTION_CANCELLED, promoted, world.cancellation())
    world.admit()
    assert "cancelled before" in only(world.audit(tmp_path)).message


def test_a_promotion_is_used_once(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.promote()
    world.admit()
    assert "used before" in only(world.audit(tmp_path)).message


def test_a_revoked_bundle_is_not_admitted(
    tmp_path: Path, world: Any, only: Callable[..., Any], version: dict[str, Any]
) -> None:
    world.ask()
    world.prod.add(EntryType.VERSION_REVOKED, version)
    world.decide()
    world.admit()
    assert "revoked before" in only(world.audit(tmp_path)).message


@pytest.mark.parametrize("kind", [EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED])
def test_a_changed_policy_or_trust_is_its_document(
    tmp_path: Path, world: Any, only: Callable[..., Any], kind: EntryType
) -> None:
    world.dev.add(kind, None, b"the document", new="00" * 32)
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert "rests on the document" in finding.message


# --- people -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (("carol", "bob"), "bob approved a promotion as its requester"),
        (("carol", "alice"), "alice approved a promotion as its publisher"),
        (("carol", "carol"), "carol is counted twice"),
    ],
)
def test_an_approver_is_another_person_and_counts_once(
    tmp_path: Path, world: Any, only: Callable[..., Any], people: tuple[str, ...], words: str
) -> None:
    dossier = world.ask()
    for number, person in enumerate(people):
        world.approve(person, dossier, nonce=f"{number:032x}")
    world.decide()
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert words in finding.message


def test_a_decision_that_admits_nothing_new_is_held_to_the_same(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    approved(world, "bob")
    world.decide()
    assert "bob approved a promotion as its requester" in only(world.audit(tmp_path)).message


def test_the_signer_of_the_request_does_not_approve_whatever_the_dossier_says(
    tmp_path: Path, world: Any, only: Callable[..., Any], keys: dict[str, SigningKey]
) -> None:
    dossier = world.ask(request=world.request(keys["dave"]))
    world.approve("dave", dossier)
    world.decide()
    world.admit()
    assert "dave approved a promotion as its requester" in only(world.audit(tmp_path)).message


@pytest.mark.parametrize("party", ["requester", "publisher"])
def test_a_party_that_is_nobody_pinned_leaves_independence_open(
    tmp_path: Path, world: Any, only: Callable[..., Any], party: str
) -> None:
    dossier = world.ask(dossier=world.dossier(**{party: "spiffe://example.com/someone"}))
    world.approve("carol", dossier)
    world.decide()
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict is Verdict.CANNOT_VERIFY
    assert party in finding.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dossier_digest": "00" * 32}, "another dossier"),
        ({"source": "staging"}, "another source, policy or set of evidence"),
        ({"evidence_set_digest": "00" * 32}, "another source, policy or set of evidence"),
        ({"expires_at": "soon"}, "had expired"),
    ],
)
def test_a_counted_approval_is_bound_to_its_dossier_and_in_force(
    tmp_path: Path, world: Any, only: Callable[..., Any], changes: dict[str, Any], words: str
) -> None:
    if "expires_at" in changes:
        changes = {"expires_at": world.now + timedelta(seconds=3), "signed_at": world.now}
    approved(world, "carol", **changes)
    world.decide()
    world.admit()
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert words in finding.message


@pytest.mark.parametrize("meaning", ["withdrawn", "rejected"])
def test_an_approval_that_was_taken_back_does_not_count(
    tmp_path: Path, world: Any, only: Callable[..., Any], meaning: str
) -> None:
    dossier = approved(world, "carol")
    world.approve("carol", dossier, meaning=meaning)
    world.decide()
    world.admit()
    assert f"({meaning})" in only(world.audit(tmp_path)).message


def test_an_approval_under_an_older_policy_does_not_count_for_a_newer(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    approved(world, "carol")
    world.prod.change_policy("a stricter policy")
    world.decide()
    world.admit()
    assert "another policy than the decision" in only(world.audit(tmp_path)).message


def test_approvals_without_a_dossier_are_incomplete(
    tmp_path: Path, world: Any, only: Callable[..., Any], promoted: dict[str, Any]
) -> None:
    world.prod.add(EntryType.PROMOTION_REQUESTED, promoted, world.request())
    world.approve("carol", world.dossier())
    world.decide()
    world.admit()
    assert only(world.audit(tmp_path)).verdict is Verdict.INCOMPLETE


# --- statements ---------------------------------------------------------------------------------------------


def test_an_approval_by_an_unknown_signer_cannot_be_verified(
    tmp_path: Path, world: Any, only: Callable[..., Any], stranger: SigningKey
) -> None:
    dossier = world.ask()
    index = world.prod.add(
        EntryType.APPROVAL_RECORDED,
        world.prod_subject(),
        world.approval("carol", dossier, stranger),
        new="approved",
    )
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.index) == (Verdict.CANNOT_VERIFY, index)


def test_an_approval_by_an_environments_key_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any], keys: dict[str, SigningKey]
) -> None:
    dossier = world.ask()
    approval = world.approval("carol", dossier, keys["prod"])
    world.prod.add(EntryType.APPROVAL_RECORDED, world.prod_subject(), approval, new="approved")
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert "environment prod, who may not sign it" in finding.message


def test_evidence_by_an_unknown_signer_cannot_be_verified(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.export(tmp_path)
    data = world.pins_data()
    del data["people"]["evaluator"]
    world.pins_data = lambda: data
    assert only(world.audit(tmp_path)).verdict is Verdict.CANNOT_VERIFY


def test_a_forged_signature_by_a_known_key_is_tampered(
    tmp_path: Path, world: Any, only: Callable[..., Any], keys: dict[str, SigningKey], stranger: SigningKey
) -> None:
    forged = world.request(stranger).to_bytes()
    forged = forged.replace(stranger.key_id.encode(), keys["bob"].key_id.encode())
    world.prod.add(EntryType.PROMOTION_REQUESTED, world.prod_subject(), forged)
    assert only(world.audit(tmp_path)).verdict is Verdict.TAMPERED


@pytest.mark.parametrize(
    "document", [b"", b"not an envelope", b"{}", b"[" * 5000, b'{"payload":"' + b"A" * 100]
)
def test_a_document_that_is_no_statement_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any], document: bytes
) -> None:
    world.prod.add(EntryType.DECISION_MADE, world.prod_subject(), document, new="PASSED")
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert "not a signed statement" in finding.message


def test_a_statement_of_another_kind_is_found(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.prod.add(EntryType.DOSSIER_ISSUED, world.prod_subject(), world.decision())
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert "well signed and invalid" in finding.message


@pytest.mark.parametrize(
    "kind",
    [
        EntryType.EVIDENCE_ADDED,
        EntryType.PROMOTION_REQUESTED,
        EntryType.DOSSIER_ISSUED,
        EntryType.APPROVAL_RECORDED,
        EntryType.DECISION_MADE,
        EntryType.PROMOTION_CANCELLED,
        EntryType.PROMOTION_RECORDED,
    ],
)
def test_what_must_be_signed_rests_on_a_statement(
    tmp_path: Path, world: Any, only: Callable[..., Any], kind: EntryType
) -> None:
    index = world.prod.add(kind, world.prod_subject())
    finding = only(world.audit(tmp_path))
    assert (finding.verdict, finding.index) == (Verdict.INCOMPLETE, index)


def test_a_request_to_somewhere_else_is_found(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.prod.add(EntryType.PROMOTION_REQUESTED, world.prod_subject(), world.request(target="staging"))
    assert "from dev to staging" in only(world.audit(tmp_path)).message


def test_a_dossier_for_somewhere_else_is_found(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.prod.add(EntryType.EVIDENCE_ADDED, world.prod_subject(), world.evidence)
    world.prod.add(EntryType.DOSSIER_ISSUED, world.prod_subject(), world.dossier(target="staging"))
    assert "for staging" in only(world.audit(tmp_path)).message


def test_a_dossier_whose_evidence_is_not_in_the_log_is_incomplete(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    world.prod.add(EntryType.DOSSIER_ISSUED, world.prod_subject(), world.dossier())
    finding = only(world.audit(tmp_path))
    assert finding.verdict is Verdict.INCOMPLETE
    assert world.evidence.digest in finding.message


def test_an_approval_that_is_told_as_another_meaning_is_found(
    tmp_path: Path, world: Any, only: Callable[..., Any]
) -> None:
    dossier = world.ask()
    rejection = world.approval("carol", dossier, meaning="rejected")
    world.prod.add(EntryType.APPROVAL_RECORDED, world.prod_subject(), rejection, new="approved")
    assert "the approver signed 'rejected'" in only(world.audit(tmp_path)).message


def test_evidence_about_another_bundle_is_found(tmp_path: Path, world: Any, only: Callable[..., Any]) -> None:
    world.dev.add(EntryType.EVIDENCE_ADDED, {"bundle_digest": "00" * 32}, world.evidence)
    assert only(world.audit(tmp_path)).verdict is VIOLATED


def test_a_decision_as_evidence_is_its_environments_own(
    tmp_path: Path, world: Any, only: Callable[..., Any], keys: dict[str, SigningKey]
) -> None:
    forged = world.decision(keys["dev"])
    world.dev.add(EntryType.EVIDENCE_ADDED, {"bundle_digest": world.bundle}, forged)
    finding = only(world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert "the decision of prod" in finding.message


def test_a_decision_of_an_environment_without_pins_cannot_be_verified(
    tmp_path: Path, world: Any, only: Callable[..., Any], keys: dict[str, SigningKey]
) -> None:
    decision = world.decision(keys["dev"], verifier={"id": "urn:carnet:environment:staging"})
    world.dev.add(EntryType.EVIDENCE_ADDED, {"bundle_digest": world.bundle}, decision)
    assert only(world.audit(tmp_path)).verdict is Verdict.CANNOT_VERIFY
