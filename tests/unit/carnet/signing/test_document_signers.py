"""Who must have signed a document: people are counted, and only what they said of this very document."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from carnet.documents import parse_document
from carnet.errors import DocumentInvalidError, FileUnreadableError, GateAwaitingError, SignatureInvalidError
from carnet.signing.document import MAX_LINES, read_header, sign_document
from carnet.signing.document_signers import SignersDocument, read_environment_signers
from carnet.signing.dsse import sign_payload
from carnet.signing.keys import SigningKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = read_header(b"schema: carnet.policy/v1\nenvironment: prod\nversion: 3\n", name="policy.yaml")
KEYS = {name: SigningKey.generate() for name in ("alice", "alice-too", "bob", "carol", "mallory")}
PEOPLE = {"alice": "alice", "alice-too": "alice", "bob": "bob", "carol": "carol"}
SIGNERS = [{"person": person, "pem": KEYS[name].verification_key.pem} for name, person in PEOPLE.items()]


def part(signatures=2, signers=SIGNERS):
    return {"signatures": signatures, "signers": signers}


def load(value):
    return parse_document(yaml.safe_dump(value).encode(), SignersDocument, name="documents")


TWO = load(part()).to_signers()


def line(name, header=HEADER) -> bytes:
    return sign_document(header, KEYS[name], NOW).to_bytes() + b"\n"


def names(judgement):
    return [each.person for each in judgement.signed]


def test_two_people_suffice_where_two_are_wanted():
    judgement = TWO.judge(HEADER, line("bob") + line("alice"))
    judgement.require()
    assert names(judgement) == ["bob", "alice"]
    assert judgement.problems == ()
    assert TWO.judge(HEADER, judgement.lines).suffices


@pytest.mark.parametrize(
    ("signatures", "said"),
    [
        (b"", "nobody signed it"),
        (line("alice"), "alice signed it"),
        (line("alice") + line("alice"), "line 2 counts for nothing: alice signed already"),
        (line("alice") + line("alice-too"), "line 2 counts for nothing: alice signed already"),
        (line("alice") + line("mallory"), "no signature is by a key that is trusted here"),
        (line("alice") + line("bob", replace(HEADER, environment="staging")), "of staging's policy.yaml"),
        (line("alice") + line("bob", replace(HEADER, kind="trust")), "of prod's trust.yaml"),
        (line("alice") + line("bob", replace(HEADER, version=2)), "it is for version 2"),
        (line("alice") + line("bob", replace(HEADER, version=4)), "it is for version 4"),
        (line("alice") + line("bob", replace(HEADER, digest="a" * 64)), "it is over other bytes"),
        (line("alice") + b"{\n", "line 2 counts for nothing: the envelope is not well-formed JSON"),
        (line("alice") + b"[]\n", "not a JSON object"),
        (line("alice") + b"\xff\n", "not well-formed"),
        (line("alice") + b'{"payload": "", "payloadType": "x", "signatures": []}', "signatures"),
    ],
)
def test_too_few_people_are_refused_with_the_reason(signatures, said):
    judgement = TWO.judge(HEADER, signatures)
    assert not judgement.suffices
    with pytest.raises(GateAwaitingError) as caught:
        judgement.require()
    assert said in caught.value.message
    assert "carnet document sign" in caught.value.message
    assert caught.value.metadata == {"wanted": "2", "signed": str(len(judgement.signed))}


def test_a_forged_signature_in_a_signers_name_counts_for_nothing():
    envelope = json.loads(line("mallory"))
    envelope["signatures"][0]["keyid"] = KEYS["bob"].key_id
    judgement = TWO.judge(HEADER, line("alice") + json.dumps(envelope).encode())
    assert names(judgement) == ["alice"]


def test_another_statement_by_a_signer_counts_for_nothing():
    other = sign_payload(
        b'{"_type": "https://in-toto.io/Statement/v1"}', "application/vnd.in-toto+json", KEYS["bob"]
    )
    foreign = sign_payload(b"{}", "text/plain", KEYS["bob"])
    signatures = line("alice") + other.to_bytes() + b"\n" + foreign.to_bytes()
    judgement = TWO.judge(HEADER, signatures)
    assert names(judgement) == ["alice"]
    assert len(judgement.problems) == 2


@given(st.lists(st.sampled_from(["alice", "alice-too", "bob", "carol", "mallory", "junk"]), max_size=8))
def test_exactly_the_different_people_count_whatever_else_stands_there(written):
    made = b"".join(LINES[name] for name in written)
    judgement = TWO.judge(HEADER, made)
    people = {PEOPLE[name] for name in written if name in PEOPLE}
    assert set(names(judgement)) == people
    assert judgement.suffices == (len(people) >= 2)
    assert len(judgement.signed) + len(judgement.problems) == len(written)


LINES = {name: line(name) for name in KEYS} | {"junk": b"{]\n"}


def test_too_many_lines_are_refused_as_a_whole():
    with pytest.raises(SignatureInvalidError, match="at most"):
        TWO.judge(HEADER, LINES["junk"] * (MAX_LINES + 1))


# --- the part of environment.yaml ---------------------------------------------------------------------------


def test_one_person_signs_where_no_number_is_said():
    assert load({"signers": SIGNERS}).to_signers().wanted == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (part(signatures=4), "4 are more than the people among the signers, 3"),
        (part(signatures=2, signers=SIGNERS[:2]), "2 are more than the people among the signers, 1"),
        (part(signatures=0), "signatures"),
        (part(signatures="2"), "signatures"),
        (part(signers=[]), "signers"),
        ({"signatures": 1}, "signers"),
        (part(signers=[*SIGNERS, dict(SIGNERS[0], person="dave")]), "one key stands there twice"),
        (part(1, [{"person": "alice", "pem": "no key"}]), "not a public key"),
        (part(1, [{"person": "Alice!", "pem": SIGNERS[0]["pem"]}]), "person"),
        (part() | {"surplus": 1}, "surplus"),
    ],
)
def test_a_part_that_cannot_be_met_is_refused(value, said):
    with pytest.raises(DocumentInvalidError, match=said):
        load(value)


def test_an_environments_signers_are_read_without_the_rest(tmp_path):
    path = tmp_path / "environment.yaml"
    path.write_text(yaml.safe_dump({"name": "prod", "listen": 7, "documents": part()}))
    assert read_environment_signers(path) == ("prod", TWO)
    path.write_text(yaml.safe_dump({"name": "dev"}))
    assert read_environment_signers(path) == ("dev", None)


def test_an_environment_that_cannot_be_read_is_an_error_of_ours(tmp_path):
    with pytest.raises(FileUnreadableError):
        read_environment_signers(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("documents: {}")
    with pytest.raises(DocumentInvalidError):
        read_environment_signers(tmp_path / "bad.yaml")
