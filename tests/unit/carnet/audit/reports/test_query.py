"""Questions: each is written down and read back as itself, and what is none is refused by its field."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet.audit.reports.kinds import DERIVATIONS
from carnet.audit.reports.query import OF_A_PERIOD, ReportKind, ReportQuery
from carnet.cli.audit_report import KINDS
from carnet.errors import InvalidInputError

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
ALIAS = "prod/risk/fraud@champion"


@pytest.mark.parametrize(
    "query",
    [
        ReportQuery(ReportKind.CHANGES),
        ReportQuery(ReportKind.CHANGES, environments=("prod", "dev"), since=MARCH, until=APRIL),
        ReportQuery(ReportKind.DOSSIER, promotion="ab" * 16),
        ReportQuery(ReportKind.AT, at=MARCH, reference=ALIAS),
        ReportQuery(ReportKind.HEALTH, environments=("dev",)),
    ],
)
def test_a_query_reads_back_as_itself(query):
    assert ReportQuery.from_json(str(query.kind), query.to_json()) == query


def test_the_order_of_environments_is_of_no_account():
    given = [ReportQuery(ReportKind.LIVE, environments=each) for each in (("b", "a"), ("a", "b", "a"))]
    assert given[0] == given[1]


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("promotion", {"kind": "dossier"}),
        ("promotion", {"kind": "changes", "promotion": "ab" * 16}),
        ("at", {"kind": "at", "at": MARCH}),
        ("at", {"kind": "at", "reference": ALIAS}),
        ("at", {"kind": "live", "at": MARCH, "reference": ALIAS}),
        ("reference", {"kind": "at", "at": MARCH, "reference": "prod/risk/fraud@3"}),
        ("environments", {"kind": "at", "at": MARCH, "reference": ALIAS, "environments": ("dev",)}),
        ("environments", {"kind": "live", "environments": ("No Name",)}),
        ("until", {"kind": "live", "since": APRIL, "until": MARCH}),
        ("until", {"kind": "live", "since": MARCH, "until": MARCH}),
        ("since", {"kind": "live", "since": datetime(2026, 3, 1)}),
    ],
)
def test_what_is_no_question_is_refused_by_its_field(field, parts):
    kind = ReportKind(parts.pop("kind"))
    with pytest.raises(InvalidInputError) as refused:
        ReportQuery(kind, **parts)
    assert refused.value.metadata.get("field") == field


@pytest.mark.parametrize("kind", sorted(set(ReportKind) - OF_A_PERIOD - {"dossier", "at"}))
def test_how_things_stand_has_no_period(kind):
    with pytest.raises(InvalidInputError, match="has no period"):
        ReportQuery(ReportKind(kind), since=MARCH)


def test_a_period_has_its_beginning_and_not_its_end():
    query = ReportQuery(ReportKind.CHANGES, since=MARCH, until=APRIL)
    assert query.covers(MARCH)
    assert not query.covers(APRIL)


def test_every_kind_has_its_derivation_and_its_place_on_the_command_line():
    assert set(DERIVATIONS) == set(ReportKind)
    assert {*KINDS, "at"} == set(ReportKind)
