"""Reports of the small world of ``tests/unit/carnet/audit``, read back by table and column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.query import ReportKind, ReportQuery
from tests.unit.carnet.audit.conftest import START

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.audit.reports.model import Report


@pytest.fixture
def derive(world: Any, tmp_path: Path) -> Callable[..., Report]:
    """Derive a report of the world as it is now; its logs must verify."""

    def make(kind: str, **query: Any) -> Report:
        world.export(tmp_path / "export")
        asked = ReportQuery(ReportKind(kind), **query)
        derived = derive_report(tmp_path / "export", world.pins(), asked, generated_at=START)
        assert derived.report is not None, derived.audit.findings
        return derived.report

    return make


@pytest.fixture
def rows() -> Callable[..., list[tuple[Any, ...]]]:
    """Return the rows of a table, of some columns or of all."""

    def read(report: Report, name: str, *wanted: str) -> list[tuple[Any, ...]]:
        (table,) = [each for each in report.tables if each.name == name]
        names = [each.name for each in table.columns]
        assert all(len(row) == len(names) for row in table.rows)
        chosen = [names.index(each) for each in wanted or names]
        return [tuple(row[index] for index in chosen) for row in table.rows]

    return read
