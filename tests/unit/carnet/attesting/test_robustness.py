"""No file, however broken, makes anything but a statement of its schema or an error that names the file."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.attesting.envelopes import read_envelopes
from carnet.attesting.kinds import KINDS, recognise
from carnet.attesting.report import Report
from carnet.attesting.statement import Options, make_statement
from carnet.errors import DocumentInvalidError, StatementInvalidError
from carnet.signing.evidence_content import content_of
from tests.support.fuzzing import examples
from tests.unit.carnet.attesting.test_golden import CASES, GOLDEN

QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def attempt(data: bytes, kind: str | None) -> None:
    suite = None if kind in (None, "https://example.org/x") else "suite"
    try:
        statement = make_statement(
            data,
            name="the-file",
            kind=kind,
            options=Options(suite),
            subject_name="dev/risk/fraud@3",
            subject_digest="d" * 64,
        )
    except DocumentInvalidError as error:
        refused = error
    else:
        content_of(statement)
        statement.to_payload()
        return
    assert "the-file" in refused.message or refused.metadata["field"] == "kind"


@pytest.mark.parametrize("kind", [*KINDS, None, "https://example.org/x"])
@given(data=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@QUICK
def test_arbitrary_bytes(kind, data):
    attempt(data, kind)


@pytest.mark.parametrize(("name", "kind"), [(case[0], case[1]) for case in CASES])
@given(data=st.data())
@QUICK
def test_a_file_with_a_piece_cut_out_or_put_in(name, kind, data):
    good = (GOLDEN / name).read_bytes()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    attempt(good[:start] + data.draw(st.binary(max_size=12)) + good[end:], kind)


def paths(value, path=()):
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in items:
            yield from paths(child, (*path, key))


def put(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize(
    ("name", "kind"), [(case[0], case[1]) for case in CASES if case[0].endswith(("json", "sarif"))]
)
@given(data=st.data())
@QUICK
def test_a_document_with_a_value_exchanged(name, kind, data):
    good = json.loads((GOLDEN / name).read_bytes())
    path = data.draw(st.sampled_from(list(paths(good))))
    attempt(json.dumps(put(good, path, data.draw(JSON))).encode(), kind)


@given(data=st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
@QUICK
def test_arbitrary_bytes_for_envelopes(data):
    with pytest.raises((DocumentInvalidError, StatementInvalidError), match="the-file"):
        read_envelopes(Report(data, "the-file"), bundle_digest="d" * 64)


@given(data=st.binary(max_size=80))
@QUICK
def test_recognising_arbitrary_bytes(data):
    try:
        said = recognise(Report(data, "the-file"))
    except DocumentInvalidError as error:
        said = error.message
    assert said in KINDS or "the-file" in said
