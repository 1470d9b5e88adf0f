from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from carnet.errors import DocumentInvalidError
from carnet.serving.callers.certificates import PeerCertificate
from carnet.serving.callers.claims import Token
from carnet.serving.callers.issuers import IssuerDocument
from carnet.serving.callers.revocations import Revocation
from carnet_sync.callers import CallerRoles, Callers

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
CI = "spiffe://carnet.internal/service/ci"
JOB = "oidc:token.actions.githubusercontent.com:repo:acme/fraud"
CERTIFICATE = PeerCertificate(b"", "5f3a", "9c" * 32, 0.0)


def issuer(url: str = GITHUB) -> IssuerDocument:
    return IssuerDocument(issuer=url, audience="carnet-promotions")


def token(*, of: str = GITHUB, **claims: str) -> Token:
    return Token(JOB, of, {name: (value,) for name, value in claims.items()})


def by_claims(*roles: Any, of: str = GITHUB, **claims: str) -> CallerRoles:
    return CallerRoles(issuer=of, claims=claims, roles=roles)


def revoked(**names: str) -> Revocation:
    return Revocation(**names, since=datetime(2026, 1, 2, tzinfo=UTC), reason="lost")


def test_a_subject_has_its_roles_and_nobody_else_has_any() -> None:
    callers = Callers.of([CallerRoles(subject=CI, roles=("requester", "reader"))])
    assert callers.roles(CI) == {"requester", "reader"}
    assert callers.roles(CI + "-2") == frozenset()


def test_a_token_has_the_roles_of_every_entry_that_means_it_and_of_its_subject() -> None:
    callers = Callers.of(
        [
            by_claims("requester", repository="acme/*", ref="refs/heads/main"),
            by_claims("operator", environment="prod"),
            by_claims("operator", of=GITLAB, repository="acme/fraud"),
            CallerRoles(subject=JOB, roles=("reader",)),
        ],
        [issuer(), issuer(GITLAB)],
    )
    meant = token(repository="acme/fraud", ref="refs/heads/main")
    assert callers.roles_of_token(meant) == {"requester", "reader"}
    assert callers.roles_of_token(token(repository="acme/fraud", ref="refs/heads/x")) == {"reader"}
    assert callers.roles_of_token(token(repository="acme-evil/fraud", ref="refs/heads/main")) == {"reader"}
    assert callers.roles_of_token(token(environment="prod")) == {"operator", "reader"}


def test_who_is_revoked_has_no_role_whatever_is_bound() -> None:
    callers = Callers.of(
        [CallerRoles(subject=CI, roles=("reader",)), by_claims("operator", repository="acme/fraud")],
        [issuer()],
        [revoked(subject=CI), revoked(subject=JOB)],
    )
    assert callers.roles(CI) == frozenset()
    assert callers.roles_of_token(token(repository="acme/fraud")) == frozenset()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({"subject": CI}, True),
        ({"serial": "005f3a"}, True),
        ({"fingerprint": "9c" * 32}, True),
        ({"subject": CI + "-2"}, False),
        ({"serial": "5f3b"}, False),
        ({"fingerprint": "9d" * 32}, False),
    ],
)
def test_a_revocation_is_found_by_each_of_its_names(names: dict[str, str], found: bool) -> None:
    callers = Callers.of([], [], [revoked(**names)])
    assert (callers.revocation_of(CI, CERTIFICATE) is not None) is found
    assert (callers.revocation_of(CI) is not None) is (found and "subject" in names)


def test_issuers_are_found_by_their_exact_url() -> None:
    callers = Callers.of([], [issuer()])
    assert callers.issuer(GITHUB) is not None
    assert callers.issuer(GITHUB + "/") is None


@pytest.mark.parametrize(
    ("callers", "issuers", "said"),
    [
        ([CallerRoles(subject=CI, roles=("reader",))] * 2, [], r"callers\[1\].subject.*stands twice"),
        ([by_claims("reader", ref="x")], [issuer(GITLAB)], r"callers\[0\].issuer.*it has https://gitlab.com"),
        ([by_claims("reader", ref="x")], [], r"it has none"),
        ([], [issuer(), issuer()], r"oidc\[1\].issuer.*is there already"),
        ([], [issuer("http://issuer.example")], r"oidc\[0\].issuer.*must begin with https://"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(callers: Any, issuers: Any, said: str) -> None:
    with pytest.raises(DocumentInvalidError, match=said) as caught:
        Callers.of(callers, issuers, name="here.yaml")
    assert caught.value.message.startswith("here.yaml: ")


def test_what_is_in_force_is_the_same_only_if_it_is_one_object() -> None:
    assert Callers.of([]) != Callers.of([])
