"""The demo: told once from beginning to end, and shown again afterwards."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import re
import subprocess
from datetime import UTC, datetime

import pytest
from pypdf import PdfReader

from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.parsing import parse_report_bytes
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.audit.reports.rendering import render_csv, render_html, render_pdf
from carnet.canonical import canonical_json, sha256_hex
from carnet.client.audit_memory import read_pins
from carnet.errors import NotFoundError
from carnet.signing.times import format_time
from carnet_server.local.processes import processes_of, stop_all
from tests.support.browser import browser, expected_tables, shown_tables
from tests.support.federation import CARNET, LocalFederation
from tests.support.forks import run_program

ENVIRONMENT = os.environ | {"COLUMNS": "160", "NO_COLOR": "1"}
SECONDS = 110


def arguments(folder) -> list[str]:
    # Below the ports that systems give to outgoing connections, which would be taken by the time of starting.
    return ["demo", "--dir", str(folder), "--base-port", str(random.randrange(11_000, 29_000, 10))]


@contextlib.contextmanager
def stopped_at_the_end(folder):
    """See to it that nothing of a demo runs on, however it ended."""
    try:
        yield
    finally:
        with contextlib.suppress(NotFoundError):
            stop_all(processes_of(folder))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The demo's folder, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "carnet"
    with stopped_at_the_end(folder):
        done = subprocess.run(
            [CARNET, *arguments(folder)],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder, done.stdout


def check_what_happened(text: str) -> None:
    table = text[text.rindex("What happened") :]
    rows = dict(re.findall(r"^│ (.+?)\s+│ (.+?)\s+│$", table, re.MULTILINE))
    assert list(rows) == [
        "version 1",
        "version 2",
        "version 3",
        "rollback",
        "shadow",
        "rollout",
        "bad row",
        "lineage",
        "retention",
        "audit trail",
        "edited history",
    ]
    assert rows["version 1"] == "champion in prod, after two approvals"
    assert rows["version 2"] == "refused by staging's rule no-regression"
    assert rows["version 3"] == "champion in prod"
    assert rows["rollback"] == "champion in prod is version 1 again (metric-degradation)"
    assert rows["shadow"] == "version 3 holds prod's guardrails on mirrored requests"
    assert rows["rollout"] == "version 3 was sent back by itself (guardrail-breached)"
    assert rows["bad row"] == "refused before the model saw it, for mean_radius"
    assert re.fullmatch(r"\d\d nodes from prod's champion to its data, \d\d verified", rows["lineage"])
    assert rows["retention"] == "version 2 is archived and held; nothing live can be purged"
    assert re.fullmatch(r"verified: \d\d+ entries", rows["audit trail"])
    assert re.fullmatch(r"detected at entry \d+: tampered", rows["edited history"])


def test_its_last_lines_say_what_happened(told):
    _, text = told
    check_what_happened(text)
    assert "Metadata: SQLite" in text
    assert "Blobs: files" in text


def test_it_is_the_same_on_postgresql_and_s3(tmp_path):
    folder = tmp_path / "carnet"
    stores = ["--database", "postgres", "--blobs", "s3"]
    with stopped_at_the_end(folder):
        done = run_program("carnet", *arguments(folder), *stores, environment=ENVIRONMENT, timeout=SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        check_what_happened(done.stdout)
        assert "Metadata: PostgreSQL" in done.stdout
        assert "Blobs: objects, at an S3 endpoint" in done.stdout
        assert not list(folder.glob("**/registry.db")) + list(folder.glob("**/sync.db"))
        again = LocalFederation(folder)
        assert all(process.stopped for process in again.processes.values())
        again.start("postgres")
        databases = again.query(
            "dev", "SELECT datname FROM pg_database WHERE datname LIKE 'carnet%' ORDER BY 1"
        )
        assert databases == [("carnet_dev",), ("carnet_prod",), ("carnet_staging",), ("carnet_sync",)]


def test_it_says_in_plain_words_why_the_weaker_model_is_refused(told):
    _, text = told
    assert re.search(r"✗ no-regression: roc_auc is 0\.\d+ \(champion: 0\.\d+\)", text)
    assert "What to do: " in text
    assert "alice, whose model it is, tried to approve it" in text


def test_it_shows_what_the_guardrails_said_and_where_the_champion_came_from(told):
    _, text = told
    assert re.search(r"Requests answered by version: {1: \d+, 3: \d+}", text)
    assert re.search(r"breached +error-rate: error_rate 0\.\d+ over [\d,]+ samples is worse than", text)
    assert "worst_texture is missing" in text
    assert re.search(r"trained on: dataset breast-cancer-wisconsin-diagnostic", text)
    assert re.search(r"judged by: approval carol approved", text)


def test_it_can_be_seen_again(told):
    folder, _ = told
    again = LocalFederation(folder)
    again.cli("up", "--detach")
    try:
        prod = again.cli_json("ls", "prod")["models"]
        assert [(each["reference"], each["version_count"]) for each in prod] == [("prod/risk/tumour", 2)]
        found = again.cli_json("show", "prod/risk/tumour@champion")
        assert found["version"]["reference"] == "prod/risk/tumour@1"
        moves = again.cli_json("alias", "history", "prod/risk/tumour@champion")["moves"]
        assert [each["kind"] for each in moves] == ["rolled_back", "admitted", "admitted"]
        assert again.cli_json("audit", "verify", identity="dave")["ok"]
        rollouts = again.cli_json("rollout", "ls", "prod")["rollouts"]
        assert [(each["kind"], each["state"]) for each in rollouts] == [
            ("split", "rolled_back"),
            ("shadow", "succeeded"),
        ]
        promotions = again.cli_json("promotions", "ls")["promotions"]
        assert sorted(each["state"] for each in promotions) == ["REJECTED"] + ["SUCCEEDED"] * 4
    finally:
        again.cli("down")


def test_every_report_of_it_is_drawn_and_its_figures_are_the_jsons(told, tmp_path):
    folder, _ = told
    again = LocalFederation(folder)
    again.cli("up", "--detach")
    try:
        again.cli("audit", "export", str(tmp_path / "export"), identity="dave")
        promotions = again.cli_json("promotions", "ls")["promotions"]
    finally:
        again.cli("down")
    pins = read_pins(folder / "federation.yaml")
    promotion = next(each["id"] for each in promotions if each["target"] == "prod")
    about = {
        ReportKind.DOSSIER: {"promotion": promotion},
        ReportKind.AT: {"at": format_time(datetime.now(UTC)), "reference": "prod/risk/tumour@champion"},
    }
    pages = {}
    for kind in ReportKind:
        query = ReportQuery.from_json(str(kind), about.get(kind, {}))
        derived = derive_report(tmp_path / "export", pins, query, generated_at=datetime.now(UTC))
        assert derived.audit.ok
        data = canonical_json(derived.report.to_json())
        document = json.loads(data)
        assert parse_report_bytes(data) == derived.report
        check_csv(render_csv(derived.report), document)
        text = "".join(
            page.extract_text() for page in PdfReader(io.BytesIO(render_pdf(derived.report))).pages
        )
        assert sha256_hex(data) in text
        pages[kind] = tmp_path / f"{kind}.html", document
        pages[kind][0].write_bytes(render_html(derived.report))
    assert sum(len(table["rows"]) for _, document in pages.values() for table in document["tables"]) > 100
    with browser() as running:
        for kind, (path, document) in pages.items():
            page = running.open(path)
            assert shown_tables(page) == expected_tables(document), kind
            assert page.title() == document["title"]
            checkpoints = page.locator("#log-list pre").all_text_contents()
            assert checkpoints == [each["checkpoint"] for each in document["logs"]]
    assert running.wrong == []


def check_csv(files: dict[str, bytes], document: dict) -> None:
    """Compare every cell of the files with the JSON's, apart from what draws them."""

    def shown(cell) -> str:
        if cell is None:
            return ""
        if isinstance(cell, list):
            cell = " | ".join(cell)
        text = cell if isinstance(cell, str) else json.dumps(cell)
        return f"'{text}" if isinstance(cell, str) and text[:1] in tuple("=+-@\t\r\n") else text

    for table in document["tables"]:
        data = files[f"{document['kind']}-{table['name']}.csv"].decode("utf-8-sig")
        header, *rows = csv.reader(io.StringIO(data, newline=""), strict=True)
        assert header == [column["name"] for column in table["columns"]]
        assert rows == [[shown(cell) for cell in row] for row in table["rows"]]


def test_it_leaves_alone_what_is_not_its_own(tmp_path):
    folder = tmp_path / "carnet"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    done = run_program("carnet", *arguments(folder), environment=ENVIRONMENT)
    assert done.returncode == 7
    assert "is not the demo's" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
