"""A report is verified row by row against the logs; whatever else it says is found, and no file is a crash."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.audit.reports.compare import DIFFERENCES_MAX, verify_report
from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.observed import RegistryAnswers
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.audit.reports.sealing import REPORT_PAYLOAD_TYPE, open_report, seal_report
from carnet.canonical import canonical_json
from carnet.errors import (
    IntegrityError,
    KeyUntrustedError,
    ProofInvalidError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.signing.dsse import sign_payload
from carnet.translog.entry import EntryType
from tests.support.fuzzing import examples
from tests.unit.carnet.audit.conftest import KEYS, PROMOTION, START, STRANGER, VERSION, World

ASKED = {
    "dossier": {"promotion": PROMOTION},
    "at": {"at": START + timedelta(days=1), "reference": "prod/risk/fraud@champion"},
}


def query_of(kind):
    return ReportQuery(ReportKind(kind), **ASKED.get(kind, {}))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A world with a promotion, exported; shared, so that nobody changes it."""
    world = World()
    world.promote()
    directory = tmp_path_factory.mktemp("export")
    world.export(directory)
    return world, directory


def made(told, kind, **options):
    world, directory = told
    return derive_report(directory, world.pins(), query_of(kind), generated_at=START, **options).report


def value_of(sealed):
    """The JSON object in a report's file."""
    outer = json.loads(sealed)
    return json.loads(b64decode(outer["payload"])) if "payload" in outer else outer


def signed(value, key=None):
    return sign_payload(canonical_json(value), REPORT_PAYLOAD_TYPE, key or KEYS["dave"]).to_bytes()


def verdict(told, data):
    world, directory = told
    return verify_report(data, directory, world.pins())


@pytest.mark.parametrize("kind", ReportKind)
def test_every_report_is_found_to_say_what_the_logs_say(told, kind):
    found = verdict(told, seal_report(made(told, kind), KEYS["dave"]))
    assert found.ok, found.differences
    assert (found.kind, found.signer, found.observed) == (kind, "dave", ())
    assert found.rows == sum(len(table.rows) for table in made(told, kind).tables)


@pytest.mark.parametrize("kind", ReportKind)
def test_the_same_question_gives_the_same_bytes_but_for_the_time(told, kind):
    world, directory = told
    first = seal_report(made(told, kind), None)
    later = derive_report(directory, world.pins(), query_of(kind), generated_at=START + timedelta(days=9))
    assert first.replace(b"2026-03-01T12:00:00Z", b"2026-03-10T12:00:00Z", 1) != first
    value = json.loads(first)
    again = json.loads(seal_report(later.report, None))
    assert value.pop("generated_at") != again.pop("generated_at")
    assert canonical_json(value) == canonical_json(again)


@pytest.mark.parametrize("kind", ReportKind)
def test_a_report_still_verifies_when_the_logs_have_grown(tmp_path, kind):
    world = World()
    world.promote()
    world.export(tmp_path)
    query = ReportQuery(
        ReportKind(kind),
        **ASKED.get(kind, {}) | ({"at": world.now} if kind == "at" else {}),
    )
    sealed = seal_report(
        derive_report(tmp_path, world.pins(), query, generated_at=START).report, KEYS["carol"]
    )
    second = VERSION | {"version": 2, "bundle_digest": "2" * 64}
    for log in (world.dev, world.prod):
        log.add(EntryType.VERSION_PUBLISHED, second)
        log.add(EntryType.ALIAS_MOVED, second | {"alias": "champion"}, old="1", new="2")
        log.add(EntryType.VERSION_REVOKED, VERSION, old="registered", new="revoked")
        log.add(EntryType.HOLD_PLACED, VERSION | {"hold": 1}, b"{}")
        log.change_policy(f"another policy of {log.name}")
    world.export(tmp_path)
    found = verify_report(sealed, tmp_path, world.pins())
    assert found.ok, (found.differences, found.audit.findings)


# --- tampered ------------------------------------------------------------------------------------------------


def table_of(value, name):
    (table,) = [each for each in value["tables"] if each["name"] == name]
    return table


def drop_row(value):
    del table_of(value, "changes")["rows"][3]


def invent_row(value):
    rows = table_of(value, "changes")["rows"]
    rows.append([*rows[-1][:1], 99, *rows[-1][2:]])


def change_cell(value):
    table_of(value, "changes")["rows"][6][4] = "mallory"


def swap_rows(value):
    rows = table_of(value, "changes")["rows"]
    rows[0], rows[1] = rows[1], rows[0]


def repeat_row(value):
    rows = table_of(value, "changes")["rows"]
    rows.insert(0, rows[0])


def change_count(value):
    table_of(value, "counts")["rows"][0][2] += 1


def rename_column(value):
    table_of(value, "changes")["columns"][4]["title"] = "Approved by"


def change_about(value):
    table_of(value, "changes")["about"] = "All that ever was."


def drop_table(value):
    value["tables"] = [each for each in value["tables"] if each["name"] != "coverage"]


