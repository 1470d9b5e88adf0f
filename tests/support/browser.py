"""A real browser on this machine, for pages that people read."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@contextlib.contextmanager
def opened(path: Path, **context) -> Iterator[tuple[Page, list[str]]]:
    """Open a file in a browser; skips the test where none is installed.

    Args:
        path: The page.
        context: Further settings of the browser's context, such as ``color_scheme``.

    Yields:
        The page, and what went wrong in it so far: errors of scripts and of the page's policy, and every
        request for anything but the page.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed here: one of {', '.join(_NAMES)}")
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    url = path.as_uri()
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        try:
            page = browser.new_context(**context).new_page()
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on(
                "console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None
            )
            page.on("request", lambda request: wrong.append(request.url) if request.url != url else None)
            page.goto(url)
            yield page, wrong
        finally:
            browser.close()


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
