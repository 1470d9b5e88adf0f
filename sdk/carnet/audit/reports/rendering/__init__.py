"""Drawing a report: CSV files, one HTML page, a PDF document.

A drawing is for people and for spreadsheets; the report's JSON stays the authoritative form, and each drawing
states the digest of it.
"""

from carnet.audit.reports.rendering.html_page import render_html
from carnet.audit.reports.rendering.paper import render_pdf
from carnet.audit.reports.rendering.spreadsheets import render_csv

__all__ = ["render_csv", "render_html", "render_pdf"]
