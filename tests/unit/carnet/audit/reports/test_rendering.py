from __future__ import annotations

import csv
import importlib.util
import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from carnet.audit.reports.model import CellKind, Column, Report, Table
from carnet.audit.reports.rendering import render_csv, render_html, render_pdf
from carnet.audit.reports.rendering.page_parts import SCRIPT, STYLE, source_hash
from carnet.audit.reports.rendering.spreadsheets import guarded
from carnet.audit.reports.rendering.words import report_digest, visible
from carnet.errors import PreconditionFailedError
from tests.support.fuzzing import examples
from tests.support.reports import CHECKPOINT, DIGEST, HOSTILE, everything


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


def with_texts(*texts: str) -> Report:
    plain = everything()
    table = Table("texts", "Texts", "", (Column("text", "Text"),), tuple((each,) for each in texts))
    return Report(
        plain.kind,
        plain.title,
        {},
        plain.generated_at,
        plain.generator,
        plain.logs,
        plain.completeness,
        (table,),
    )


# --- CSV --------------------------------------------------------------------------------------------------


def test_csv_has_a_file_a_table_and_one_that_states_what_they_rest_on() -> None:
    report = everything()
    files = render_csv(report)
    assert set(files) == {
        "changes.csv", "changes-versions.csv", "changes-hostile-text.csv", "changes-nothing.csv"
    }  # fmt: skip
    rows = read_csv(files["changes.csv"])
    assert rows[0] == ["subject", "name", "value"]
    stated = {(subject, name): value for subject, name, value in rows[1:]}
    assert stated["report", "generator"] == "carnet 0.1.0"
    assert stated["report", "json_sha256"] == report_digest(report)
    assert stated["query", "from"] == "2026-01-01T00:00:00Z"
    assert stated["query", "note"] == "'=1+1 <i>"
    assert (stated["log", "prod.first"], stated["log", "prod.count"]) == ("0", "42")
    assert stated["log", "prod.checkpoint"] == CHECKPOINT
    assert stated["completeness", "2"] == report.completeness[1]
    assert stated["table", "versions.rows"] == "3"


def test_csv_numbers_stay_numbers_and_nothing_is_not_the_empty_text() -> None:
    lines = render_csv(everything())["changes-versions.csv"].decode("utf-8-sig").split("\r\n")
    assert lines[1] == f'"risk/fraud",-17,"2026-03-01T12:30:00Z","{DIGEST}",true,"carol | =dave"'
    assert lines[2].startswith('"",0.25,')
    assert lines[3] == ",,,,,"


def test_no_cell_of_the_csv_files_is_a_formula() -> None:
    for name, data in render_csv(everything()).items():
        for row in read_csv(data):
            for cell in row:
                assert re.fullmatch(r"-?[0-9.]+", cell) or cell[:1] not in tuple("=+-@\t\r\n"), (name, cell)
    shown = [row[0] for row in read_csv(render_csv(everything())["changes-hostile-text.csv"])[1:]]
    assert [cell.removeprefix("'") for cell in shown] == [visible(text) for text in HOSTILE]
    assert shown[0] == "'" + HOSTILE[0]


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_csv_reads_back_as_the_texts_that_went_in(texts: list[str]) -> None:
    rows = read_csv(render_csv(with_texts(*texts))["changes-texts.csv"])
    assert rows[1:] == [[guarded(text)] for text in texts]
    assert all(cell[:1] not in tuple("=+-@\t\r\n＝＋－＠") for (cell,) in rows[1:])  # noqa: RUF001


