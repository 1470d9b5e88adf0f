"""Reports over the API, from a real federation: signed, right, refused where they must be, and within bounds."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial

import pytest
import yaml

from carnet.audit.reports.compare import verify_report
from carnet.audit.reports.query import ReportKind
from carnet.client.audit_memory import read_pins
from carnet.client.channel import TlsIdentity
from carnet.client.connection import SyncConnection
from carnet.client.federation import Federation
from carnet.errors import IntegrityError, InvalidInputError, PermissionDeniedError
from carnet.signing.dsse import parse_envelope
from carnet.signing.times import format_time
from carnet.sync.v1 import compliance_pb2


@pytest.fixture(scope="module")
def promoted(federation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compliance")
    version = federation.publish(folder, "compliance/fraud", seed=3)
    assert federation.to_staging(version, alias="champion").state == "SUCCEEDED"
    return version


def asked(federation, work, identity="dave"):
    """Ask the promotion service as somebody, and return what came of it."""
    folder = federation.folder / "identities" / identity
    known = Federation.load(federation.folder)
    tls = TlsIdentity.load(folder / "tls.pem", folder / "tls-key.pem", known.ca)

    async def run():
        peer = known.sync
        async with SyncConnection(peer.endpoint, server_name=peer.server_name, identity=tls) as connection:
            return await work(connection)

    return asyncio.run(run())


async def generate(connection, kind, *, despite_findings=False, **query):
    request = compliance_pb2.GenerateReportRequest(kind=kind, query=query, despite_findings=despite_findings)
    stages, data, total = [], b"", None
    async for each in connection.stream(connection.compliance.GenerateReport, request):
        if each.HasField("progress"):
            stages.append((each.progress.stage, each.progress.environment))
        else:
            data, total = data + each.part.data, each.part.total_bytes
    assert len(data) == total
    return stages, data


def test_a_report_is_signed_and_says_what_an_auditors_own_copy_says(federation, promoted, tmp_path):
    stages, data = asked(federation, partial(generate, kind="changes"))
    assert [each for each in stages if each[0] == "copying"] == [
        ("copying", name) for name in ("dev", "prod", "staging")
    ]
    assert ("verifying", "staging") in stages
    report = json.loads(parse_envelope(data, max_bytes=1 << 28).payload)
    assert {each["environment"] for each in report["logs"]} == {"dev", "staging", "prod"}
    with federation.client("dave") as dave:
        dave.audit_export(tmp_path / "export")
    pins = read_pins(federation.folder / "federation.yaml")
    verdict = verify_report(data, tmp_path / "export", pins)
    assert verdict.ok, verdict.to_json()
    assert verdict.signer.endswith("/sync/reports")
    assert verdict.rows > 0


def test_every_kind_that_is_listed_is_made_and_verifies(federation, promoted, tmp_path):
    async def list_kinds(connection):
        request = compliance_pb2.ListReportKindsRequest()
        return await connection.call(connection.compliance.ListReportKinds, request)

    listed = asked(federation, list_kinds)
    assert list(listed.environments) == ["dev", "prod", "staging"]
    assert {kind.name for kind in listed.kinds} == set(ReportKind)
    with federation.client("dave") as dave:
        promotion = next(iter(dave.promotions())).id
    answers = {
        "promotion": promotion,
        "at": format_time(datetime.now(UTC)),
        "reference": "staging/compliance/fraud@champion",
        "from": "2020-01-01T00:00:00Z",
        "to": "2100-01-01T00:00:00Z",
    }
    made = {}
    for kind in listed.kinds:
        keys = [*kind.required, *(key for key in kind.optional if key != "environments")]
        query = {key: answers[key] for key in keys}
        _, made[kind.name] = asked(federation, partial(generate, kind=kind.name, **query))
    with federation.client("dave") as dave:
        dave.audit_export(tmp_path / "export")
    pins = read_pins(federation.folder / "federation.yaml")
    for kind, data in made.items():
        verdict = verify_report(data, tmp_path / "export", pins)
        assert verdict.ok, (kind, verdict.to_json())


def test_a_copy_that_was_edited_is_noticed_and_fetched_anew(federation, promoted):
    asked(federation, partial(generate, kind="inventory"))
    copies = federation.folder / "sync" / "data" / "compliance" / "copies"
    assert copies.stat().st_mode & 0o077 == 0
    first = min((copies / "dev" / "tile" / "entries").rglob("*000*"))
    bundle = next(path for path in (first, *first.rglob("*")) if path.is_file())
    bundle.write_bytes(bundle.read_bytes().replace(b"dev", b"DEV"))
    with pytest.raises(IntegrityError, match="dev") as caught:
        asked(federation, partial(generate, kind="inventory"))
    assert int(caught.value.metadata["findings"]) > 0
    assert "suspect" not in caught.value.metadata
    asked(federation, partial(generate, kind="inventory"))


def test_what_is_not_pinned_is_said_and_not_refused(federation, promoted):
    pinned = federation.folder / "federation.yaml"
    before = pinned.read_text()
    document = yaml.safe_load(before)
    del document["signers"]["spiffe://carnet.internal/service/evaluator"]
    pinned.write_text(yaml.safe_dump(document))
    try:
        _, data = asked(federation, partial(generate, kind="changes"))
    finally:
        pinned.write_text(before)
    report = json.loads(parse_envelope(data, max_bytes=1 << 28).payload)
    (findings,) = [table for table in report["tables"] if table["name"] == "findings"]
    assert {row[0] for row in findings["rows"]} == {"cannot_verify"}


def test_who_is_no_auditor_is_refused(federation):
    for identity in ("ci", "bob"):
        with pytest.raises(PermissionDeniedError, match="auditor"):
            asked(federation, partial(generate, kind="changes"), identity)


@pytest.mark.parametrize(
    ("kind", "query", "field"),
    [
        ("weather", {}, "kind"),
        ("changes", {"colour": "red"}, "query"),
        ("changes", {"from": "yesterday"}, None),
        ("dossier", {}, "promotion"),
        ("at", {"at": "2026-01-01T00:00:00Z"}, "at"),
    ],
)
def test_what_is_no_question_is_refused_before_any_work(federation, kind, query, field):
    with pytest.raises(InvalidInputError) as caught:
        asked(federation, partial(generate, kind=kind, **query))
    assert caught.value.metadata.get("field") == field
