"""Whether a report says what the logs say.

Responsible for deriving a report's rows again, by its own query and at the sizes of its own checkpoints, and
for naming each row that differs. A report passes only if the logs verify and nothing differs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from carnet.audit.reports.derive import FINDINGS, derive_report
from carnet.audit.reports.observed import OBSERVED, OBSERVED_CAVEAT
from carnet.audit.reports.sealing import open_report
from carnet.canonical import canonical_json
from carnet.errors import NotFoundError, StatementInvalidError
from carnet.signing.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.audit.report import AuditReport
    from carnet.audit.reports.model import Report
    from carnet.translog.checkpoint import Checkpoint

DIFFERENCES_MAX: Final = 200
_CELLS_MAX = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a report says and the logs do not, or the other way round.

    Attributes:
        table: The table; empty where it is about the report as a whole.
        row: The row's number in the report, from 1; None for one that the report lacks.
        message: What differs, with the values.
    """

    table: str
    row: int | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"table": self.table, "row": self.row, "message": self.message}


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """What came of verifying a report.

    Attributes:
        kind: Which report it is.
        signer: Who signed it, as pinned; empty where nobody did.
        generated_at: When it was made, as it says.
        generator: What made it, as it says.
        rows: How many rows were derived again and are the same.
        observed: The tables that no log tells, which were not derived again.
        differences: What differs, the first 200.
        erased: The rows that say more than can be derived now, because documents that they rest on were
        erased after the report was made. What they say of those rests on the signature alone.
        audit: What the verifier found in the logs.
    """

    kind: str
    signer: str
    generated_at: str
    generator: str
    rows: int
    observed: tuple[str, ...]
    differences: tuple[Difference, ...]
    erased: tuple[Difference, ...]
    audit: AuditReport

    @property
    def ok(self) -> bool:
        """Whether the logs verify, and the report says what they say."""
        return self.audit.ok and not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {
            "ok": self.ok,
            "kind": self.kind,
            "signer": self.signer or None,
            "generated_at": self.generated_at,
            "generator": self.generator,
            "rows": self.rows,
            "observed": list(self.observed),
            "differences": [each.to_json() for each in self.differences],
            "erased": [each.to_json() for each in self.erased],
            "audit": self.audit.to_json(),
        }