# --- HTML -------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser makes of the page: its elements, and the text of the cells of each table of rows."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._table: list[list[str]] | None = None
        self._cell: list[str] | None = None
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "table":
            name = found.get("data-table")
            self._table = self.tables.setdefault(name, []) if name else None
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag == "td" and self._table is not None:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._table is not None and self._cell is not None:
            self._table[-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def test_the_page_is_whole_by_itself_and_its_policy_forbids_the_rest() -> None:
    page = Page(render_html(everything()))
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    allowed = f"style-src {source_hash(STYLE)}; script-src {source_hash(SCRIPT)}"
    assert policies == [f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"]
    for tag, attributes in page.tags:
        assert not attributes.keys() & {"src", "action", "style", "srcdoc", "background"}, tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert tag not in {"link", "img", "iframe", "object", "base", "b", "i", "para"}
        if "href" in attributes:
            assert str(attributes["href"]).startswith("#")
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_the_page_states_what_the_report_states() -> None:
    report = everything()
    text = render_html(report).decode()
    for stated in (
        "Changes &lt;of&gt; a period", "2026-03-01T12:30:00Z", "carnet 0.1.0", report_digest(report),
        "=1+1 &lt;i&gt;", "42 entries, 0 to 41", CHECKPOINT, "What was never logged &lt;cannot&gt; be shown.",
        "There is none.", "What was admitted &amp; when.",
    ):  # fmt: skip
        assert stated in text


def test_each_cell_of_the_page_has_its_whole_value() -> None:
    tables = Page(render_html(everything())).tables
    assert tables["versions"][1] == ["risk/fraud", "-17", "2026-03-01T12:30:00Z", DIGEST, "yes", "carol=dave"]
    assert tables["versions"][3] == ["–"] * 6  # noqa: RUF001
    assert [row[0] for row in tables["hostile-text"][1:]] == [visible(text) for text in HOSTILE]
    assert tables["nothing"] == [[]]


def test_tables_are_for_everybody() -> None:
    page = Page(render_html(everything()))
    headings = [attributes for tag, attributes in page.tags if tag == "th"]
    assert headings
    assert all(each.get("scope") in {"col", "row"} for each in headings)
    names = [tag for tag, _ in page.tags]
    assert names.count("caption") == names.count("table") == 4
    assert ("html", {"lang": "en"}) in page.tags


@given(st.text(), st.text())
def test_no_text_becomes_markup(title: str, text: str) -> None:
    plain = everything()
    report = Report(
        plain.kind, title, {text: title}, plain.generated_at, text, (), (text,),
        (Table("t", text, text, (Column("c", text), Column("l", title, CellKind.LIST)), ((text, (title,)),)),),
    )  # fmt: skip
    empty = Report(
        plain.kind, "", {"": ""}, plain.generated_at, "", (), ("",),
        (Table("t", "", "x", (Column("c", ""), Column("l", "", CellKind.LIST)), (("", ("",)),)),),
    )  # fmt: skip
    shape = [tag for tag, _ in Page(render_html(report)).tags]
    expected = [tag for tag, _ in Page(render_html(empty)).tags]
    assert [tag for tag in shape if tag != "p"] == [tag for tag in expected if tag != "p"]


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\u2028"])
def test_signs_that_change_how_others_are_read_are_shown(sign: str) -> None:
    assert visible(f"a{sign}b") == f"a[U+{ord(sign):04X}]b"
    assert sign not in render_html(with_texts(f"a{sign}b")).decode()


# --- PDF --------------------------------------------------------------------------------------------------


def pdf_text(data: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]


def test_the_document_is_a4_with_numbered_pages_and_repeated_headings() -> None:
    data = render_pdf(everything(rows=120))
    reader = PdfReader(io.BytesIO(data))
    pages = pdf_text(data)
    assert len(pages) > 4
    assert {(round(page.mediabox.width), round(page.mediabox.height)) for page in reader.pages} == {
        (842, 595)
    }
    for number, text in enumerate(pages, 1):
        assert f"page {number} of {len(pages)}" in text
    assert all("Decided at" in text for text in pages[1:4])
    assert reader.metadata is not None
    assert reader.metadata.title == "Changes <of> a period"


def test_the_document_states_what_the_report_states() -> None:
    report = everything()
    text = "\n".join(pdf_text(render_pdf(report)))
    for stated in (
        "carnet 0.1.0", report_digest(report), "=1+1 <i>", "42 entries, 0 to 41", "example.com/carnet/prod",
        "What was never logged <cannot> be shown.", "risk/fraud", "-17", "2026-03-01T12:30:00.000005Z",
        "Versions: 3 rows", "Nothing: 0 rows", "<b>bold</b> & <para>so called</para>", "Zoë",
    ):  # fmt: skip
        assert stated in text
    assert DIGEST in text.replace("\n", "")


def test_what_no_font_has_is_written_as_its_code_point(monkeypatch: pytest.MonkeyPatch) -> None:
    from carnet.audit.reports.rendering import fonts

    fonts.plain("")  # registers the fonts
    monkeypatch.setattr(fonts, "_fonts", lambda: (fonts.REGULAR,))
    fonts._font_of.cache_clear()
    try:
        assert fonts.markup("Zoë <山>\n\u05e9") == "Zoë &lt;[U+5C71]&gt;<br/>[U+05E9]"
    finally:
        fonts._font_of.cache_clear()


def test_cells_longer_than_a_page_go_on_over_pages() -> None:
    report = with_texts("word " * 20_000, "x" * 20_000, "line\n" * 500)
    pages = pdf_text(render_pdf(report))
    assert sum(text.count("word") for text in pages) == 20_000
    assert sum(text.count("line") for text in pages) == 500


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_pdf(everything()) == render_pdf(everything())
    assert render_html(everything()) == render_html(everything())


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(), st.text(alphabet="<>&;/bfont=\"' \n\t\r{}%"))
def test_every_text_can_be_printed(text: str, crafted: str) -> None:
    assert render_pdf(with_texts(text, crafted)).startswith(b"%PDF-")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "reportlab" else real(name, *more)
    )
    with pytest.raises(PreconditionFailedError, match=re.escape("carnet[reports]")) as caught:
        render_pdf(everything())
    assert caught.value.metadata == {"extra": "reports"}


def test_drawing_loads_no_library_of_an_extra() -> None:
    import subprocess
    import sys

    code = "import sys, carnet.audit.reports.rendering; assert 'reportlab' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def number_table(*numbers: Any) -> Report:
    plain = everything()
    table = Table("n", "N", "", (Column("n", "N", CellKind.NUMBER),), tuple((each,) for each in numbers))
    return Report(plain.kind, "", {}, plain.generated_at, "", (), (), (table,))


def test_numbers_are_those_of_the_json() -> None:
    report = number_table(1.0, 1e21, 0.1 + 0.2, 9007199254740991, -0.5)
    wanted = ["1", "1e+21", "0.30000000000000004", "9007199254740991", "-0.5"]
    assert [row[0] for row in read_csv(render_csv(report)["changes-n.csv"])[1:]] == wanted
    assert [row[0] for row in Page(render_html(report)).tables["n"][1:]] == wanted
