"""A report with every kind of cell, and with text that tries to be something else than text; reading reports."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime

from carnet.audit.reports.model import CellKind, Column, LogRange, Report, Table

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CHECKPOINT = (
    "example.com/carnet/prod\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/carnet/prod Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5\n"
)
HOSTILE = (
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\tstarts with a tab",
    "\rstarts with a return",
    "\n=1+1",
    '</td></tr></table><script>alert("x")</script>',
    "<b>bold</b> & <para>so called</para>",
    'quote " comma , line\nbreak',
    "Zoë Ångström, Łukasz",
    "Иван Петров, Ελένη, 山田太郎, 김철수",
    "ends with \x00 a NUL and \x1b an escape",
)


def everything(rows: int = 0) -> Report:
    """Return a report with every kind of cell.

    Args:
        rows: How many plain rows the first table has besides the ones that matter.
    """
    columns = (
        Column("name", "Name"),
        Column("size_bytes", "Size (bytes)", CellKind.NUMBER),
        Column("decided_at", "Decided at", CellKind.TIME),
        Column("bundle_digest", "Bundle", CellKind.DIGEST),
        Column("admitted", "Admitted", CellKind.FLAG),
        Column("approvers", "Approvers", CellKind.LIST),
    )
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    telling = (
        ("risk/fraud", -17, moment, DIGEST, True, ("carol", "=dave")),
        ("", 0.25, moment.replace(microsecond=5), None, False, ()),
        (None, None, None, None, None, None),
    )
    plain = tuple((f"risk/model-{n}", n, moment, DIGEST, n % 2 == 0, ("carol",)) for n in range(rows))
    return Report(
        kind="changes",
        title="Changes <of> a period",
        query={"from": "2026-01-01T00:00:00Z", "until": "2026-04-01T00:00:00Z", "note": "=1+1 <i>"},
        generated_at=moment,
        generator="carnet 0.1.0",
        logs=(LogRange("prod", 0, 42, CHECKPOINT),),
        completeness=("Every entry was read.", "What was never logged <cannot> be shown."),
        tables=(
            Table("versions", "Versions", "What was admitted & when.", columns, telling + plain),
            Table(
                "hostile-text", "Hostile text", "", (Column("text", "Text"),), tuple((t,) for t in HOSTILE)
            ),
            Table("nothing", "Nothing", "There is none.", columns[:2], ()),
        ),
    )


def value_of(path):
    """The JSON object that a signed report holds."""
    return json.loads(b64decode(json.loads(path.read_bytes())["payload"]))


def rows(path, name):
    """The rows of one table of a signed report, each by column."""
    (table,) = [each for each in value_of(path)["tables"] if each["name"] == name]
    names = [each["name"] for each in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]
