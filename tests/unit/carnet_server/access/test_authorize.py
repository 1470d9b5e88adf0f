"""Who is calling, and what is said to whoever may not."""

from __future__ import annotations

import contextvars
from datetime import UTC, datetime

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from carnet.errors import PermissionDeniedError, UnauthenticatedError
from carnet.serving.call_scope import CERTIFICATE_PROPERTY, SPIFFE_PROPERTY
from carnet_server.access.authorize import require
from carnet_server.access.identity import recognise
from carnet_server.access.scope import current_caller, enter_scope
from carnet_server.access.trust import load_trust
from carnet_server.local.authority import Authority

CI = "spiffe://carnet.test/service/ci"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ci")
    Authority.create("carnet.test").issue(folder, spiffe_id=CI)
    return (folder / "tls.pem").read_bytes()


@pytest.fixture
def trust(certificate):
    Call.certificate = certificate
    return load()


def load(**fields):
    document = {
        "schema": "carnet.trust/v1",
        "environment": "dev",
        "version": 1,
        "people": [{"name": "alice", "subjects": [CI]}],
        "roles": [{"subject": CI, "roles": ["publisher"], "namespaces": ["risk"]}],
    } | fields
    return load_trust(yaml.safe_dump(document).encode(), environment="dev")


class Call:
    """A call, as far as its caller is concerned."""

    certificate = b""

    def __init__(self, *subjects: str):
        self._subjects = [subject.encode() for subject in subjects]

    def auth_context(self):
        if not self._subjects:
            return {}
        return {SPIFFE_PROPERTY: self._subjects, CERTIFICATE_PROPERTY: [self.certificate]}


def test_a_caller_is_who_the_certificate_says(trust):
    caller = recognise(Call(CI), trust)
    assert (caller.subject, caller.person, caller.issuer) == (CI, "alice", "spiffe://carnet.test")
    assert (caller.actor.subject, caller.actor.method) == (CI, "mtls")


@pytest.mark.parametrize("subjects", [(), (CI, "spiffe://carnet.test/service/other")])
def test_no_identity_and_two_identities_are_none(trust, subjects):
    with pytest.raises(UnauthenticatedError, match="exactly one SPIFFE id"):
        recognise(Call(*subjects), trust)


def test_a_role_is_needed_where_it_is_wanted(trust):
    caller = recognise(Call(CI), trust)
    require(caller, "publisher", namespace="risk")
    require(caller, "operator", "publisher", namespace=None)
    for roles, namespace in [(("publisher",), "growth"), (("operator",), "risk"), ((), "risk")]:
        with pytest.raises(PermissionDeniedError):
            require(caller, *roles, namespace=namespace)


def test_a_refusal_names_the_caller_the_place_and_the_roles(trust):
    with pytest.raises(PermissionDeniedError) as refused:
        require(recognise(Call(CI), trust), "operator", "admin", namespace="risk")
    assert all(part in refused.value.message for part in (CI, "'risk'", "admin or operator", "trust.yaml"))
    assert refused.value.metadata == {"subject": CI, "roles": "admin,operator"}


def test_somebody_without_any_role_may_do_nothing(trust):
    stranger = recognise(Call("spiffe://carnet.test/person/mallory"), trust)
    assert stranger.person is None
    with pytest.raises(PermissionDeniedError):
        require(stranger, "reader", namespace=None)


def test_the_scope_ends_with_its_task(trust):
    caller = recognise(Call(CI), trust)

    def task():
        enter_scope(caller)
        return current_caller()

    def outside():
        assert contextvars.copy_context().run(task) is caller
        with pytest.raises(UnauthenticatedError, match="nobody is calling"):
            current_caller()

    contextvars.Context().run(outside)


def test_a_certificate_that_ended_is_nobodys(trust, tmp_path):
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    Authority.create("carnet.test").issue(tmp_path, spiffe_id=CI, now=long_ago)
    Call.certificate = (tmp_path / "tls.pem").read_bytes()
    with pytest.raises(UnauthenticatedError, match="has ended"):
        recognise(Call(CI), trust)


@pytest.mark.parametrize("name", ["subject", "serial", "fingerprint"])
def test_a_revoked_identity_is_nobody_by_any_of_its_names(trust, name):
    read = x509.load_pem_x509_certificate(Call.certificate)
    names = {
        "subject": CI,
        "serial": f"{read.serial_number:x}",
        "fingerprint": read.fingerprint(hashes.SHA256()).hex(),
    }
    entry = {name: names[name], "since": "2026-01-02T03:04:05Z", "reason": "the laptop was stolen"}
    with pytest.raises(UnauthenticatedError, match="compromised since 2026-01-02 03:04") as caught:
        recognise(Call(CI), load(revoked=[entry]))
    assert "laptop" not in caught.value.message
    other = entry | {name: {"subject": f"{CI}-2", "serial": "a1", "fingerprint": "0" * 64}[name]}
    assert recognise(Call(CI), load(revoked=[other])).subject == CI
