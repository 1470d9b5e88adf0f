"""Columns of pandas frames.

Responsible for one pandas series in the form that the checks know. pandas is never imported: a series is
asked by its own methods, so that any version of it will do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from carnet.features.arrow_columns import from_arrow
from carnet.features.columns import Codes, Column, Foreign, Numbers, Objects, Plain
from carnet.features.packages import optional

_MASKED = frozenset({"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"})


def from_series(series: Any) -> Column:  # noqa: PLR0911  one return a form
    """Return a series as a column."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return from_numpy(series.to_numpy(copy=False))
    name = type(dtype).__name__
    if name == "CategoricalDtype":
        return Codes(np.asarray(series.cat.codes), list(dtype.categories))
    if name in ("StringDtype", "ArrowDtype"):
        pyarrow = optional("pyarrow")
        return from_arrow(pyarrow.array(series, from_pandas=True)) if pyarrow else Objects(list(series))
    missing = series.isna().to_numpy(dtype=np.bool_)
    if str(dtype) in _MASKED:
        return Numbers(series.to_numpy(dtype=str(dtype).lower(), na_value=0), missing)
    if name in ("Float32Dtype", "Float64Dtype"):
        return Numbers(series.to_numpy(dtype=name.removesuffix("Dtype").lower(), na_value=np.nan))
    if name == "BooleanDtype":
        return Plain("bool", missing, lambda index: series.iloc[index])
    if name == "DatetimeTZDtype":
        return Plain("timestamp", missing, lambda index: series.iloc[index])
    return Foreign(missing, lambda index: series.iloc[index])


def from_numpy(values: Any) -> Column:
    """Return a numpy array of one dimension as a column."""
    kind = values.dtype.kind
    if kind in "iuf":
        return Numbers(values)
    if kind == "O":
        return Objects(values.tolist())
    if kind in "US":
        return Objects(values.tolist())
    if kind == "b":
        return Plain("bool", np.zeros(len(values), dtype=np.bool_), lambda index: values[index])
    if kind == "M":
        return Plain("naive timestamp", np.isnat(values), lambda index: values[index])
    return Foreign(np.zeros(len(values), dtype=np.bool_), lambda index: values[index])
