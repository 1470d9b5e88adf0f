"""Data against a feature schema.

Responsible for the check at the boundary: one row, rows, a frame, an Arrow table or an array, with every
violation named in one bounded report. Reads no file, and loads nothing of a bundle.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

from carnet.features.expectations import NOT_IN_SCHEMA, expectation
from carnet.features.packages import needed
from carnet.features.report import Recorder
from carnet.features.rows import RowCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.bundle.feature_schema import Feature, FeatureSchema
    from carnet.features.checks import ColumnCheck
    from carnet.features.report import ValidationReport
    from carnet.features.tables import Table

# Tables of so many rows are checked by several threads, a column each.
_MANY_ROWS = 200_000
_MAX_THREADS = 4


class Validator:
    """A schema that is made ready for checking; make it once and use it for every request.

    Args:
        schema: The feature schema.
        side: What the data is: ``inputs``, what callers send, or ``outputs``, what they get.
        allow_extra: Whether columns that the schema does not name are left alone.

    Example:
        >>> from carnet.bundle.feature_schema import Feature, FeatureSchema
        >>> from carnet.features import Validator
        >>> amount = Feature(name="amount", type="float64", minimum=0)
        >>> validator = Validator(FeatureSchema(inputs=(amount,)))
        >>> validator.validate({"amount": 12.5}).valid
        True
        >>> validator.validate({"amount": -1.0}).violations[0].kind
        'below_minimum'
    """

    def __init__(
        self,
        schema: FeatureSchema,
        *,
        side: Literal["inputs", "outputs"] = "inputs",
        allow_extra: bool = False,
    ) -> None:
        self.schema = schema
        self.side = side
        self.allow_extra = allow_extra
        self._row = RowCheck(self.features, allow_extra=allow_extra)
        self._columns: tuple[ColumnCheck, ...] | None = None

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that data is checked against, in order."""
        return self.schema.inputs if self.side == "inputs" else self.schema.outputs

    def validate(self, data: Any, *, names: Sequence[str] | None = None) -> ValidationReport:
        """Check data, and name every violation.

        A value is taken where the feature's type holds it exactly, or for floats nearly: an int for a float,
        a whole float for an int. NaN is missing; an infinity is never taken; text is never read as a number.
        A feature that is nullable may be missing as a whole.

        Args:
            data: A dict for one row, a list of dicts, a pandas DataFrame, a pyarrow Table or RecordBatch, a
                numpy array that is structured or has two dimensions (rows and columns), a table of another
                library with ``__arrow_c_stream__``, or one of ``carnet.features.files``.
            names: The names of the columns of an array with two dimensions; None for the schema's order.

        Returns:
            The report.

        Raises:
            InvalidInputError: The data is none of those; ``metadata["field"]`` says where.
            PreconditionFailedError: It needs a package that is not installed (the extra ``features``).
        """
        if isinstance(data, Mapping):
            return self._row(data)
        needed("numpy")
        from carnet.features.tables import Table, read_table  # noqa: PLC0415  needs numpy

        given = [feature.name for feature in self.features] if names is None else names
        table = data if isinstance(data, Table) else read_table(data, names=given)
        recorder = Recorder(table.rows)
        self._check_table(table, recorder)
        return recorder.report()

    def require_valid(self, data: Any, *, names: Sequence[str] | None = None) -> None:
        """Insist that data is valid; see ``validate``.

        Raises:
            InvalidInputError: It is not, or is no data that can be checked; ``metadata["field"]`` names the
                first feature that is violated.
            PreconditionFailedError: It needs a package that is not installed (the extra ``features``).
        """
        self.validate(data, names=names).require()

    def _check_table(self, table: Table, recorder: Recorder) -> None:
        if self._columns is None:
            from carnet.features.checks import ColumnCheck  # noqa: PLC0415  needs numpy

            self._columns = tuple(ColumnCheck(feature) for feature in self.features)
        places, twice = table.places()
        repeated = set(twice)
        found = self._check_columns(table, places)
        for check, part in zip(self._columns, found, strict=True):
            feature = check.feature
            if part is not None:
                recorder.take(part)
            elif not feature.nullable and (table.rows or table.names):
                expected = expectation(feature, "missing_column")
                recorder.add(feature.name, "missing_column", expected, count=table.rows)
            if feature.name in repeated:
                expected = expectation(feature, "duplicate_column")
                recorder.add(feature.name, "duplicate_column", expected, count=table.rows)
            places.pop(feature.name, None)
        if not self.allow_extra:
            for name in places:
                recorder.add(name, "extra_column", NOT_IN_SCHEMA, count=table.rows)

    def _check_columns(self, table: Table, places: Mapping[str, int]) -> list[Recorder | None]:
        """Check each feature's column; None for a feature that has none."""
        checks = self._columns or ()
        # All at once, before any column passes through the caches, a library finds them twice as quickly.
        parts = {
            check.feature.name: table.find(places[check.feature.name])
            for check in checks
            if check.feature.name in places
        }

        def one(check: ColumnCheck) -> Recorder | None:
            if check.feature.name not in parts:
                return None
            recorder = Recorder(table.rows)
            check(table.read(parts[check.feature.name]), recorder)
            return recorder

        others = min(_MAX_THREADS, os.cpu_count() or 1) - 1
        if table.rows < _MANY_ROWS or len(checks) < 2 or not others:
            return [one(check) for check in checks]
        # The passes over a column are made by numpy and Arrow, which hold no lock meanwhile.
        # Text takes longest, so it comes first.
        waiting = deque(sorted(checks, key=lambda check: check.feature.type not in ("string", "categorical")))
        found: dict[str, Recorder | None] = {}

        def work() -> None:
            while True:
                try:
                    check = waiting.popleft()
                except IndexError:
                    return
                found[check.feature.name] = one(check)

        # This thread works too: on a busy machine the others may get a core late.
        with ThreadPoolExecutor(others) as threads:
            running = [threads.submit(work) for _ in range(others)]
            work()
            for each in running:
                each.result()
        return [found[check.feature.name] for check in checks]


def validate(
    data: Any,
    schema: FeatureSchema,
    *,
    side: Literal["inputs", "outputs"] = "inputs",
    allow_extra: bool = False,
    names: Sequence[str] | None = None,
) -> ValidationReport:
    """Check data once; see ``Validator`` and its ``validate`` for the arguments and what is raised."""
    return Validator(schema, side=side, allow_extra=allow_extra).validate(data, names=names)


def require_valid(
    data: Any,
    schema: FeatureSchema,
    *,
    side: Literal["inputs", "outputs"] = "inputs",
    allow_extra: bool = False,
    names: Sequence[str] | None = None,
) -> None:
    """Insist that data is valid; see ``Validator`` and its ``require_valid``."""
    Validator(schema, side=side, allow_extra=allow_extra).require_valid(data, names=names)
