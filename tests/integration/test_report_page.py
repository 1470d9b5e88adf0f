"""The page of a report in a real browser: its figures are the JSON's, and nothing in it runs or is fetched."""

from __future__ import annotations

import json
import re

import pytest

from carnet.audit.reports.rendering import render_html
from carnet.audit.reports.rendering.words import report_digest
from carnet.canonical import canonical_json
from tests.support.browser import browser, expected_tables, shown_tables
from tests.support.reports import CHECKPOINT, everything


@pytest.fixture
def page_of(tmp_path):
    def write(report):
        path = tmp_path / "report.html"
        path.write_bytes(render_html(report))
        return path

    return write


def test_every_cell_is_the_jsons(page_of):
    report = everything(rows=300)
    document = json.loads(canonical_json(report.to_json()))
    with browser() as running:
        page = running.open(page_of(report))
        assert shown_tables(page) == expected_tables(document)
        text = page.inner_text("body")
        assert page.title() == document["title"]
        assert page.locator("#log-list pre").all_text_contents() == [CHECKPOINT]
        assert page.locator("#statement li").all_text_contents() == document["completeness"]
        names, values = (page.locator(f"#query-list {each}").all_text_contents() for each in ("dt", "dd"))
        assert dict(zip(names, values, strict=True)) == document["query"]
        assert page.locator("script, b, i, para").count() == 1  # the page's own script
        assert page.evaluate("window.__ran") is None
        for stated in (document["generator"], document["generated_at"], report_digest(report)):
            assert stated in text
    assert running.wrong == []


def test_rows_are_sorted_and_filtered_and_come_back(page_of):
    with browser() as running:
        page = running.open(page_of(everything(rows=12)))
        before = shown_tables(page)["versions"]
        table = page.locator("table[data-table=versions]")
        size = table.get_by_role("button", name="Size (bytes)")
        size.click()
        heading = table.locator("th", has_text="Size")
        assert heading.get_attribute("aria-sort") == "ascending"
        rows = [row[1] for row in shown_tables(page)["versions"]]
        assert rows == ["-17", "0", "0.25", *(str(n) for n in range(1, 12)), None]
        size.click()
        assert heading.get_attribute("aria-sort") == "descending"
        assert [row[1] for row in shown_tables(page)["versions"]][:2] == ["11", "10"]
        assert sorted(map(str, shown_tables(page)["versions"])) == sorted(map(str, before))
        page.get_by_label("Show rows with").first.fill("MODEL-1")
        assert table.locator("tbody tr:visible").count() == 3  # 1, 10 and 11
        page.get_by_label("Show rows with").first.fill("")
        assert table.locator("tbody tr:visible").count() == len(before)
    assert running.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page_of, scheme):
    def luminance(colour: str) -> float:
        parts = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def colour(page, selector, name):
        return page.locator(selector).first.evaluate(f"(each) => getComputedStyle(each).{name}")

    with browser(color_scheme=scheme) as running:
        page = running.open(page_of(everything()))
        for text, ground in (
            ("h1", "body"),
            ("p.about", "body"),
            ("td.text", "body"),
            ("nav a", "body"),
            ("thead th", "thead th"),
        ):
            one = luminance(colour(page, text, "color"))
            other = luminance(colour(page, ground, "backgroundColor"))
            assert (max(one, other) + 0.05) / (min(one, other) + 0.05) >= 7, text
    assert running.wrong == []


def test_a_page_that_was_tampered_with_does_not_run(page_of):
    path = page_of(everything())
    path.write_text(path.read_text().replace("</main>", "<script>window.__ran = 1</script></main>"))
    with browser() as running:
        page = running.open(path)
        assert page.evaluate("window.__ran") is None
    assert any("Content Security Policy" in each for each in running.wrong)
