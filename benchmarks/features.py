"""What checking data costs: a frame of a million rows and 30 features, and one row.

The frame is as callers have it: 18 columns of floats, 6 of integers, 3 of flags and 3 of text, some of them
with missing values. pandera checks the same frame with the same rules (types, ranges, categories, missing
values, no other columns), and collects its failures too. Both are timed on a frame that is right and on one
that is wrong in a few places; rounds take turns, and each ratio is the median of the rounds' own. The times
are by the clock; the processor's are among the figures (several threads check a large frame).
"""

from __future__ import annotations

import json
import time
import warnings
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report, Row
from carnet.bundle.feature_schema import Feature, FeatureSchema
from carnet.features import Validator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 1_000_000
QUICK_ROWS = 20_000
ROUNDS = 9
FRAME_LIMIT = 0.2
ROW_LIMIT_SECONDS = 50e-6
ROW_ROUNDS = 20_000
CATEGORIES = ("chf", "eur", "gbp", "jpy", "nok", "sek", "usd")
FLOATS, INTEGERS, FLAGS, TEXTS = 18, 6, 3, 3


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is not needed."""
    del work
    rows = QUICK_ROWS if quick else ROWS
    schema = _schema()
    validator, peer = Validator(schema), _peer(schema)
    right = _frame(rows)
    wrong = _wrong(right)
    pairs = {}
    for name, frame, valid in (("right", right, True), ("wrong in a few places", wrong, False)):
        if validator.validate(frame).valid is not valid or _accepts(peer, frame) is not valid:
            raise RuntimeError(f"a frame that is {name} is judged otherwise")
        pairs[name] = [
            (_seconds(lambda: validator.validate(frame)), _seconds(lambda: _accepts(peer, frame)))  # noqa: B023
            for _ in range(ROUNDS)
        ]
    import pyarrow as pa  # noqa: PLC0415  only where it is run

    table = pa.Table.from_pandas(right)
    arrow = median(_seconds(lambda: validator.validate(table))[1] for _ in range(ROUNDS))
    one_row = _one_row(validator, right)
    found = [
        Row(
            f"a frame of {rows:,} rows and {len(schema.inputs)} features, {name}",
            f"{median(ours[1] for ours, _ in each) * 1000:.0f} ms",
            f"pandera {median(theirs[1] for _, theirs in each) * 1000:.0f} ms",
            _ratio(each),
            held=None if quick else _ratio(each) <= FRAME_LIMIT,
        )
        for name, each in pairs.items()
    ]
    theirs = median(peer_seconds[1] for _, peer_seconds in pairs["right"])
    found += [
        Row(
            "the same rows as an Arrow table", f"{arrow * 1000:.0f} ms", "pandera, the frame", arrow / theirs
        ),
        Row(
            "one row, a dict",
            f"{one_row * 1e6:.1f} µs",
            f"{ROW_LIMIT_SECONDS * 1e6:.0f} µs",
            one_row / ROW_LIMIT_SECONDS,
            held=None if quick else one_row <= ROW_LIMIT_SECONDS,
        ),
    ]
    return Report(
        name="features",
        question="Checking data against a feature schema",
        rows=found,
        figures={
            "rows": rows,
            "features": len(schema.inputs),
            "rounds_processor_and_clock_seconds": pairs,
            "arrow_seconds": arrow,
            "one_row_seconds": one_row,
        },
        notes=[f"what is demanded: {FRAME_LIMIT} of pandera's time, {ROW_LIMIT_SECONDS * 1e6:.0f} µs a row"],
    )


def _ratio(pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> float:
    return median(ours[1] / theirs[1] for ours, theirs in pairs)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the processor's seconds, and those by the clock."""
    began, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - began, time.perf_counter() - clock


def _schema() -> FeatureSchema:
    features = [
        Feature(name=f"float_{n}", type="float64", minimum=-100, maximum=100, nullable=n < 2)
        for n in range(FLOATS)
    ]
    features += [Feature(name=f"int_{n}", type="int64", minimum=0, maximum=1000) for n in range(INTEGERS)]
    features += [Feature(name=f"flag_{n}", type="bool") for n in range(FLAGS)]
    features += [
        Feature(name=f"text_{n}", type="categorical", categories=CATEGORIES, nullable=n == 0)
        for n in range(TEXTS)
    ]
    return FeatureSchema(inputs=tuple(features))


def _frame(rows: int) -> Any:
    import pandas as pd  # noqa: PLC0415  only where it is run

    draw = np.random.default_rng(7)
    columns: dict[str, Any] = {f"float_{n}": draw.normal(size=rows) for n in range(FLOATS)}
    for n in range(2):
        columns[f"float_{n}"][draw.random(rows) < 0.01] = np.nan
    columns |= {f"int_{n}": draw.integers(0, 1000, rows) for n in range(INTEGERS)}
    columns |= {f"flag_{n}": draw.random(rows) < 0.5 for n in range(FLAGS)}
    columns |= {
        f"text_{n}": np.array(CATEGORIES)[draw.integers(0, len(CATEGORIES), rows)] for n in range(TEXTS)
    }
    frame = pd.DataFrame(columns)
    frame.loc[draw.random(rows) < 0.01, "text_0"] = None
    return frame


def _wrong(frame: Any) -> Any:
    wrong = frame.copy()
    for number, place in enumerate((3, 500, len(frame) - 1)):
        wrong.loc[place, f"float_{number + 3}"] = 1e6
        wrong.loc[place, f"int_{number}"] = -1
        wrong.loc[place, f"text_{number}"] = "xxx"
    return wrong


def _peer(schema: FeatureSchema) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandera.pandas as pandera  # noqa: PLC0415  only where it is run
    types = {"float64": "float64", "int64": "int64", "bool": "bool", "categorical": "str"}

    def rules(feature: Feature) -> list[Any]:
        found = [] if feature.minimum is None else [pandera.Check.ge(feature.minimum)]
        found += [] if feature.maximum is None else [pandera.Check.le(feature.maximum)]
        return found + ([pandera.Check.isin(feature.categories)] if feature.categories else [])

    return pandera.DataFrameSchema(
        {
            each.name: pandera.Column(types[each.type], rules(each), nullable=each.nullable)
            for each in schema.inputs
        },
        strict=True,
    )


def _accepts(peer: Any, frame: Any) -> bool:
    from pandera.errors import SchemaErrors  # noqa: PLC0415  only where it is run

    try:
        peer.validate(frame, lazy=True)
    except SchemaErrors:
        return False
    return True


def _one_row(validator: Validator, frame: Any) -> float:
    """Return the median of one call, over rows as a service reads them from JSON."""
    rows = json.loads(frame.dropna().head(1000).to_json(orient="records"))
    if not all(validator.validate(row).valid for row in rows):
        raise RuntimeError("a row that is right is refused")
    times = []
    for number in range(ROW_ROUNDS):
        row = rows[number % len(rows)]
        began = time.perf_counter()
        validator.validate(row)
        times.append(time.perf_counter() - began)
    return median(times)
