from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError, StatementInvalidError
from carnet.signing.dsse import PAYLOAD_TYPE, Envelope, Signature, sign_payload, verify_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, parse_statement, sign_statement

KEY = SigningKey.generate()
STATEMENT = Statement("dev/risk/fraud@3", "a" * 64, "urn:example:v1", {"b": 1, "a": [True, None]})
VALUE = json.loads(STATEMENT.to_payload())


def envelope_of(value: object, payload_type: str = PAYLOAD_TYPE) -> Envelope:
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Envelope(payload, payload_type, (Signature("", b"x"),))


def test_a_statement_is_read_back_as_it_was_signed() -> None:
    envelope = sign_statement(STATEMENT, KEY)

    assert verify_envelope(envelope, {KEY.key_id: KEY.verification_key}) == KEY.key_id
    assert parse_statement(envelope) == STATEMENT


def test_the_payload_is_canonical_json_of_a_statement_v1() -> None:
    assert STATEMENT.to_payload() == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":[true,null],"b":1},'
        b'"predicateType":"urn:example:v1","subject":[{"digest":{"sha256":"' + b"a" * 64 + b'"},'
        b'"name":"dev/risk/fraud@3"}]}'
    )


def test_annotations_other_digests_and_unknown_fields_are_taken() -> None:
    subject = {
        "name": "x",
        "digest": {"sha256": "b" * 64, "sha512": "c" * 128},
        "annotations": {"note": "hi"},
    }

    statement = parse_statement(envelope_of(VALUE | {"subject": [subject], "extra": 1}))

    assert (statement.subject_name, statement.subject_digest) == ("x", "b" * 64)


def with_subject(subject: object) -> dict[str, object]:
    return VALUE | {"subject": subject}


ONE = VALUE["subject"][0]
BAD = {
    "_type": VALUE | {"_type": "https://in-toto.io/Statement/v0.1"},
    "predicateType": VALUE | {"predicateType": ""},
    "predicate": VALUE | {"predicate": []},
    "subject": with_subject([]),
    "subject, two": with_subject([ONE, ONE]),
    "subject, an object": with_subject(ONE),
    "subject, a text": with_subject(["x"]),
    "subject[0].name": with_subject([{"digest": ONE["digest"]}]),
    "subject[0].name, empty": with_subject([ONE | {"name": ""}]),
    "subject[0].digest.sha256": with_subject([ONE | {"digest": {"sha512": "a" * 128}}]),
    "subject[0].digest.sha256, upper case": with_subject([ONE | {"digest": {"sha256": "A" * 64}}]),
    "subject[0].digest.sha256, a list": with_subject([ONE | {"digest": ["a" * 64]}]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_statement_that_breaks_the_form_names_the_field(name: str) -> None:
    with pytest.raises(StatementInvalidError) as caught:
        parse_statement(envelope_of(BAD[name]))
    assert caught.value.metadata["field"] == name.split(",", maxsplit=1)[0]


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"_type":1,"_type":1}', b"\xff"])
def test_what_is_not_a_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(StatementInvalidError):
        parse_statement(envelope_of(payload))


def test_another_payload_type_is_refused_though_well_signed() -> None:
    envelope = sign_payload(STATEMENT.to_payload(), "application/json", KEY)

    with pytest.raises(StatementInvalidError, match="payloadType"):
        parse_statement(envelope)


def test_a_predicate_without_canonical_form_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        sign_statement(Statement("x", "a" * 64, "urn:x", {"n": float("nan")}), KEY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(VALUE)), json_values)
def test_any_value_in_any_field_is_read_or_refused_with_our_errors(field: str, value: object) -> None:
    try:
        parse_statement(envelope_of(VALUE | {field: value}))
    except StatementInvalidError:
        return
