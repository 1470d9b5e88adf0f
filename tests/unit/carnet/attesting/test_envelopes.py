"""Envelopes that others signed: their own bytes, about one bundle."""

from __future__ import annotations

import json

import pytest

from carnet.attesting.envelopes import MAX_ENVELOPES, read_envelopes
from carnet.attesting.report import Report
from carnet.canonical import sha256_hex
from carnet.errors import DocumentInvalidError, StatementInvalidError
from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, sign_statement

KEY = SigningKey.generate()
BUNDLE = "d" * 64
PROVENANCE = {
    "buildDefinition": {
        "buildType": "https://example.org/training/v1",
        "externalParameters": {"ref": "main"},
    },
    "runDetails": {
        "builder": {"id": "https://builder.example/v1"},
        "metadata": {"finishedOn": "2026-03-01T12:00:00.123456789Z"},
    },
}


def signed(predicate=PROVENANCE, *, kind="https://slsa.dev/provenance/v1", digest=BUNDLE, name="fraud"):
    return sign_statement(Statement(name, digest, kind, predicate), KEY).to_bytes()


def read(data):
    return read_envelopes(Report(data, "e.jsonl"), bundle_digest=BUNDLE)


def test_an_envelope_keeps_its_own_bytes_however_they_are_written():
    pretty = json.dumps(json.loads(signed()) | {"vendor": 1}, indent=2).encode()
    (found,) = read(b"\n" + pretty + b"\n")
    assert found.envelope.digest == sha256_hex(pretty)
    assert found.statement.predicate == PROVENANCE
    assert found.where == "e.jsonl"


def test_a_file_may_have_several_each_counted_once():
    other = signed({"x": 1}, kind="https://example.org/x")
    found = read(signed() + b"\r\n\n" + other + b"\n" + other)
    assert [each.where for each in found] == ["e.jsonl:1", "e.jsonl:3"]
    assert found[1].envelope.to_bytes() == other


BAD = [
    (b"", "e.jsonl:? ?"),
    (b"   \n", "e.jsonl"),
    (signed() + b"\n{}", "e.jsonl:2: the envelope"),
    (signed() + b"\nnope", "e.jsonl:2: "),
    (signed()[:-1], "e.jsonl: "),
    (json.dumps({"dsseEnvelope": {}}).encode(), "it is a Sigstore bundle"),
    (json.dumps({"_type": "https://in-toto.io/Statement/v1"}).encode(), "nobody signed"),
    (b"[]", "not a JSON object"),
    (b'{"payload": "e30", "payloadType": "x", "signatures": [{"sig": ""}]}', "base64"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_what_is_no_envelope_is_refused_with_its_line(data, message):
    with pytest.raises(DocumentInvalidError, match=message) as caught:
        read(data)
    assert caught.value.message.startswith("e.jsonl")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (signed(digest="a" * 64), "subject[0].digest.sha256"),
        (signed({"buildDefinition": {}}), "buildDefinition.buildType"),
        (signed(PROVENANCE | {"runDetails": {"builder": {}}}), "runDetails.builder.id"),
        (signed({}, kind="urn:carnet:approval:v1"), "predicateType"),
    ],
)
def test_what_is_about_another_bundle_or_malformed_stops_the_whole_file(data, field):
    with pytest.raises(StatementInvalidError, match="e.jsonl:2: ") as caught:
        read(signed() + b"\n" + data)
    assert caught.value.metadata["field"] == field


def test_too_many_are_refused():
    lines = [signed({"n": number}, kind="https://example.org/x") for number in range(MAX_ENVELOPES + 1)]
    with pytest.raises(DocumentInvalidError, match="more than 256"):
        read(b"\n".join(lines))