def verify_report(
    data: bytes,
    directory: Path,
    pins: Pins,
    *,
    earlier: Mapping[str, Checkpoint] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> ReportVerdict:
    """Verify a report against an export.

    Args:
        data: The report's file.
        directory: The export; its logs may have grown since.
        pins: What the auditor trusts.
        earlier: Checkpoints that the auditor kept.
        progress: Is called with the environment, the entries read so far, and all there are.

    Returns:
        What differs; ``ok`` only if nothing does, and the logs verify.

    Raises:
        SignatureInvalidError: A signature is bad, or the envelope is malformed.
        KeyUntrustedError: Nobody that is pinned signed it, or one of its checkpoints.
        StatementInvalidError: It is no report, not of the form that reports have, or about what the logs do
            not have.
        ProofInvalidError: One of its checkpoints is damaged.
        FileUnreadableError: The export cannot be read at all.
    """
    opened = open_report(data, pins)
    try:
        derived = derive_report(
            directory,
            pins,
            opened.query,
            generated_at=parse_time(opened.value["generated_at"]),
            at=opened.checkpoints,
            earlier=earlier,
            despite_findings=True,
            progress=progress,
        )
    except NotFoundError as error:
        raise StatementInvalidError(
            f"the report is about something that the logs do not have: {error.message}"
        ) from error
    stated = opened.value
    observed = tuple(each["name"] for each in stated["tables"] if each["name"].startswith(OBSERVED))
    differences: list[Difference] = []
    erased: list[Difference] = []
    rows = 0
    if derived.report is not None:
        for each in _differences(stated, derived.report, derived.erased):
            (erased if isinstance(each, _Erased) and opened.signer else differences).append(each)
            if len(differences) >= DIFFERENCES_MAX:
                break
        rows = sum(len(each.rows) for each in derived.report.tables)
    if observed and not opened.signer:
        message = "it was observed and is in no log, and nobody signed the report: nothing vouches for it"
        differences += [Difference(name, None, message) for name in observed]
    return ReportVerdict(
        kind=str(opened.query.kind),
        signer=opened.signer,
        generated_at=stated["generated_at"],
        generator=stated["generator"],
        rows=rows,
        observed=observed,
        differences=tuple(differences),
        erased=tuple(erased),
        audit=derived.audit,
    )


class _Erased(Difference):
    """A difference that an erasure explains."""


def _differences(
    stated: Mapping[str, Any], report: Report, erased: Mapping[str, frozenset[int]]
) -> Iterator[Difference]:
    derived = report.to_json()
    observed = any(each["name"].startswith(OBSERVED) for each in stated["tables"])
    for field in ("title", "query", "logs"):
        if stated[field] != derived[field]:
            yield Difference(
                "", None, f"its {field} is {_shown(stated[field])}, and {_shown(derived[field])} is derived"
            )
    sentences = [each for each in stated["completeness"] if not (observed and each == OBSERVED_CAVEAT)]
    if sentences != derived["completeness"]:
        yield Difference(
            "",
            None,
            f"its completeness is {_shown(sentences)}, and {_shown(derived['completeness'])} is derived",
        )
    tables = {each["name"]: each for each in derived["tables"]}
    told = [each["name"] for each in stated["tables"] if not each["name"].startswith(OBSERVED)]
    for name in tables:
        if name not in told:
            yield Difference(name, None, "the report lacks this table")
    if sorted(told) == sorted(tables) and told != list(tables):
        yield Difference("", None, "its tables are in another order than they are derived in")
    for table in stated["tables"]:
        name = table["name"]
        if name.startswith(OBSERVED):
            continue
        if name not in tables:
            what = (
                "the logs verify now, and no finding is derived"
                if name == FINDINGS
                else "no such table is derived"
            )
            yield Difference(name, None, what)
        else:
            yield from _table_differences(table, tables[name], erased)


def _table_differences(
    stated: Mapping[str, Any], derived: Mapping[str, Any], erased: Mapping[str, frozenset[int]]
) -> Iterator[Difference]:
    name = stated["name"]
    for field in ("title", "about", "columns"):
        if stated[field] != derived[field]:
            yield Difference(
                name, None, f"its {field} is {_shown(stated[field])}, and {_shown(derived[field])} is derived"
            )
    yield from _row_differences(stated, derived, erased)


def _row_differences(
    stated: Mapping[str, Any], derived: Mapping[str, Any], erased: Mapping[str, frozenset[int]]
) -> Iterator[Difference]:
    name = stated["name"]
    wanted = [canonical_json(each) for each in derived["rows"]]
    found = [canonical_json(each) for each in stated["rows"]]
    if wanted == found:
        return
    names = [each["name"] for each in derived["columns"]]
    left = Counter(wanted)
    unfounded = []
    for position, row in enumerate(found):
        if left[row]:
            left[row] -= 1
        else:
            unfounded.append(position)
    untold = [position for position, row in enumerate(wanted) if left[row] and not left.subtract([row])]
    if not unfounded and not untold:
        yield Difference(name, None, "its rows are in another order than they are derived in")
    for position in unfounded:
        said = dict(zip(names, stated["rows"][position], strict=False))
        thinner = next(
            (each for each in untold if _is_thinner(derived["rows"][each], said, names, erased)), None
        )
        if thinner is not None:
            untold.remove(thinner)
        if thinner is not None or said.get("entry") in erased.get(str(said.get("environment")), ()):
            message = f"a document that it rests on was erased since: {_cut(found[position])}"
            yield _Erased(name, position + 1, message)
        else:
            yield Difference(name, position + 1, f"the logs do not say so: {_cut(found[position])}")
    for position in untold:
        yield Difference(name, None, f"the logs say so, and the report does not: {_cut(wanted[position])}")


def _is_thinner(
    row: Sequence[Any], said: Mapping[str, Any], names: Sequence[str], erased: Mapping[str, frozenset[int]]
) -> bool:
    """Whether a row that is derived says the same as one that is stated, but for what was erased."""
    environment = said.get("environment")
    if not erased or (isinstance(environment, str) and environment not in erased):
        return False
    return all(
        cell == said.get(name)
        or (cell is None and isinstance(said.get(name), str | int | float))
        or (isinstance(cell, list) and isinstance(said.get(name), list) and set(cell) < set(said[name]))
        for name, cell in zip(names, row, strict=True)
    )


def _shown(value: Any) -> str:
    return _cut(canonical_json(value))


def _cut(text: bytes) -> str:
    shown = text.decode()
    return shown if len(shown) <= _CELLS_MAX else f"{shown[:_CELLS_MAX]}…"