def invent_table(value):
    value["tables"].append(table_of(value, "counts") | {"name": "more"})


def swap_tables(value):
    value["tables"].reverse()


def change_title(value):
    value["title"] = "Nothing to see"


def claim_more(value):
    value["completeness"].append("An auditor has looked at all of it.")


def claim_less(value):
    del value["completeness"][0]


def claim_fewer_entries(value):
    value["logs"][0]["count"] -= 1


def begin_later(value):
    value["logs"][0]["first"] = 1


def narrow_the_period(value):
    value["query"]["to"] = "2026-03-01T12:00:05Z"


def leave_out_a_log(value):
    value["logs"] = value["logs"][:1]


TAMPERED = {
    drop_row: ("changes", None, "the report does not"),
    invent_row: ("changes", 18, "the logs do not say so"),
    change_cell: ("changes", 7, "mallory"),
    swap_rows: ("changes", None, "another order"),
    repeat_row: ("changes", 2, "the logs do not say so"),
    change_count: ("counts", 1, "the logs do not say so"),
    rename_column: ("changes", None, "its columns is"),
    change_about: ("changes", None, "its about is"),
    drop_table: ("coverage", None, "lacks this table"),
    invent_table: ("more", None, "no such table is derived"),
    swap_tables: ("", None, "another order"),
    change_title: ("", None, "its title is"),
    claim_more: ("", None, "its completeness is"),
    claim_less: ("", None, "its completeness is"),
    claim_fewer_entries: ("", None, "its logs is"),
    begin_later: ("", None, "its logs is"),
    narrow_the_period: ("changes", None, "the logs do not say so"),
    leave_out_a_log: ("changes", None, "the logs do not say so"),
}


@pytest.mark.parametrize("key", ["dave", None])
@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda each: each.__name__)
def test_whatever_was_changed_and_signed_again_is_named(told, tamper, key):
    value = value_of(seal_report(made(told, "changes"), None))
    tamper(value)
    found = verdict(told, signed(value) if key else canonical_json(value))
    assert not found.ok
    table, row, message = TAMPERED[tamper]
    assert any(
        (each.table, message in each.message) == (table, True) and (row is None or each.row == row)
        for each in found.differences
    ), found.differences


def test_very_many_differences_are_cut(told):
    value = value_of(seal_report(made(told, "changes"), None))
    row = table_of(value, "changes")["rows"][0]
    table_of(value, "changes")["rows"] = [[*row[:1], 1000 + number, *row[2:]] for number in range(500)]
    assert len(verdict(told, signed(value)).differences) == DIFFERENCES_MAX


def replaced_checkpoint(told, text):
    value = value_of(seal_report(made(told, "changes"), None))
    value["logs"][0]["checkpoint"] = text
    return signed(value)


def test_a_checkpoint_that_the_log_never_had_is_no_pass(told):
    world, _ = told
    other = World()
    other.dev.add(EntryType.VERSION_REVOKED, VERSION, old="registered", new="revoked")
    world_size = len(world.dev.entries)
    data = replaced_checkpoint(told, other.dev.signed_checkpoint(world_size))
    found = verdict(told, data)
    assert not found.ok
    assert any("history was rewritten" in each.message for each in found.audit.findings)


@pytest.mark.parametrize("error", [ProofInvalidError])
@pytest.mark.parametrize("text", ["", "nonsense", "a\n1\nAAAA\n"])
def test_what_is_no_checkpoint_is_refused(told, text, error):
    with pytest.raises(error):
        verdict(told, replaced_checkpoint(told, text))


def test_a_checkpoint_of_another_log_is_refused(told):
    world, _ = told
    with pytest.raises(KeyUntrustedError):
        verdict(told, replaced_checkpoint(told, world.prod.signed_checkpoint()))


def test_a_dossier_of_another_promotion_is_refused(told):
    value = value_of(seal_report(made(told, "dossier"), None))
    value["query"]["promotion"] = "0" * 32
    with pytest.raises(StatementInvalidError, match="that the logs do not have"):
        verdict(told, signed(value))


def test_an_environment_that_is_not_pinned_is_refused(told):
    value = value_of(seal_report(made(told, "changes"), None))
    value["logs"][0]["environment"] = "qa"
    with pytest.raises(KeyUntrustedError, match="'qa'"):
        verdict(told, signed(value))


# --- signatures ----------------------------------------------------------------------------------------------


def test_a_report_that_nobody_signed_says_so(told):
    found = verdict(told, seal_report(made(told, "changes"), None))
    assert (found.ok, found.signer) == (True, "")


def test_a_signature_by_a_stranger_is_refused(told):
    with pytest.raises(KeyUntrustedError):
        verdict(told, seal_report(made(told, "changes"), STRANGER))


def test_a_signature_over_another_report_is_refused(told):
    envelope = json.loads(seal_report(made(told, "changes"), KEYS["dave"]))
    other = json.loads(seal_report(made(told, "duties"), KEYS["dave"]))
    with pytest.raises(SignatureInvalidError):
        verdict(told, json.dumps(envelope | {"payload": other["payload"]}).encode())


