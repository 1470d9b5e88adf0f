"""A report as a PDF document on A4.

Responsible for finding out whether the library is here: the extra ``reports`` brings it, and nothing else of
Carnet needs it. The drawing is ``carnet.audit.reports.rendering.pages``.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from carnet.errors import PreconditionFailedError

if TYPE_CHECKING:
    from carnet.audit.reports.model import Report


def render_pdf(report: Report) -> bytes:
    """Draw a report as a PDF document.

    The same report gives the same bytes on machines with the same fonts. Tables go on over pages under
    repeated headings. What the fonts cannot draw is written as code points (``fonts``).

    Args:
        report: The report.

    Returns:
        The document.

    Raises:
        PreconditionFailedError: ReportLab is not installed; ``metadata["extra"]`` names what to install.
    """
    if importlib.util.find_spec("reportlab") is None:
        raise PreconditionFailedError(
            "a PDF document needs ReportLab, which is not installed: pip install 'carnet[reports]', or take "
            "another format",
            metadata={"extra": "reports"},
        )
    from carnet.audit.reports.rendering.pages import draw  # noqa: PLC0415  the library of an extra

    return draw(report)
