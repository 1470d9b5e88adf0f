"""Claims in the trust document: whom they mean, and what a token can never have."""

from __future__ import annotations

import pytest
import yaml

from carnet.errors import DocumentInvalidError
from carnet.serving.callers.claims import Token, TokenPattern, claim_values
from carnet.serving.callers.subjects import oidc_subject
from carnet_server.access.trust import load_trust

GITHUB = "https://token.actions.githubusercontent.com"
CLAIMS = {"repository": "acme/fraud", "ref": "refs/heads/main", "actor": "alice-acme"}
SUBJECT = oidc_subject(GITHUB, "repo:acme/fraud:ref:refs/heads/main")


def token(issuer=GITHUB, **claims):
    return Token(SUBJECT, issuer, claim_values(CLAIMS | claims))


def load(**fields):
    document = {
        "schema": "carnet.trust/v1",
        "environment": "dev",
        "version": 1,
        "oidc": [{"issuer": GITHUB, "audience": "carnet-dev"}],
    } | fields
    return load_trust(yaml.safe_dump(document).encode(), environment="dev")


def binding(**fields):
    return {"issuer": GITHUB, "claims": {"repository": "acme/fraud"}, "roles": ["publisher"]} | fields


@pytest.mark.parametrize(
    ("claims", "means"),
    [
        ({"repository": "acme/fraud"}, True),
        ({"repository": "acme/*"}, True),
        ({"repository": "acme/fraud", "ref": "refs/heads/*"}, True),
        ({"repository": "acme/fraud", "ref": "refs/tags/*"}, False),
        ({"repository": "Acme/fraud"}, False),
        ({"repository": "acme/fraud2"}, False),
        ({"environment": "prod"}, False),
        ({"repository": "acme/fraud", "environment": "*"}, False),
    ],
)
def test_all_claims_that_are_named_must_match(claims, means):
    assert TokenPattern(issuer=GITHUB, claims=claims).matches(token()) is means


def test_claims_of_another_issuer_mean_nobody():
    assert not TokenPattern(issuer=GITHUB, claims={"actor": "alice-acme"}).matches(
        token("https://gitlab.com")
    )


def test_a_token_has_the_roles_of_its_claims_and_of_its_subject_and_nobody_else_has_them():
    trust = load(roles=[binding(namespaces=["risk"]), {"subject": SUBJECT, "roles": ["reader"]}])
    assert trust.roles(SUBJECT, "risk") == {"reader"}
    own = trust.for_token(token())
    assert own.roles(SUBJECT, "risk") == {"publisher", "reader"}
    assert trust.roles(SUBJECT, "risk") == {"reader"}
    assert own.acting_roles(SUBJECT, "risk") == {"publisher", "reader"}
    assert own.acting_roles(SUBJECT, "growth") == {"reader"}
    assert trust.acting_roles(SUBJECT, "risk") == {"reader"}
    assert own.digest == trust.digest


def test_a_person_is_who_the_claims_say_and_two_people_are_nobody():
    alice = {"name": "alice", "claims": [{"issuer": GITHUB, "claims": {"actor": "alice-acme"}}]}
    assert load(people=[alice]).for_token(token()).person_of(SUBJECT) == "alice"
    assert load(people=[alice]).for_token(token(actor="bob")).person_of(SUBJECT) is None
    also = {"name": "bob", "claims": [{"issuer": GITHUB, "claims": {"repository": "acme/fraud"}}]}
    assert load(people=[alice, also]).for_token(token()).person_of(SUBJECT) is None
    by_subject = {"name": "carol", "subjects": [SUBJECT]}
    assert load(people=[alice, by_subject]).for_token(token()).person_of(SUBJECT) is None
    assert load(people=[by_subject]).for_token(token()).person_of(SUBJECT) == "carol"


def test_a_subject_of_one_issuer_is_no_subject_of_another():
    made = {
        oidc_subject("https://a.example", "b:c"),
        oidc_subject("https://a.example:8443", "b:c"),
        oidc_subject("https://a.example/b", "c"),
        oidc_subject("https://a.example", "b%3Ac"),
    }
    assert len(made) == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"roles": [binding(roles=["promoter"])]}, "cannot be had by a token"),
        ({"roles": [{"subject": SUBJECT, "roles": ["promoter"]}]}, "cannot be had by a token"),
        ({"roles": [binding(roles=["peer"])]}, "roles[0].roles[0]: "),
        ({"roles": [binding(subject=SUBJECT)]}, "either subject, or issuer"),
        ({"roles": [{"roles": ["reader"]}]}, "either subject, or issuer"),
        ({"roles": [{"subject": SUBJECT, "claims": {"a": "b"}, "roles": ["reader"]}]}, "either subject"),
        ({"roles": [binding(claims={})]}, "claims"),
        ({"roles": [binding(claims={"repository": "*"})]}, "means everybody"),
        ({"roles": [binding(claims={"repository": "*/fraud"})]}, "roles[0].claims.repository"),
        (
            {"roles": [binding(issuer="https://gitlab.com")]},
            "roles[0].issuer: https://gitlab.com is not among",
        ),
        ({"denied": [binding(issuer="https://gitlab.com")]}, "denied[0].issuer"),
        ({"oidc": [{"issuer": "http://token.example", "audience": "a"}]}, "must begin with https://"),
        ({"oidc": [{"issuer": "https://u@token.example", "audience": "a"}]}, "oidc[0].issuer"),
        (
            {"oidc": [{"issuer": GITHUB, "audience": "a"}, {"issuer": f"{GITHUB}/", "audience": "b"}]},
            "already",
        ),
        ({"oidc": [{"issuer": GITHUB}]}, "oidc[0].audience"),
        ({"oidc": [{"issuer": GITHUB, "audience": "a", "algorithms": ["HS256"]}]}, "oidc[0].algorithms[0]"),
        (
            {"people": [{"name": "alice", "claims": [{"issuer": GITHUB, "claims": {"actor": "al*"}}]}]},
            "whole values",
        ),
        ({"peers": [{"environment": "prod", "subject": SUBJECT}]}, "peers[0].subject"),
    ],
)
def test_a_document_that_would_let_too_many_in_is_refused(fields, message):
    with pytest.raises(DocumentInvalidError) as refused:
        load(**fields)
    assert message in refused.value.message