def test_an_envelope_of_something_else_is_refused(told):
    world, _ = told
    with pytest.raises(StatementInvalidError, match="application/vnd.in-toto"):
        verdict(told, world.evidence.to_bytes())


def test_what_was_observed_rests_on_the_signature_and_without_one_is_no_pass(told):
    report = made(told, "drift", answers={"dev": RegistryAnswers(START)})
    found = verdict(told, seal_report(report, KEYS["dave"]))
    assert found.ok, found.differences
    assert found.observed == ("observed-registries", "observed-differences")
    unsigned = verdict(told, seal_report(report, None))
    assert not unsigned.ok
    assert {each.table for each in unsigned.differences} == set(found.observed)


def test_a_report_is_wanted_of_logs_that_verify_or_says_what_was_found(tmp_path):
    world = World()
    world.promote()
    world.prod.add(EntryType.VERSION_ADMITTED, VERSION | {"promotion": "0" * 32})
    world.export(tmp_path)
    query = ReportQuery(ReportKind.CHANGES)
    assert derive_report(tmp_path, world.pins(), query, generated_at=START).report is None
    derived = derive_report(tmp_path, world.pins(), query, generated_at=START, despite_findings=True)
    assert derived.report.tables[-1].name == "findings"
    assert len(derived.report.tables[-1].rows) == len(derived.audit.findings) > 0
    found = verify_report(seal_report(derived.report, KEYS["dave"]), tmp_path, world.pins())
    assert not found.ok
    assert found.differences == ()
    value = value_of(seal_report(derived.report, None))
    value["tables"] = [each for each in value["tables"] if each["name"] != "findings"]
    value["completeness"] = value["completeness"][1:]
    silent = verify_report(signed(value), tmp_path, world.pins())
    assert any(each.table == "findings" for each in silent.differences)


# --- files that are none -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"environment,entry,time\r\nprod,1,2026\r\n",
        b"%PDF-1.7\n",
        b"<!DOCTYPE html><html></html>",
        b'{"completeness":[]}',
        b'{"payload":"e30=","payloadType":"application/vnd.carnet.report+json","signatures":[]}',
        b"\xff\xfe",
        b'{"completeness":' + b"[" * 5000,
    ],
)
def test_what_is_no_report_is_refused(told, data):
    with pytest.raises(IntegrityError) as refused:
        verdict(told, data)
    if not data.startswith(b"{"):
        assert "Only the JSON of a report can be verified" in refused.value.message


@pytest.mark.parametrize("key", ["dave", None])
@given(data=st.data())
@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_refused_or_found_to_differ(told, key, data):
    sealed = _SEALED.setdefault(key, seal_report(made(told, "live"), KEYS[key] if key else None))
    damaged = data.draw(_DAMAGES)(sealed, data.draw(st.integers(0, len(sealed) - 1)))
    try:
        found = verdict(told, damaged)
    except IntegrityError:
        return  # Any other error is a crash.
    if found.ok:
        # What is outside of the signature or of the rows: a hint of the key, white space, the stated time.
        ours, theirs = value_of(sealed), value_of(damaged)
        for field in ("generated_at", "generator"):
            ours.pop(field), theirs.pop(field)
        assert ours == theirs


_SEALED = {}
_DAMAGES = st.sampled_from(
    [
        lambda data, at: data[:at],
        lambda data, at: data[:at] + data[at + 1 :],
        lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
        lambda data, at: data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :],
        lambda data, at: data[:at] + b"\x00" + data[at:],
        lambda data, at: data[at:] + data[:at],
        lambda data, at: data + data,
        lambda data, at: data + b"x",
        lambda data, at: data[:at] + data[at : at + 40] + data[at:],
    ]
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "carnet.report/v2"),
        ("kind", "everything"),
        ("kind", 7),
        ("title", None),
        ("query", []),
        ("query", {"at": "yesterday"}),
        ("query", {"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T12:00:00Z"}),
        ("query", {"unknown": "x"}),
        ("generated_at", "soon"),
        ("logs", []),
        ("logs", [{}]),
        ("logs", "dev"),
        ("completeness", [1]),
        ("tables", [{}]),
        ("tables", [{"name": "a", "title": "", "about": "", "columns": [], "rows": [["x"]]}]),
        ("tables", [{"name": "a", "title": "", "about": "", "columns": [{}], "rows": []}]),
    ],
)
def test_a_report_of_another_form_is_refused(told, field, value):
    world, _ = told
    report = value_of(seal_report(made(told, "changes"), None))
    with pytest.raises(StatementInvalidError):
        open_report(signed(report | {field: value}), world.pins())


def test_a_table_that_is_there_twice_is_refused(told):
    world, _ = told
    report = value_of(seal_report(made(told, "changes"), None))
    with pytest.raises(StatementInvalidError, match="taken by an earlier one"):
        open_report(signed(report | {"tables": report["tables"] * 2}), world.pins())
