"""A report as one self-contained HTML page.

Responsible for a page that a browser shows from a file, years later and without a network. Everything that
comes from the report is escaped here and nowhere else.

Invariants: the page fetches nothing, and its own policy forbids it to; each cell holds its whole value, also
where less of it is shown.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from carnet.audit.reports.model import CellKind
from carnet.audit.reports.rendering.page_parts import CONTENT_POLICY, SCRIPT, STYLE
from carnet.audit.reports.rendering.words import AUTHORITY, cell_text, entries_text, facts, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carnet.audit.reports.model import Cell, Column, Report, Table

_NOTHING = "not applicable, or not known"


def render_html(report: Report) -> bytes:
    """Draw a report as an HTML page.

    Args:
        report: The report.

    Returns:
        The page, UTF-8.
    """
    return "\n".join(_page(report)).encode()


def _page(report: Report) -> Iterator[str]:
    yield (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(CONTENT_POLICY)}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{_text(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n"
        f"<h1>{_text(report.title)}</h1>"
    )
    yield _definitions("about", facts(report))
    yield f'<p class="dim">{_text(AUTHORITY)}</p>\n</header>\n<main>'
    yield from _contents(report)
    yield '<section aria-labelledby="query"><h2 id="query">What was asked for</h2>'
    yield _definitions("query-list", report.query.items()) if report.query else "<p>Everything.</p>"
    yield "</section>"
    yield from _logs(report)
    yield '<section aria-labelledby="completeness"><h2 id="completeness">Completeness</h2><ul id="statement">'
    yield from (f"<li>{_text(sentence)}</li>" for sentence in report.completeness)
    yield "</ul></section>"
    for table in report.tables:
        yield from _table(table)
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _contents(report: Report) -> Iterator[str]:
    yield '<nav aria-label="Tables"><ul>'
    for table in report.tables:
        link = f'<a href="#{_id(table)}">{_text(table.title)}</a>'
        yield f'<li>{link} <span class="dim">{_rows(table)}</span></li>'
    yield "</ul></nav>"


def _logs(report: Report) -> Iterator[str]:
    yield '<section aria-labelledby="logs"><h2 id="logs">What it was derived from</h2><div class="scroll">'
    yield '<table id="log-list"><caption>The part of each log, and the checkpoint that covers it</caption>'
    headings = ("Environment", "Entries", "Checkpoint")
    yield (
        "<thead><tr>" + "".join(f'<th scope="col">{each}</th>' for each in headings) + "</tr></thead><tbody>"
    )
    for log in report.logs:
        yield (
            f'<tr><th scope="row">{_text(log.environment)}</th><td>{entries_text(log)}</td>'
            f"<td><pre>{_text(log.checkpoint)}</pre></td></tr>"
        )
    yield "</tbody></table></div></section>"


def _table(table: Table) -> Iterator[str]:
    name = _id(table)
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{_text(table.title)}</h2>'
    if table.about:
        yield f'<p class="about">{_text(table.about)}</p>'
    yield f'<div class="scroll"><table class="rows" data-table="{escape(table.name)}">'
    yield f"<caption>{_text(table.title)}: {_rows(table)}</caption><thead><tr>"
    yield "".join(_heading(column) for column in table.columns)
    yield "</tr></thead><tbody>"
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        yield "<tr>" + "".join(_cell(cell, column.kind) for cell, column in cells) + "</tr>"
    yield "</tbody></table></div></section>"


def _heading(column: Column) -> str:
    return f'<th scope="col" class="{column.kind}">{_text(column.title)}</th>'


def _cell(cell: Cell, kind: CellKind) -> str:
    if cell is None:
        return f'<td class="{kind} none" title="{_NOTHING}">&ndash;</td>'
    text = _text(cell_text(cell))
    if isinstance(cell, tuple):
        text = "<ul>" + "".join(f"<li>{_text(each)}</li>" for each in cell) + "</ul>"
    elif isinstance(cell, datetime):
        text = f'<time datetime="{text}">{text}</time>'
    elif kind is CellKind.DIGEST:
        text = f"<code>{text}</code>"
    return f'<td class="{kind}">{text}</td>'


def _definitions(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{_text(term)}</dt><dd>{_text(value)}</dd>" for term, value in pairs)
    return f'<dl id="{name}">{items}</dl>'


def _rows(table: Table) -> str:
    count = len(table.rows)
    return "1 row" if count == 1 else f"{count} rows"


def _id(table: Table) -> str:
    return f"table-{escape(table.name)}"


def _text(text: str) -> str:
    # A bare return would be read as a line feed (HTML, "preprocessing the input stream").
    return escape(visible(text)).replace("\r", "&#13;")
