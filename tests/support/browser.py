"""A real browser on this machine, for pages that people read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from carnet.audit.reports.rendering.words import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, ConsoleMessage, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Browser:
    """A browser that runs.

    Attributes:
        wrong: What went wrong in its pages so far: errors of scripts and of a page's policy, and every request
            for anything but a page that was opened.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.wrong: list[str] = []
        self._context = context

    def open(self, path: Path) -> Page:
        """Open a file."""
        url = path.as_uri()
        page = self._context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._said)
        page.on("request", lambda request: None if request.url == url else self.wrong.append(request.url))
        page.goto(url)
        return page

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.wrong.append(said.text)


@contextlib.contextmanager
def browser(**context) -> Iterator[Browser]:
    """Run a browser; skips the test where none is installed.

    Args:
        context: Settings such as ``color_scheme``.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed here: one of {', '.join(_NAMES)}")
    from playwright.sync_api import sync_playwright

    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=sandbox)
        try:
            yield Browser(running.new_context(**context))
        finally:
            running.close()


def shown_tables(page: Page) -> dict[str, list[list[object]]]:
    """Return the tables of rows as the browser shows them: of each cell its text, a list's texts, or None."""
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("table.rows")].map((table) => [
            table.dataset.table,
            [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) =>
                cell.classList.contains("none") ? null
                : cell.classList.contains("list") ? [...cell.querySelectorAll("li")].map((item) => item.textContent)
                : cell.textContent)),
        ]))"""
    )


def expected_tables(document: dict) -> dict[str, list[list[object]]]:
    """What a page must show of a report's JSON, written out apart from what draws it."""

    def shown(cell):
        if cell is None or isinstance(cell, list):
            return cell if cell is None else [visible(each) for each in cell]
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        return visible(cell) if isinstance(cell, str) else json.dumps(cell)

    return {
        table["name"]: [[shown(cell) for cell in row] for row in table["rows"]]
        for table in document["tables"]
    }
