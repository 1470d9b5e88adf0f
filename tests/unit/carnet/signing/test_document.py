"""What is signed about a policy or trust document, and the file that the signatures travel in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from carnet.canonical import sha256_hex
from carnet.errors import (
    DocumentInvalidError,
    InvalidInputError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.signing.document import (
    MAX_LINES,
    MAX_SIGNATURES_BYTES,
    DocumentSignature,
    read_header,
    sign_document,
    signatures_file,
    split_lines,
)
from carnet.signing.dsse import verify_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.passphrase import Passphrase
from carnet.signing.statement import Statement, parse_statement

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = b"schema: carnet.policy/v1\nenvironment: prod\nversion: 3\nsources: [staging]\n"
TRUST = b"schema: carnet.trust/v1\nenvironment: prod\nversion: 8\nroles: []\n"


@pytest.mark.parametrize(("data", "kind", "version"), [(POLICY, "policy", 3), (TRUST, "trust", 8)])
def test_what_is_signed_is_the_document_by_its_digest_environment_kind_and_version(data, kind, version):
    key = SigningKey.generate()
    header = read_header(data, name="document")
    envelope = sign_document(header, key, NOW)
    assert verify_envelope(envelope, {key.key_id: key.verification_key}) == key.key_id
    statement = parse_statement(envelope)
    assert (statement.subject_name, statement.subject_digest) == (f"{kind}.yaml", sha256_hex(data))
    said = DocumentSignature.parse(statement)
    assert (said.environment, said.kind, said.version, said.signed_at) == ("prod", kind, version, NOW)
    assert said.authentication == "none"
    assert str(header) == f"version {version} of prod's {kind}.yaml"


def test_a_signature_says_that_a_passphrase_was_typed():
    secret = Passphrase("correct horse battery", typed=True)
    key = SigningKey.from_pem(SigningKey.generate().to_pem(passphrase=secret), passphrase=secret)
    envelope = sign_document(read_header(POLICY, name="policy.yaml"), key, NOW)
    assert DocumentSignature.parse(parse_statement(envelope)).authentication == "passphrase"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "policy.yaml"),
        (b"{", "policy.yaml"),
        (b"\xff\xfe", "UTF-8"),
        (b"[]", "policy.yaml"),
        (b"schema: carnet.policy/v1\nenvironment: prod\n", "version"),
        (b"schema: carnet.policy/v2\nenvironment: prod\nversion: 1\n", "schema"),
        (b"schema: carnet.environment/v1\nenvironment: prod\nversion: 1\n", "schema"),
        (b"schema: carnet.policy/v1\nenvironment: Prod!\nversion: 1\n", "environment"),
        (b"schema: carnet.policy/v1\nenvironment: prod\nversion: 0\n", "version"),
        (b"schema: carnet.policy/v1\nenvironment: prod\nversion: 2147483648\n", "version"),
        (b"schema: carnet.policy/v1\nenvironment: prod\nversion: '1'\n", "version"),
        (b"schema: carnet.policy/v1\nenvironment: prod\nversion: 1\nversion: 2\n", "version"),
    ],
)
def test_what_is_no_document_is_not_signed(data, said):
    with pytest.raises(DocumentInvalidError, match=said):
        read_header(data, name="policy.yaml")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "other"}, "kind"),
        ({"environment": "Prod"}, "environment"),
        ({"version": 0}, "version"),
        ({"signed_at": datetime(2026, 1, 1)}, "signed_at"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_a_predicate_of_another_form_is_refused(fields, said):
    good = {"environment": "prod", "kind": "policy", "version": 1, "signed_at": NOW}
    with pytest.raises(InvalidInputError, match=said):
        DocumentSignature(**(good | fields))


@pytest.mark.parametrize("name", ["trust.yaml", "policy.yml", "prod/risk/fraud@1", ""])
def test_a_subject_of_another_name_is_refused(name):
    said = DocumentSignature(environment="prod", kind="policy", version=1, signed_at=NOW)
    statement = Statement(name, "a" * 64, DocumentSignature.PREDICATE_TYPE, said.to_predicate())
    with pytest.raises(StatementInvalidError, match="subject"):
        DocumentSignature.parse(statement)


def test_signatures_lie_beside_the_document():
    assert signatures_file(Path("a/policy.yaml")) == Path("a/policy.yaml.intoto.jsonl")


def test_lines_are_numbered_and_empty_ones_passed_over():
    assert split_lines(b"") == []
    assert split_lines(b"\na\r\n\n  \nb") == [(2, b"a\r"), (5, b"b")]


@pytest.mark.parametrize("data", [b"x" * (MAX_SIGNATURES_BYTES + 1), b"x\n" * (MAX_LINES + 1)])
def test_too_many_signatures_are_refused(data):
    with pytest.raises(SignatureInvalidError, match="at most"):
        split_lines(data)
