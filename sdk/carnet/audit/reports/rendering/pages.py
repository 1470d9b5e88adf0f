"""The pages of the PDF document.

Responsible for how a report lies on A4 in landscape: head, tables with repeated headings, page numbers. Needs
ReportLab, so that only ``paper.render_pdf`` imports it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from carnet.audit.reports.model import CellKind
from carnet.audit.reports.rendering.fonts import BOLD, REGULAR, markup, plain, width
from carnet.audit.reports.rendering.words import AUTHORITY, cell_text, entries_text, facts, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from carnet.audit.reports.model import Cell, Column, Report, Table

_PAGE: Final = landscape(A4)
_MARGIN: Final = 14 * mm
_WIDTH: Final = _PAGE[0] - 2 * _MARGIN
_PADDING: Final = 3.0
_SIZE: Final = 7.0
_LEADING: Final = 8.6
_NARROWEST: Final = 26.0
_WIDEST: Final = 230.0
_MEASURED_ROWS: Final = 500
"""How many rows of a table say how wide its columns are."""

_BODY: Final = ParagraphStyle("body", fontName=REGULAR, fontSize=8.5, leading=11.5, spaceAfter=3)
_DIM: Final = ParagraphStyle("dim", parent=_BODY, textColor=colors.HexColor(0x494951))
_TITLE: Final = ParagraphStyle("title", parent=_BODY, fontName=BOLD, fontSize=15, leading=19, spaceAfter=6)
_HEADING: Final = ParagraphStyle(
    "heading", parent=_BODY, fontName=BOLD, fontSize=11, leading=14, spaceBefore=10, keepWithNext=True
)
_CELL: Final = ParagraphStyle("cell", fontName=REGULAR, fontSize=_SIZE, leading=_LEADING)
_NUMBER: Final = ParagraphStyle("number", parent=_CELL, alignment=2)
_HEAD: Final = ParagraphStyle("head", parent=_CELL, fontName=BOLD)
_GRID: Final = [
    ("FONT", (0, 0), (-1, -1), REGULAR, _SIZE, _LEADING),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(0xC4C4CC)),
    ("LEFTPADDING", (0, 0), (-1, -1), _PADDING),
    ("RIGHTPADDING", (0, 0), (-1, -1), _PADDING),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]
_BAND: Final = ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor(0xE9E9EE))


def draw(report: Report) -> bytes:
    """Draw a report; see ``paper.render_pdf``."""
    file = io.BytesIO()
    document = SimpleDocTemplate(
        file,
        pagesize=_PAGE,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN + 4 * mm,
        title=visible(report.title),
        author=visible(report.generator),
        subject=report.kind,
        lang="en",
        invariant=1,
    )
    foot = visible(f"{report.title} · {report.generator}")
    document.build(list(_story(report)), canvasmaker=_numbered(foot))
    return file.getvalue()


def _story(report: Report) -> Iterator[Any]:
    yield _paragraph(report.title, _TITLE)
    yield _pairs(facts(report))
    yield Spacer(1, 4)
    yield _paragraph(AUTHORITY, _DIM)
    yield _paragraph("What was asked for", _HEADING)
    yield _pairs(report.query.items()) if report.query else _paragraph("Everything.", _BODY)
    yield _paragraph("What it was derived from", _HEADING)
    yield _logs(report)
    yield _paragraph("Completeness", _HEADING)
    for sentence in report.completeness:
        yield _paragraph(f"• {sentence}", _BODY)
    for table in report.tables:
        count = len(table.rows)
        yield _paragraph(f"{table.title}: {count} row{'' if count == 1 else 's'}", _HEADING)
        if table.about:
            yield _paragraph(table.about, _DIM)
        yield _table(table)


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(markup(visible(text).replace("\r", "\n")), style)


def _pairs(pairs: Iterable[tuple[str, str]]) -> LongTable:
    rows = [[_paragraph(name, _CELL), _paragraph(value, _CELL)] for name, value in pairs]
    return _grid(rows, [45 * mm, _WIDTH - 45 * mm], headed=False)


def _logs(report: Report) -> LongTable:
    rows = [[_paragraph(each, _HEAD) for each in ("Environment", "Entries", "Checkpoint")]]
    rows += [
        [_paragraph(text, _CELL) for text in (log.environment, entries_text(log), log.checkpoint.strip())]
        for log in report.logs
    ]
    return _grid(rows, [40 * mm, 50 * mm, _WIDTH - 90 * mm])


def _table(table: Table) -> LongTable:
    widths = _widths(table)
    rows: list[list[Any]] = [[_paragraph(column.title, _HEAD) for column in table.columns]]
    for row in table.rows:
        cells = zip(row, table.columns, widths, strict=True)
        rows.append([_cell(cell, column, space - 2 * _PADDING) for cell, column, space in cells])
    numbers = [
        ("ALIGN", (place, 1), (place, -1), "RIGHT")
        for place, column in enumerate(table.columns)
        if column.kind is CellKind.NUMBER
    ]
    return _grid(rows, widths, numbers)


def _grid(
    rows: list[list[Any]], widths: Sequence[float], styles: Sequence[Any] = (), *, headed: bool = True
) -> LongTable:
    table = LongTable(rows, colWidths=widths, repeatRows=1 if headed else 0, splitInRow=1)
    table.setStyle(TableStyle([*_GRID, *([_BAND] if headed else []), *styles]))
    return table


def _cell(cell: Cell, column: Column, space: float) -> str | Paragraph:
    """Return what is drawn: a text where it fits as it is, which is many times faster, else a paragraph."""
    if cell is None:
        return ""
    text = "\n".join(map(visible, cell)) if isinstance(cell, tuple) else cell_text(cell)
    if column.kind is CellKind.DIGEST and plain(text):
        return _broken(text, space)
    if plain(text) and width(text, size=_SIZE) <= space:
        return text
    style = _NUMBER if column.kind is CellKind.NUMBER else _CELL
    return Paragraph(markup(text.replace("\r", "\n")), style)


def _broken(text: str, space: float) -> str:
    """Break a text without spaces into lines of equal length; hexadecimal digits are all about as wide."""
    count = max(1, int(len(text) * space / max(width(text, size=_SIZE), 1.0)) - 1)
    return "\n".join(text[start : start + count] for start in range(0, len(text), count))


def _widths(table: Table) -> list[float]:
    """Give each column what its longest cells want, within bounds, and have all of them fill the page."""
    wanted = [
        max(
            [
                _longest(column.title, bold=True),
                *(_natural(row[place], column) for row in table.rows[:_MEASURED_ROWS]),
            ]
        )
        for place, column in enumerate(table.columns)
    ]
    bounded = [min(max(each + 2 * _PADDING + 1, _NARROWEST), _WIDEST) for each in wanted]
    factor = _WIDTH / sum(bounded) if bounded else 1.0
    return [each * factor for each in bounded]


def _natural(cell: Cell, column: Column) -> float:
    text = "\n".join(cell) if isinstance(cell, tuple) else cell_text(cell)
    if column.kind is CellKind.DIGEST:
        text = text[:16]  # A digest goes over as many lines as it takes.
    return max((width(line, size=_SIZE) for line in text[:2000].split("\n")), default=0.0)


def _longest(title: str, *, bold: bool) -> float:
    font = BOLD if bold else REGULAR
    return max((width(word, size=_SIZE, font=font) for word in title.split()), default=0.0)


def _numbered(foot: str) -> type[Canvas]:
    """Return a canvas that writes ``page N of M``, which is known only when all pages are there."""
    line = markup(foot.replace("\n", " "))

    class Numbered(Canvas):  # type: ignore[misc]  # the library has no types
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802  the library's name
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self.setFont(REGULAR, 7)
                self.drawRightString(_PAGE[0] - _MARGIN, 9 * mm, f"page {number} of {len(self._pages)}")
                text = Paragraph(line, _CELL)
                text.wrap(_WIDTH - 40 * mm, _LEADING)
                text.drawOn(self, _MARGIN, 9 * mm - 1.6)
                super().showPage()
            super().save()

    return Numbered
