"""What a registry's tables hold, in the form that the fold has it.

Responsible for the statements that read them, one row after the other, and for what each row's bytes must
hash to. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, type_coerce
from sqlalchemy.types import NullType
from sqlmodel import SQLModel

import carnet_server.tables  # noqa: F401  the metadata must know all of them
from carnet.rollouts import RolloutState, describe_standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import ColumnElement, Connection, Table

    from carnet_server.folding.fold import Key

_ROWS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True)
class TableForm:
    """How a table is compared.

    Attributes:
        name: The table.
        keys: The columns that a row is found by.
        columns: The columns that entries determine.
        bytes_of: The column with the bytes that a digest's column must be of, by the latter, or nothing
            where they were erased; each digest is among ``keys`` or ``columns``.
        is_whole: Whether every row that the log tells of must be there.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...] = ()
    bytes_of: tuple[tuple[str, str], ...] = ()
    is_whole: bool = True


_VERSION = ("namespace", "model", "version")
_ALIAS = ("namespace", "model", "alias")
FORMS = (
    TableForm("models", ("namespace", "model")),
    TableForm(
        "versions",
        _VERSION,
        (
            "bundle_digest",
            "promotion",
            "stage",
            "log_index",
            "stage_log_index",
            "revoked_log_index",
            "purge_log_index",
        ),
        (("bundle_digest", "manifest"),),
    ),
    TableForm("aliases", _ALIAS, ("version", "bundle_digest", "revision", "log_index")),
    TableForm(
        "alias_moves",
        (*_ALIAS, "revision"),
        ("old_version", "new_version", "bundle_digest", "promotion", "actor", "log_index"),
    ),
    TableForm(
        "alias_marks",
        (*_ALIAS, "revision"),
        ("old_marked_version", "marked_version", "bundle_digest", "actor", "log_index"),
    ),
    TableForm("alias_running", (*_ALIAS, "bundle_digest"), ("version", "log_index")),
    TableForm(
        "evidence",
        ("namespace", "bundle_digest", "digest"),
        ("model", "version", "trusted", "log_index"),
        (("digest", "envelope"),),
    ),
    TableForm(
        "admissions",
        ("promotion",),
        (
            *_VERSION,
            "bundle_digest",
            "alias",
            "request_digest",
            "request_log_index",
            "state",
            "dossier_digest",
            "decision_digest",
        ),
        (
            ("bundle_digest", "manifest"),
            ("request_digest", "request"),
            ("dossier_digest", "dossier"),
            ("decision_digest", "decision"),
        ),
    ),
    TableForm(
        "approvals",
        ("promotion", "digest"),
        ("meaning", "log_index", "reason"),
        (("digest", "envelope"),),
    ),
    TableForm("admission_cancellations", ("promotion", "canceller"), ("bundle_digest", "log_index")),
    TableForm("alias_permits", ("promotion",), ("decision_digest", "log_index"), is_whole=False),
    TableForm(
        "promotion_records", ("promotion",), (*_VERSION, "bundle_digest", "decision_digest", "log_index")
    ),
    TableForm("holds", ("hold",), (*_VERSION, "actor", "note_digest", "log_index", "release_log_index")),
    TableForm(
        "rollouts",
        (*_ALIAS, "rollout"),
        ("challenger_version", "start_log_index", "log_index", "state", "share"),
    ),
    TableForm("documents_in_force", ("kind",), ("digest",)),
)


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it is stored.

    Attributes:
        key: By what it is found.
        columns: What entries determine of it.
        bytes: The bytes that a digest of it is of, by the digest.
    """

    key: Key
    columns: dict[str, Any]
    bytes: tuple[tuple[str, bytes], ...]


def stored_rows(connection: Connection, form: TableForm) -> Iterator[StoredRow]:
    """Read a table.

    Args:
        connection: A transaction's connection.
        form: How it is compared.

    Yields:
        Its rows, in the order of their keys.
    """
    table = SQLModel.metadata.tables[form.name]
    names = tuple(dict.fromkeys((*form.keys, *form.columns, *(data for _, data in form.bytes_of))))
    statement = select(*as_stored(table, names)).order_by(*(table.c[name] for name in form.keys))
    for row in connection.execute(statement.execution_options(yield_per=_ROWS_AT_A_TIME)):
        values = dict(zip(names, row, strict=True))
        pairs = ((values[digest], values[data]) for digest, data in form.bytes_of)
        yield StoredRow(
            tuple(values[name] for name in form.keys),
            _as_told({name: values[name] for name in form.columns}),
            tuple((digest or "", as_bytes(data)) for digest, data in pairs if data is not None),
        )


def as_stored(table: Table, names: Iterable[str]) -> list[ColumnElement[Any]]:
    """Return columns whose values are taken as they are: one of a wrong type is seen, and not choked on.

    Args:
        table: Their table.
        names: Their names.
    """
    return [type_coerce(table.c[name], NullType()).label(name) for name in names]


def as_bytes(value: object) -> bytes:
    """Return what stands in a column of bytes as bytes, whatever somebody put there."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode(errors="replace")


def _as_told(columns: dict[str, Any]) -> dict[str, Any]:
    """Return a row's columns in the words of entries."""
    if "share" in columns:
        state, share = columns.pop("state"), columns.pop("share")
        known = state in set(RolloutState) and isinstance(share, float)
        columns["standing"] = describe_standing(RolloutState(state), share) if known else f"{state} {share}"
    return columns
