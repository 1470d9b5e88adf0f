"""Data files as tables.

Responsible for reading CSV, JSON, JSON lines, Parquet and Arrow files, with every error typed. In CSV a field
with nothing in it, and no quotes around it, is missing, and nothing else is; with a schema at hand its types
say what text is. JSON and JSON lines keep each value as it is written. Does not judge the data.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from carnet.documents import read_file
from carnet.errors import FileUnreadableError, InvalidInputError
from carnet.features.columns import Objects
from carnet.features.limits import family_of
from carnet.features.packages import needed
from carnet.features.tables import Table, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet.bundle.feature_schema import Feature
    from carnet.features.columns import Column

FORMATS = ("csv", "json", "jsonl", "parquet", "arrow")
_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}


def read_data(path: Path, *, kind: str = "", features: Iterable[Feature] = ()) -> Table:
    """Read a data file.

    Args:
        path: The file.
        kind: One of ``FORMATS``; empty to go by the file's suffix.
        features: What its columns should be, for the texts of a CSV file.

    Returns:
        The table.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
        InvalidInputError: It is not of that format, or the format cannot be told.
        PreconditionFailedError: A package that the format needs is not installed.
    """
    kind = kind or _SUFFIXES.get(path.suffix.lower(), "")
    if kind not in FORMATS:
        raise InvalidInputError(
            f"{path.name}: the suffix says no format: name one of {', '.join(FORMATS)}",
            metadata={"field": "format"},
        )
    if kind in ("json", "jsonl"):
        data = read_file(path, what="the data")
        return read_table(_json(data, path) if kind == "json" else _json_lines(data, path))
    pa = needed("pyarrow")
    try:
        if kind == "csv":
            return _csv(path, tuple(features))
        if kind == "parquet":
            return read_table(needed("pyarrow.parquet").ParquetFile(path).read())
        return read_table(_arrow(pa, path))
    except (pa.ArrowException, ValueError, UnicodeError) as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InvalidInputError(
            f"{path.name} is no {kind} file: {said}", metadata={"field": "data"}
        ) from error
    except OSError as error:
        raise FileUnreadableError(f"the data {path} cannot be read: {error.strerror or error}") from error


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a data file, as 64 hexadecimal digits.

    Raises:
        FileUnreadableError: The file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileUnreadableError(f"the data {path} cannot be read: {error.strerror or error}") from error


def _arrow(pa: Any, path: Path) -> Any:
    with pa.OSFile(str(path), "rb") as source:
        beginning = source.read(6)
        source.seek(0)
        # A file has this mark at its beginning; a stream has none.
        opened = pa.ipc.open_file(source) if beginning == b"ARROW1" else pa.ipc.open_stream(source)
        return opened.read_all()


def _json(data: bytes, path: Path) -> Any:
    value = _parsed(data, path.name)
    rows = [value] if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise InvalidInputError(
            f"{path.name}: write a list of objects, or one object for one row", metadata={"field": "data"}
        )
    return rows


def _json_lines(data: bytes, path: Path) -> list[Any]:
    lines = data.split(b"\n")
    return [
        _parsed(line, f"{path.name}:{number}") for number, line in enumerate(lines, start=1) if line.strip()
    ]


def _parsed(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{where}: not JSON: {error}", metadata={"field": "data"}) from error


def _csv(path: Path, features: tuple[Feature, ...]) -> Table:
    pa, csv = needed("pyarrow"), needed("pyarrow.csv")
    families = {feature.name: family_of(feature) for feature in features}
    textual = {
        name: pa.string() for name, each in families.items() if each in ("string", "categorical", "timestamp")
    }
    # Without a schema a time is text too, as JSON has it; a zone that CSV cannot say is not made up.
    options = csv.ConvertOptions(
        column_types=textual,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        timestamp_parsers=[csv.ISO8601],
    )
    arrow = csv.read_csv(
        path, convert_options=options, parse_options=csv.ParseOptions(newlines_in_values=True)
    )
    table = read_table(arrow)

    def column(place: int) -> Column:
        array = arrow.column(place)
        family = families.get(table.names[place])
        if family in ("int", "float") and pa.types.is_string(array.type):
            return Objects([_number(text) for text in array.to_pylist()])
        if family == "bytes" and pa.types.is_string(array.type):
            return Objects([None if text is None else text.encode() for text in array.to_pylist()])
        return table.column(place)

    return Table(table.rows, table.names, column)


def _number(text: str | None) -> object:
    """Return the number that a text is; the text where it is none, so that exactly that value is told."""
    for kind in (int, float):
        try:
            return None if text is None else kind(text)
        except ValueError:
            continue
    return text
