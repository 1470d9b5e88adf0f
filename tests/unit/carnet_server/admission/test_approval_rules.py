"""An approval counts only from another person, about the dossier that stands, as that person's latest word."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.errors import (
    CarnetError,
    ConflictError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
)
from carnet.signing.dsse import parse_envelope
from carnet.signing.statement import parse_statement
from carnet_policies.facts import Party
from carnet_server.admission.approval_rules import (
    approval_as_of_today,
    approvals_of_dossier,
    check_approval,
    counted_approvals,
)
from carnet_server.admission.domain import Signer
from carnet_server.admission.dossier import make_dossier
from tests.unit.carnet_server.admission.admissions import NOW, a_held_approval, an_admission, policy_of
from tests.unit.carnet_server.admission.parties import Parties, subject

BOB = Signer("b" * 64, subject("bob"), "bob")
CAROL = Signer("c" * 64, subject("carol"), None)
ALICE = Signer("a" * 64, subject("alice"), "alice")
CI = Signer("a" * 64, subject("ci"), None)
OTHER = "ef" * 32
AUTHORS = [Party(subject("ci"), "alice"), Party(subject("ci"), None)]


@pytest.fixture(scope="module")
def parties():
    return Parties()


@pytest.fixture
def admission():
    return an_admission(dossier_digest="d" * 64)


@pytest.fixture
def dossier(admission):
    return make_dossier(admission, ["e" * 64], environment="staging", policy=policy_of(), now=NOW)


def check(parties, admission, dossier, *, approver=BOB, now=NOW, **changes):
    times = {"signed_at": NOW, "expires_at": NOW + timedelta(days=1)}
    signed = parties.approval(admission, dossier, **{**times, **changes})
    return check_approval(parse_statement(parse_envelope(signed)), approver, admission, dossier, now=now)


def test_an_approval_of_the_standing_dossier_is_read(parties, admission, dossier):
    assert check(parties, admission, dossier).meaning == "approved"


TRANSPLANTS = {
    "of another promotion": ({"promotion": "2" * 32}, StatementInvalidError),
    "from another source": ({"source": "prod"}, StatementInvalidError),
    "for another target": ({"target": "prod"}, StatementInvalidError),
    "of another dossier": ({"dossier_digest": OTHER}, ConflictError),
    "of another policy": ({"policy_digest": OTHER}, StatementInvalidError),
    "of another set of evidence": ({"evidence_set_digest": OTHER}, StatementInvalidError),
    "about another bundle": ({"about": ("dev/risk/fraud@1", OTHER)}, StatementInvalidError),
    "about another name": (
        {"about": ("dev/risk/credit@1", an_admission().bundle_digest)},
        StatementInvalidError,
    ),
    "from the future": ({"signed_at": NOW + timedelta(minutes=2)}, StatementInvalidError),
}


@pytest.mark.parametrize(("changes", "error"), TRANSPLANTS.values(), ids=TRANSPLANTS)
def test_a_transplanted_approval_is_refused(parties, admission, dossier, changes, error):
    with pytest.raises(error):
        check(parties, admission, dossier, **changes)


def test_an_expired_approval_is_refused(parties, admission, dossier):
    with pytest.raises(StatementInvalidError, match="expired"):
        check(parties, admission, dossier, now=NOW + timedelta(days=1))


def test_an_expired_dossier_is_approved_by_nobody(parties, admission, dossier):
    later = NOW + timedelta(days=3)
    with pytest.raises(PreconditionFailedError, match="dossier expired"):
        check(parties, admission, dossier, now=later, expires_at=later + timedelta(days=1))


@pytest.mark.parametrize("approver", [ALICE, CI], ids=["as a person", "as the subject"])
@pytest.mark.parametrize("meaning", ["approved", "reviewed"])
def test_nobody_approves_their_own(parties, admission, dossier, approver, meaning):
    with pytest.raises(PermissionDeniedError, match="approvers must be other people"):
        check(parties, admission, dossier, approver=approver, meaning=meaning)


@pytest.mark.parametrize("meaning", ["rejected", "withdrawn"])
def test_speaking_against_their_own_is_open_to_everybody(parties, admission, dossier, meaning):
    assert check(parties, admission, dossier, approver=ALICE, meaning=meaning).meaning == meaning


def test_an_approver_without_a_person_is_heard(parties, admission, dossier):
    unknown = an_admission(dossier_digest="d" * 64, publisher_person=None, requester_person=None)
    assert check(parties, unknown, dossier, approver=CAROL).meaning == "approved"


def test_a_persons_latest_word_holds():
    first = a_held_approval()
    withdrawn = a_held_approval(meaning="withdrawn")
    again = a_held_approval()
    assert counted_approvals([first], AUTHORS, now=NOW) == (first,)
    assert counted_approvals([first, withdrawn], AUTHORS, now=NOW) == ()
    assert counted_approvals([first, withdrawn, again], AUTHORS, now=NOW) == (again,)


@pytest.mark.parametrize(
    "changes",
    [
        {"person": None},
        {"person": "alice"},
        {"meaning": "reviewed"},
        {"meaning": "rejected"},
        {"expires_at": NOW},
    ],
    ids=str,
)
def test_what_is_no_approval_of_another_person_is_not_counted(changes):
    assert counted_approvals([a_held_approval(**changes)], AUTHORS, now=NOW) == ()


def test_what_was_said_about_another_dossier_is_left_out():
    held = a_held_approval()
    assert approvals_of_dossier([held], "d" * 64) == (held,)
    assert approvals_of_dossier([held], OTHER) == ()
    assert approvals_of_dossier([held], None) == ()


@pytest.mark.parametrize("field", ["promotion", "nonce", "meaning", "reason"])
def test_a_malformed_approval_is_refused_with_a_typed_error(parties, admission, dossier, field):
    signed = parse_statement(parse_envelope(parties.approval(admission, dossier)))
    signed.predicate[field] = "\x00"
    with pytest.raises(CarnetError):
        check_approval(signed, BOB, admission, dossier, now=NOW)


TAKEN_AWAY = {
    "nothing": ({}, "bob"),
    "the key": ({"keys": []}, None),
    "the person": ({"people": []}, None),
    "the role": ({"roles": [{"subject": subject("bob"), "roles": ["reader"]}]}, None),
    "the role in this namespace": (
        {"roles": [{"subject": subject("bob"), "roles": ["approver"], "namespaces": ["loans"]}]},
        None,
    ),
}


@pytest.mark.parametrize(("changes", "person"), TAKEN_AWAY.values(), ids=TAKEN_AWAY)
def test_an_approval_counts_only_as_long_as_its_approver_is_one(parties, changes, person):
    held = a_held_approval(approver_key_id=parties.keys["bob"].key_id)
    trust = parties.trust("staging", **changes)
    assert approval_as_of_today(held, "risk", trust, alias="champion").person == person
